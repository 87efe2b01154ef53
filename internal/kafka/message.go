package kafka

import "time"

// Message is a record to be written: the one shape that it has from the encoder to
// the transaction. What its slices hold must not change until it is written.
type Message struct {
	Topic     string
	Key       []byte // nil: none
	Value     []byte
	Headers   Headers
	Timestamp time.Time // zero: the time of writing
	Leaf      [32]byte  // its hash as a leaf of the seal; zero: it is none
}

// Size returns how many bytes the record takes in a batch, at most: its key,
// value and headers, and the lengths before them (record batch format 2). The
// batch itself takes 61 bytes more.
func (m Message) Size() int {
	return recordOverhead + len(m.Key) + len(m.Value) + m.Headers.size(m.Key)
}

// HeaderList returns the headers as a list of its own. For many messages use HeaderLists.
func (m Message) HeaderList() []Header { return new(HeaderLists).Of(&m) }

const (
	// recordOverhead: record length 5, attributes 1, timestamp delta 10, offset
	// delta 5, key length 5, value length 5, number of headers 5.
	recordOverhead = 36
	// headerOverhead: length of the name 5, of the value 5.
	headerOverhead = 10
)
