package kafka

import "github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"

// Slabs give out the memory of messages, and take it back when they are written. A message
// alone takes three allocations, and a history of them keeps the garbage collector
// busier than all else does. They hold as much as was in use at once; who reads a history
// has some of its own, so that it goes with the history.
type Slabs struct{ blocks spare.List[block] }

// New returns memory for messages.
func (s *Slabs) New() *Slab { return &Slab{of: s} }

// Slab is the memory of many messages, which is given back as a whole. One goroutine at a
// time uses it. The methods of a nil Slab allocate.
type Slab struct {
	of     *Slabs
	blocks []*block
}

// block is about what 64 usual messages need. The bytes are apart, where the garbage
// collector does not look for pointers.
type block struct {
	bytes    []byte
	messages []Message
}

const (
	blockMessages = 64
	blockBytes    = 64 << 10
)

// Bytes returns room for n bytes: a slice without any, of that capacity.
func (s *Slab) Bytes(n int) []byte {
	if s == nil || n > blockBytes/4 { // the rest of a block would be wasted for it
		return make([]byte, 0, n)
	}
	return part(&s.last(n, 0).bytes, n)
}

// Messages is Bytes for messages.
func (s *Slab) Messages(n int) []Message {
	if s == nil || n > blockMessages/4 {
		return make([]Message, 0, n)
	}
	return part(&s.last(0, n).messages, n)
}

// part takes n of what is left in the capacity of all.
func part[T any](all *[]T, n int) []T {
	at := len(*all)
	*all = (*all)[:at+n]
	return (*all)[at : at : at+n]
}

// last returns the last block, or another one if there is no room for so much in it.
func (s *Slab) last(bytes, messages int) *block {
	if n := len(s.blocks); n > 0 {
		b := s.blocks[n-1]
		if len(b.bytes)+bytes <= cap(b.bytes) && len(b.messages)+messages <= cap(b.messages) {
			return b
		}
	}
	b := s.of.blocks.Take()
	if b.bytes == nil {
		*b = block{make([]byte, 0, blockBytes), make([]Message, 0, blockMessages)}
	}
	s.blocks = append(s.blocks, b)
	return b
}

// Free gives the memory back. The messages may not be used from then on: call it when
// they are known to be written, and not after an error, when a client may still send them.
func (s *Slab) Free() {
	if s == nil {
		return
	}
	for _, b := range s.blocks {
		// Nothing may be kept alive by what was in it.
		clear(b.messages)
		b.bytes, b.messages = b.bytes[:0], b.messages[:0]
		s.of.blocks.Give(b)
	}
	s.blocks = nil
}
