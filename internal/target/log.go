package target

import (
	"context"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Opening says how the organization's log is opened.
type Opening struct {
	ID        string // one of IDs
	Partition int32  // of the offsets topic
	// ChangesTo is RepairPartition for RepairID; nil: Partition.
	ChangesTo *int32
	// Topics say how large a batch each topic takes; for others it is Kafka's default.
	Topics Found
	// Keep is called for each key that is read; nil: it is OwnsKey.
	Keep func(key string) bool
	// BeforeFence and StopGrace are those of package txlog.
	BeforeFence func(state map[string][]byte, whole bool) error
	StopGrace   time.Duration
}

// Open opens the organization's log for writing, as txlog.Open does: it fences the instance that
// writes under that id.
func (t Target) Open(ctx context.Context, o Opening) (*txlog.Log, map[string][]byte, error) {
	if o.Keep == nil {
		o.Keep = t.OwnsKey
	}
	return txlog.Open(ctx, txlog.Config{
		Connection:      t.Connection,
		TransactionalID: o.ID,
		Topic:           t.Topics.Offsets,
		Partition:       o.Partition,
		ChangesTo:       o.ChangesTo,
		Topics:          t.Topics.Names(),
		Owns:            t.Owns,
		Siblings:        t.others(o.ID),
		OtherTimes:      t.EventTime,
		Keep:            o.Keep,
		BeforeFence:     o.BeforeFence,
		Compression:     t.Compression,
		MaxMessageBytes: o.Topics.MaxMessageBytes(),
		StopGrace:       o.StopGrace,
		Logger:          t.Logger,
	})
}

// Partition is where in the offsets topic, which has so many partitions, the
// organization's state belongs.
func (t Target) Partition(partitions int32) int32 { return txlog.Partition(t.Organization, partitions) }

// Cursors returns every organization's cursor, by partition, as it is committed now.
// Settled waits for what is being written at this moment.
func (t Target) Cursors(ctx context.Context, partitions int32, settled bool) ([]map[string][]byte, error) {
	peek := txlog.PeekAll
	if settled {
		peek = txlog.SettledAll
	}
	return peek(ctx, t.Connection, t.Topics.Offsets, partitions, func(key string) bool {
		return strings.HasPrefix(key, auditlog.CursorKey(""))
	})
}

// CursorElsewhere returns in which partition the organization's cursor is, if it is in
// another one than its own.
func (t Target) CursorElsewhere(ctx context.Context, partitions int32, settled bool) (at int32, is bool, err error) {
	all, err := t.Cursors(ctx, partitions, settled)
	own, key := t.Partition(partitions), auditlog.CursorKey(t.Organization)
	for p, cursors := range all {
		if _, there := cursors[key]; there && int32(p) != own {
			return int32(p), true, err
		}
	}
	return 0, false, err
}

// Sources returns a search for the organizations whose events a topic holds.
func Sources() *txlog.Search { return txlog.NewSearch(codec.HeaderSource) }

// HasEvents reports whether the events topic holds any of the organization. It may
// have to read all of the topic for that, if sources, which is one of Sources, did not yet.
func (t Target) HasEvents(ctx context.Context, sources *txlog.Search, events kafka.Topic) (bool, error) {
	return sources.Holds(ctx, t.Connection, events, codec.Source(t.Organization))
}

// Follow reads on, from an offset, in what all may read of the organization: its
// cursor, its report, and the last recorded result of `verify`.
func (t Target) Follow(ctx context.Context, partition int32, from int64) (*txlog.Follower, error) {
	return txlog.Follow(ctx, t.Connection, t.Topics.Offsets, partition, from, func(key string) bool {
		return key == auditlog.CursorKey(t.Organization) || key == auditlog.ReportKey(t.Organization) || key == auditlog.VerifiedKey(t.Organization)
	})
}
