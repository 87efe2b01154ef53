package kafkatest

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame is one request or its answer as it passes a Proxy.
type Frame struct {
	// Connection counts the connections of the proxy, from 1.
	Connection int
	// Key and Version are those of the request, of an answer too.
	Key, Version int16
	// Answer says which of the two it is.
	Answer bool
	// Fault is what is about to happen to it; no Mode if nothing.
	Fault Fault

	correlation int32
	bytes       []byte // with the length in front
}

// maxFrame is more than a broker takes by default. A larger length means that it
// is not Kafka's protocol, TLS for example.
const maxFrame = 128 << 20

// readFrame reads one length and what it promises.
func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 4 || n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: not Kafka's protocol in plain text", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, length[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// parseRequest reads the head of a request: key, version and correlation id.
func parseRequest(b []byte) (Frame, error) {
	if len(b) < 12 {
		return Frame{}, fmt.Errorf("a request of %d bytes", len(b))
	}
	return Frame{
		Key:         int16(binary.BigEndian.Uint16(b[4:])),
		Version:     int16(binary.BigEndian.Uint16(b[6:])),
		correlation: int32(binary.BigEndian.Uint32(b[8:])),
		bytes:       b,
	}, nil
}

// correlationOf returns the id by which an answer names its request.
func correlationOf(answer []byte) int32 { return int32(binary.BigEndian.Uint32(answer[4:])) }
