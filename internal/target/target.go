package target

import (
	"log/slog"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Target is where the events of one organization go, and how they are written there.
type Target struct {
	// Organization is the name from the settings.
	Organization string
	Connection   kafka.Connection
	Topics       Topics
	// Making says how topics that are missing are made.
	Making Making
	// IDPrefix is that of the transactional ids; empty: the name of the offsets topic.
	IDPrefix string
	// Registry is the schema registry; without a URL there is none.
	Registry codec.RegistryConfig
	// SchemaVersion is the version of our schema that single objects are written with; 0:
	// that of the records that are there, and for a new topic the newest.
	SchemaVersion int
	// Headers are added to every record.
	Headers []kafka.Header
	// EventTime gives records the time of their event, and not of the writing.
	EventTime bool
	// SafeJSON writes the copy as received as JSON that strict readers take.
	SafeJSON bool
	// SealKey returns the key that signs the checkpoints of the seal; nil, or empty: they
	// are not signed.
	SealKey func() (string, error)
	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string
	Logger      *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Making says how topics that are missing are made.
type Making struct {
	// Allowed says that they may be made at all.
	Allowed bool
	// Partitions and Retention are those of all topics but the offsets topic; 0 keeps
	// records for ever.
	Partitions  int32
	Retention   time.Duration
	Replication int16 // -1: the broker's default
}

// Clock returns the time.
func (t Target) Clock() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

// ID is the transactional id of the connector, which is the organization's one writer.
func (t Target) ID() string { return t.id(t.Organization) }

// RepairID is the transactional id of repairs.
func (t Target) RepairID() string { return t.id(t.Organization + "/repair") }

// IDs are both: all that ever writes for the organization.
func (t Target) IDs() []string { return []string{t.ID(), t.RepairID()} }

func (t Target) id(owner string) string {
	return txlog.TransactionalID(t.IDPrefix, t.Topics.Offsets, owner)
}

// OwnsKey reports whether a key of the offsets topic is the organization's, or that of its
// repairs.
func (t Target) OwnsKey(key string) bool {
	_, _, checkpoint := auditlog.CheckpointOf(t.Organization, key)
	return checkpoint || auditlog.OwnsKey(t.Organization, key)
}

// Owns reports whether a record of another topic, of events, their copies or dead
// letters, is the organization's.
func (t Target) Owns(r *kafka.Record) bool {
	source, _ := kafka.HeaderOf(r, codec.HeaderSource)
	return source == codec.Source(t.Organization)
}

// others are the transactional ids of the organization's other writers.
func (t Target) others(id string) []string {
	return slices.DeleteFunc(t.IDs(), func(other string) bool { return other == id })
}
