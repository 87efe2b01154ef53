package connector

import (
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// memories give out the memory of batches, and take it back when they are written. Without
// them the garbage collector would be busier with a history than all else is. They hold as
// much as was in use at once, and go with the sweep that has them.
type memories struct {
	slabs kafka.Slabs
	free  spare.List[memory]
}

// memory is what a batch is made in. One goroutine at a time uses it.
type memory struct {
	slab    *kafka.Slab      // the records
	events  []auditlog.Event // what was read
	encoded []target.Encoded // what becomes of it
}

// take returns memory for a batch.
func (m *memories) take() *memory {
	b := m.free.Take()
	if b.slab == nil {
		b.slab = m.slabs.New()
	}
	return b
}

// give takes the memory of a batch back. Nothing of the batch may be used from then on: give
// it back when it is known to be written, or was given to nobody; and not after a commit that
// failed, when a client may still send its records.
func (m *memories) give(b encodedBatch) {
	if b.memory == nil {
		return // it was empty
	}
	b.memory.slab.Free()
	// Nothing may be kept alive by what was in them.
	clear(b.Events)
	clear(b.encoded)
	b.memory.events, b.memory.encoded = b.Events[:0], b.encoded[:0]
	m.free.Give(b.memory)
}
