package codec

// Header is a record header.
type Header struct {
	Key   string
	Value []byte
}

// Message is a record for Kafka. Its bytes are its own and stay valid for as
// long as it is held; where a method says that they are the event's, they stay
// valid for as long as nobody writes to Event.Raw. Nobody may write to them.
type Message struct {
	Key, Value []byte
	Headers    []Header
}

// Size returns how many bytes the record takes in a batch, at most: its key,
// value and headers, and the lengths before them (record batch format 2). The
// batch itself takes 61 bytes more.
func (m Message) Size() int {
	size := recordOverhead + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += headerOverhead + len(h.Key) + len(h.Value)
	}
	return size
}

const (
	// recordOverhead: record length 5, attributes 1, timestamp delta 10, offset
	// delta 5, key length 5, value length 5, number of headers 5.
	recordOverhead = 36
	// headerOverhead: length of the name 5, of the value 5.
	headerOverhead = 10
)
