package ops

import (
	"context"
	"errors"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// stored is what a partition of the offsets topic holds of the organization, as it
// is committed now. Reading it fences no instance.
type stored struct {
	partition int32
	records   map[string][]byte
	verified  []byte // the recorded result of `verify`; nil: there is none
	// trail are the cursors that compaction has left, the latest last: how fast
	// history goes can be seen from them.
	trail []auditlog.Cursor
}

// place returns the partition of the organization's state, and the offsets topic.
func place(ctx context.Context, t target.Target) (int32, extent, error) {
	topic, err := extentOf(ctx, t.Connection, t.Topics.Offsets)
	if err != nil && kafka.Classify(err) == kafka.ClassTopic {
		return 0, topic, target.Missing(t.Topics.Offsets)
	}
	if err != nil {
		return 0, topic, fmt.Errorf("looking for the cursor: %w", err)
	}
	return t.Partition(int32(len(topic.offsets))), topic, nil
}

// peek reads the organization's state where it belongs.
func peek(ctx context.Context, t target.Target) (stored, error) {
	partition, topic, err := place(ctx, t)
	if err != nil {
		return stored{}, err
	}
	return peekAt(ctx, t, partition, topic.offsets[partition])
}

func peekAt(ctx context.Context, t target.Target, partition int32, o kafka.Offsets) (stored, error) {
	s := stored{partition: partition, records: map[string][]byte{}}
	reader, err := kafka.NewReader(ctx, t.Connection, t.Topics.Offsets, partition, kafka.LogStart)
	if err != nil {
		return s, err
	}
	defer reader.Close()
	return s, readPiece(ctx, reader, o.Stable, func(r *kafka.Record) error {
		s.keep(t.Organization, r)
		return nil
	})
}

// trailLength is how many cursors are kept: a busy one is written every second.
const trailLength = 600

func (s *stored) keep(organization string, r *kafka.Record) {
	key := string(r.Key)
	if key == auditlog.VerifiedKey(organization) {
		s.verified = r.Value
	}
	if !auditlog.OwnsKey(organization, key) {
		return
	}
	if r.Value == nil {
		delete(s.records, key)
		return
	}
	s.records[key] = r.Value
	if key != auditlog.CursorKey(organization) {
		return
	}
	if cursor, err := auditlog.DecodeCursor(r.Value); err == nil { // an error is reported when the cursor is used
		s.trail = append(s.trail, cursor)
		s.trail = s.trail[max(0, len(s.trail)-trailLength):]
	}
}

var errNoCursor = errors.New("there is no cursor")

// stateOf returns what was read as a state. There must be one, and whole.
func stateOf(c Config, records map[string][]byte) (*window.State, error) {
	return stateBy(c, window.DecodeState, records)
}

func stateBy(c Config, decode func(string, map[string][]byte) (*window.State, error), records map[string][]byte) (*window.State, error) {
	state, err := decode(c.Organization, records)
	if err == nil && state == nil {
		err = fmt.Errorf("%w of %s in %s: it was never run with these settings; run it, or look at ORGANIZATION_NAME and KAFKA_OFFSETS_TOPIC", errNoCursor, c.Organization, c.Topics.Offsets)
	}
	if state != nil {
		state.Policy = window.Policy{Lookback: c.Lookback, DeepLookback: c.DeepLookback}
	}
	return state, err
}
