package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// deleted says up to which time the topics may have held what they do not hold any more,
// and what consumers have had; MinSecond where nothing was deleted.
//
// There is one time for a whole topic, the latest of its partitions: an event's key
// says in which partition it is now, and not where it was before partitions were
// added. What is deleted is always the beginning of a partition, so all of it was
// written before the oldest record that is left. By whom it was deleted does not
// matter, so retention is not looked at: it may have been different then.
type deleted struct {
	cfg             Config
	decoder         *codec.Decoder
	events, letters auditlog.Second
	letter          *target.Encoder // tells which events are dead letters; nil if it does not matter
}

// writtenLate is by how much the time of a record, or of its event, may lie on the
// wrong side of the time of its writing: pages wait for their turn after they were
// fetched, clocks differ, and the API dates some events forward.
const writtenLate = time.Hour

// read finds out what the topics may have deleted. It comes after the read of the
// topics, and so it counts what was deleted meanwhile.
func (d *deleted) read(ctx context.Context) error {
	var err error
	d.events, err = d.until(ctx, d.cfg.Topics.Events, func(r *kafka.Record) (time.Time, error) {
		record, err := d.decoder.Decode(ctx, r.Value)
		if err != nil {
			return time.Time{}, err
		}
		// The record's own time may be its event's, and so be earlier.
		if record.IngestedAt.After(r.Timestamp) {
			return record.IngestedAt, nil
		}
		return r.Timestamp, nil
	})
	if err != nil {
		return err
	}
	d.letters, err = d.until(ctx, d.cfg.Topics.DLQ, func(r *kafka.Record) (time.Time, error) { return r.Timestamp, nil })
	if err != nil || d.letters == auditlog.MinSecond {
		return err
	}
	d.letter, err = d.letterEncoder(ctx)
	return err
}

// until returns up to which time the topic may have held what it does not hold any
// more. written returns when a record was written; an error: it does not say.
func (d *deleted) until(ctx context.Context, topic string, written func(*kafka.Record) (time.Time, error)) (auditlog.Second, error) {
	now, err := extentOf(ctx, d.cfg.Connection, topic)
	if err != nil {
		return 0, err
	}
	latest := auditlog.MinSecond
	for partition, offsets := range now.offsets {
		if offsets.Start == 0 {
			continue
		}
		at, err := d.oldestLeft(ctx, topic, int32(partition), offsets, written)
		if err != nil {
			return 0, err
		}
		if at.IsZero() {
			d.cfg.Logger.Warn("a partition has lost its beginning and holds nothing that shows since when: all that the topic lacks may have been deleted",
				"topic", topic, "partition", partition)
			at = d.cfg.Clock()
		}
		latest = max(latest, auditlog.SecondOf(at.Add(writtenLate)))
	}
	return latest, nil
}

// oldestLeft returns when the oldest record of a partition was written. Records that do
// not say so are passed over; zero if none does.
func (d *deleted) oldestLeft(ctx context.Context, topic string, partition int32, o kafka.Offsets, written func(*kafka.Record) (time.Time, error)) (at time.Time, err error) {
	errFound := errors.New("found")
	err = readPartition(ctx, d.cfg.Connection, topic, partition, o, func(r *kafka.Record) error {
		when, err := written(r)
		if _, registry := errors.AsType[*codec.RegistryError](err); registry || ctx.Err() != nil {
			return err
		}
		if err != nil {
			return nil // the next one is no earlier
		}
		at = when
		return errFound
	}, func(int64) {})
	if errors.Is(err, errFound) {
		err = nil
	}
	return at, err
}

// surelyTaken is what every topic of events takes, and took before its limit was
// raised: an event that is larger may have been a dead letter.
const surelyTaken = 64 << 10

// letterEncoder returns an encoder that is asked only what it takes for a dead letter.
func (d *deleted) letterEncoder(ctx context.Context) (*target.Encoder, error) {
	topics, err := d.cfg.Describe(ctx, target.Events, target.DLQ)
	if err != nil {
		return nil, err
	}
	limit := min(topics[target.Events].MaxMessageBytes, surelyTaken)
	for _, role := range d.cfg.Topics.Roles() {
		if target.HoldsEvents(role) {
			topics[role] = kafka.Topic{Name: d.cfg.Topics.Of(role), MaxMessageBytes: limit}
		}
	}
	encoder, err := target.NewEncoder(target.EncoderConfig{
		Organization: d.cfg.Organization, Topics: topics,
		Framing: codec.SingleObject(), Schema: schemas.Latest(), Now: d.cfg.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("telling dead letters from events: %w", err)
	}
	return encoder, nil
}

// mayBeLetter reports whether the event was a dead letter, as far as that matters.
func (d *deleted) mayBeLetter(ev auditlog.Event) bool {
	if d.letter == nil {
		return false
	}
	encoded, err := d.letter.Encode(ev, time.Time{})
	return err != nil || encoded.Reason != ""
}

// expired reports whether the topics may have held the event, and have deleted it: by
// its time, or because the connector remembers to have written it, whatever its time
// says.
func (v *verification) expired(a *absent) bool {
	until := v.deleted.events
	if a.is(absentLetter) {
		until = max(until, v.deleted.letters)
	}
	remembered := v.state != nil && v.state.Seen.Has(a.id)
	return a.at < until || remembered && until > auditlog.MinSecond
}
