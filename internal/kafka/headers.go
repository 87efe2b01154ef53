package kafka

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Header is a record header.
type Header = kgo.RecordHeader

// Layout is what the headers of messages of one kind have in common: their names, their
// order, and the values that are the same in all. Messages share one and hold only what is
// their own, since a list of headers would be a quarter of what an event takes in memory
// until it is written.
type Layout struct {
	list     []Header // all of them, with the values that are the same
	differ   []differing
	numbered bool // there is a field for a number

	// What the headers take in a record, without the lengths of the values of the message.
	size int
	keys int   // how often the key is one of them
	own  []int // those for the message's own values
}

// differing is a header whose value is not the same in all messages.
type differing struct {
	at   int // in the list
	from Origin
}

// Field is one header of a layout.
type Field struct {
	Name  string
	From  Origin
	Value []byte // of a Fixed one
}

// Origin says where a header's value comes from.
type Origin byte

const (
	// Fixed is the same in all messages: the field's own value.
	Fixed Origin = iota
	// Key is the message's key.
	Key
	// Own is the next of the values that the message has of its own. One that is empty is
	// left out with its header.
	Own
	// Number is the message's number, in decimal digits; nil until it has one.
	Number
)

// NewLayout returns the layout with the fields, in their order.
func NewLayout(fields ...Field) *Layout {
	l := &Layout{}
	for i, f := range fields {
		l.list = append(l.list, Header{Key: f.Name, Value: f.Value})
		size := headerOverhead + len(f.Name) + len(f.Value)
		if f.From != Fixed {
			l.differ = append(l.differ, differing{i, f.From})
		}
		switch f.From {
		case Fixed:
		case Key:
			l.keys++
		case Number:
			l.numbered = true
			size += maxDigits
		case Own:
			l.own = append(l.own, size)
			continue // it may be left out
		}
		l.size += size
	}
	return l
}

// FixedFields returns the headers as fields of a layout.
func FixedFields(headers ...Header) (fields []Field) {
	for _, h := range headers {
		fields = append(fields, Field{Name: h.Key, Value: h.Value})
	}
	return fields
}

// Headers are the headers of a message. The zero value is none.
type Headers struct {
	layout *Layout
	own    []byte // the values for Own, each after its length
	number uint64 // the number plus one; 0: it has none yet
}

// FixedHeaders returns headers that are the same whatever the message is.
func FixedHeaders(headers ...Header) Headers {
	return Headers{layout: NewLayout(FixedFields(headers...)...)}
}

// Headers returns the headers of a message that has values of its own, as AppendOwn
// appends them. They are not copied.
func (l *Layout) Headers(own []byte) Headers { return Headers{layout: l, own: own} }

// As returns headers of another layout, with the same values of the message's own, and
// without its number.
func (h Headers) As(l *Layout) Headers { return Headers{layout: l, own: h.own} }

// AppendOwn appends a value for Own, which is given in parts.
func AppendOwn(to []byte, parts ...string) []byte {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	to = binary.AppendUvarint(to, uint64(size))
	for _, part := range parts {
		to = append(to, part...)
	}
	return to
}

// OwnOverhead is what AppendOwn needs besides the value, at most.
const OwnOverhead = binary.MaxVarintLen32

// Numbered reports whether there is a header for a number.
func (h Headers) Numbered() bool { return h.layout != nil && h.layout.numbered }

// SetNumber gives the message its number.
func (h *Headers) SetNumber(n uint64) { h.number = n + 1 }

// maxDigits is how many digits a number has at most.
const maxDigits = 20

// size returns how many bytes the headers take in a record of the key, at most.
func (h Headers) size(key []byte) (size int) {
	if h.layout == nil {
		return 0
	}
	size = h.layout.size + h.layout.keys*len(key)
	own := h.own
	for _, header := range h.layout.own {
		var value []byte
		if value, own = cutOwn(own); len(value) > 0 {
			size += header + len(value)
		}
	}
	return size
}

// cutOwn returns the first of the values, and those after it.
func cutOwn(own []byte) (value, rest []byte) {
	if len(own) > 0 && own[0] < 0x80 { // mostly: the length is one byte
		end := 1 + int(own[0])
		return own[1:end:end], own[end:]
	}
	n, at := binary.Uvarint(own)
	if at <= 0 {
		return nil, nil
	}
	end := at + int(n)
	return own[at:end:end], own[end:]
}

// HeaderLists makes the lists of headers of many messages in the same memory. The zero value
// is usable.
type HeaderLists struct {
	headers []Header
	digits  []byte
}

// Grow makes room for the headers of the messages, so that nothing is left behind while they
// are made.
func (l *HeaderLists) Grow(messages []Message) {
	headers := 0
	for i := range messages {
		if layout := messages[i].Headers.layout; layout != nil {
			headers += len(layout.list)
		}
	}
	if cap(l.headers) < headers {
		l.headers = make([]Header, 0, headers)
	}
}

// Of returns the headers of the message as a list.
func (l *HeaderLists) Of(m *Message) []Header {
	h := m.Headers
	if h.layout == nil {
		return nil
	}
	if headers := len(h.layout.list); cap(l.headers)-len(l.headers) < headers {
		l.headers = make([]Header, 0, max(headers, 2*cap(l.headers)))
	}
	begin := len(l.headers)
	l.headers = append(l.headers, h.layout.list...)
	list := l.headers[begin:len(l.headers):len(l.headers)]
	leftOut := 0
	for _, d := range h.layout.differ {
		value := m.Key
		switch d.from {
		case Number:
			value = l.number(h)
		case Own:
			if value, h.own = cutOwn(h.own); len(value) == 0 {
				list = slices.Delete(list, d.at-leftOut, d.at-leftOut+1)
				leftOut++
				continue
			}
		}
		list[d.at-leftOut].Value = value
	}
	l.headers = l.headers[:begin+len(list)]
	return list[:len(list):len(list)]
}

// number returns the digits of the message's number; nil if it has none yet.
func (l *HeaderLists) number(h Headers) []byte {
	if h.number == 0 {
		return nil
	}
	if cap(l.digits)-len(l.digits) < maxDigits {
		l.digits = make([]byte, 0, max(64*maxDigits, 2*cap(l.digits)))
	}
	begin := len(l.digits)
	l.digits = strconv.AppendUint(l.digits, h.number-1, 10)
	return l.digits[begin:len(l.digits):len(l.digits)]
}

// Reset makes the memory free for other lists. Those that it made may not be used from then on.
func (l *HeaderLists) Reset() {
	clear(l.headers) // nothing may be kept alive by what was in it
	l.headers, l.digits = l.headers[:0], l.digits[:0]
}
