package connector

import (
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// TestMemoryIsUsedAgain makes two batches one after the other: the second has the memory of
// the first, and nothing of what was in it. A batch that is held has memory of its own.
func TestMemoryIsUsedAgain(t *testing.T) {
	var all memories
	fill := func(m *memory, id string) encodedBatch {
		record := m.slab.Messages(1)[:1]
		record[0] = kafka.Message{Key: append(m.slab.Bytes(len(id)), id...)}
		return encodedBatch{
			Batch:   window.Batch{Events: append(m.events, auditlog.Event{ID: id})},
			encoded: append(m.encoded, target.Encoded{Records: record}),
			memory:  m,
		}
	}
	first := fill(all.take(), "first")
	held := fill(all.take(), "held")
	if first.memory == held.memory {
		t.Fatal("two batches that are held have one memory")
	}
	record := &first.encoded[0].Records[0]
	all.give(first)
	if record.Key != nil || first.Events[0].ID != "" || first.encoded[0].Records != nil {
		t.Errorf("what was given back still has %+v, %+v, %+v", record, first.Events[0], first.encoded[0])
	}
	second := fill(all.take(), "second")
	if second.memory != first.memory || &second.Events[0] != &first.Events[0] || &second.encoded[0] != &first.encoded[0] {
		t.Error("the second batch has memory of its own")
	}
	if got := string(held.encoded[0].Records[0].Key); got != "held" || held.Events[0].ID != "held" {
		t.Errorf("the batch that is held has %q and %+v", got, held.Events[0])
	}
	all.give(encodedBatch{}) // of a window without events
	if all.take().events != nil {
		t.Error("there is memory that nobody gave back")
	}
}
