package ops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

func partitionOf(name string, partitions int) int {
	return int(txlog.Partition(name, int32(partitions)))
}

// readTopic reads what was written, up to the high watermarks of this moment: what
// is committed by then, and no more, is what the API is held against.
func (v *verification) readTopic(ctx context.Context) error {
	var err error
	if v.events, err = v.extent(ctx, v.Topics.Events); err != nil {
		return err
	}
	if v.letters, err = v.extent(ctx, v.Topics.DLQ); err != nil {
		return err
	}
	if err := v.readExpiry(ctx); err != nil {
		return err
	}
	err = v.scan(ctx, func(e entry, _ string, _ []byte) {
		switch {
		case e.is(markUntimed):
		case e.at < v.from || e.at >= v.to:
			return
		case e.is(markDead):
			v.dead++
		default:
			v.records++
		}
		v.written.add(e)
	})
	v.written.settle(func(first, _ *entry) { first.marks |= markDoubled })
	return err
}

// scan passes what is known of each record of the organization, events and dead
// letters, with its name and raw_event.
func (v *verification) scan(ctx context.Context, fn func(e entry, name string, raw []byte)) error {
	decoder, err := v.decoder()
	if err != nil {
		return err
	}
	s := &scanner{verification: v, decoder: decoder, first: make([]bool, len(v.events.offsets))}
	err = v.read(ctx, v.events, func(r *kafka.Record) error {
		e, name, raw, ok, err := s.event(ctx, r)
		if ok {
			fn(e, name, raw)
		}
		return err
	})
	if err != nil {
		return err
	}
	return v.read(ctx, v.letters, func(r *kafka.Record) error {
		if source, _ := kafka.HeaderOf(r, "ce_source"); source == v.source() {
			e, name := letter(r)
			fn(e, name, nil)
		}
		return nil
	})
}

type scanner struct {
	*verification
	decoder *codec.Decoder
	first   []bool // by partition: its first record was seen
}

// event returns what is known of a record of the events topic. ok is false for
// one that is another organization's, or nobody's.
func (s *scanner) event(ctx context.Context, r *kafka.Record) (e entry, name string, raw []byte, ok bool, err error) {
	source, hasSource := kafka.HeaderOf(r, "ce_source")
	isFirst := !s.first[r.Partition]
	s.first[r.Partition] = true
	if hasSource && source != s.source() && !isFirst {
		return e, "", nil, false, nil // not worth decoding
	}
	record, err := s.decoder.Decode(ctx, r.Value)
	if _, registry := errors.AsType[*codec.RegistryError](err); registry || ctx.Err() != nil {
		return e, "", nil, false, err
	}
	if isFirst {
		written := record.IngestedAt
		if err != nil {
			written = r.Timestamp
		}
		s.noteOldest(r, auditlog.SecondOf(written))
	}
	switch {
	case err != nil && source == s.source():
		// Ours by its headers, of a newer release perhaps. It is there, under its key.
		s.Logger.Warn("a record cannot be decoded", "partition", r.Partition, "offset", r.Offset, "error", err)
		e, name = unread(r)
		return e, name, nil, true, nil
	case err != nil || record.Organization != s.Organization:
		return e, "", nil, false, nil
	}
	ev := auditlog.Event{ID: record.ID}
	raw = []byte(record.RawEvent)
	e = entry{id: ev.Identity(), value: bytesHash(raw), at: auditlog.SecondOf(record.EffectiveAt)}
	if record.EventScope == string(auditlog.ScopeTenant) {
		e.marks |= markTenant
	}
	return e, ev.Name(), raw, true, nil
}

// unread is a record of ours whose value cannot be read.
func unread(r *kafka.Record) (entry, string) {
	ev := auditlog.Event{ID: string(r.Key)}
	e := entry{id: ev.Identity(), marks: markUnread}
	text, _ := kafka.HeaderOf(r, "ce_time")
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		e.at = auditlog.SecondOf(at)
	} else {
		e.at = auditlog.SecondOf(r.Timestamp)
	}
	return e, ev.Name()
}

// letter is a dead letter. One without an id is known by the hash of its bytes.
func letter(r *kafka.Record) (entry, string) {
	ev := auditlog.Event{ID: string(r.Key), Raw: r.Value}
	name := ev.Name()
	if sum, cut := kafka.HeaderOf(r, "sha256"); cut && ev.ID == "" {
		name = "sha256:" + sum
	}
	e := entry{id: auditlog.IdentityOf(name), marks: markDead}
	text, _ := kafka.HeaderOf(r, "effective_at")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		e.marks |= markUntimed
	}
	e.at = auditlog.SecondOf(at)
	return e, name
}

// hashOf names an event by its bytes, as a letter that lost its key does.
func hashOf(raw []byte) auditlog.Identity {
	sum := sha256.Sum256(raw)
	return auditlog.IdentityOf("sha256:" + hex.EncodeToString(sum[:]))
}
