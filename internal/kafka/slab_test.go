package kafka_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// TestSlab makes messages in the memory of others: none is changed by a later one before it
// is given back, whatever their sizes are, and what was given back is used again.
func TestSlab(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var slabs kafka.Slabs
	for range 20 {
		slab := slabs.New()
		type made struct {
			all  []kafka.Message
			fill byte
			size int
		}
		var held []made
		for i := range 400 {
			m := made{fill: byte(i), size: random.IntN(3000)}
			if i%50 == 0 {
				m.size = 100_000 // more than fits anywhere
			}
			for range random.IntN(4) {
				value := append(slab.Bytes(m.size), bytes.Repeat([]byte{m.fill}, m.size)...)
				m.all = append(append(slab.Messages(len(m.all)+1), m.all...), kafka.Message{Value: value})
			}
			held = append(held, m)
		}
		for i, m := range held {
			for _, message := range m.all {
				if len(message.Value) != m.size || bytes.Count(message.Value, []byte{m.fill}) != m.size {
					t.Fatalf("the value of message %d was changed", i)
				}
			}
		}
		slab.Free()
	}
	many := func() {
		slab := slabs.New()
		for range 1000 {
			slab.Messages(1)
			slab.Bytes(900)
		}
		slab.Free()
	}
	if n := testing.AllocsPerRun(10, many); n > 10 {
		t.Errorf("%v allocations for a thousand messages whose memory was there", n)
	}
}

// TestNoSlab makes messages where there is none to share memory with.
func TestNoSlab(t *testing.T) {
	var none *kafka.Slab
	if b := none.Bytes(5); len(b) != 0 || cap(b) != 5 {
		t.Errorf("%d of %d bytes", len(b), cap(b))
	}
	if len(none.Messages(2)) != 0 {
		t.Error("there is something in new memory")
	}
	none.Free()
}
