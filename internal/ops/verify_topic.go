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
)

// readTopic reads what was written, up to the high watermarks of this moment. The API is
// compared with what is committed by then, and no more.
func (v *verification) readTopic(ctx context.Context) error {
	var err error
	if v.events, err = extentOf(ctx, v.cfg.Connection, v.cfg.Topics.Events); err != nil {
		return err
	}
	if v.letters, err = extentOf(ctx, v.cfg.Connection, v.cfg.Topics.DLQ); err != nil {
		return err
	}
	err = v.scan(ctx, func(f found) {
		switch {
		case !f.is(markUntimed) && (f.at < v.from || f.at >= v.to):
			return
		case !f.is(markDead):
			v.records++
		case !f.is(markUntimed):
			v.dead++
		}
		if f.unread != nil {
			v.unreadable = append(v.unreadable, *f.unread)
		}
		if f.name != "" {
			v.written.add(f.entry)
		}
	})
	v.written.settle(func(first, _ *entry) { first.marks |= markDoubled })
	return err
}

// found is what is known of a record, with its name and raw_event.
type found struct {
	entry
	name   string // empty: not known
	raw    []byte // of an event that can be read
	unread *Unreadable
}

// scan passes each record of the organization, events and dead letters.
func (v *verification) scan(ctx context.Context, fn func(found)) error {
	err := read(ctx, v.cfg, v.events, func(r *kafka.Record) error {
		f, ok, err := v.event(ctx, r)
		if ok {
			fn(f)
		}
		return err
	})
	if err != nil {
		return err
	}
	return read(ctx, v.cfg, v.letters, func(r *kafka.Record) error {
		if v.cfg.Owns(r) {
			fn(letter(r))
		}
		return nil
	})
}

// event returns what is known of a record of the events topic. ok is false for one
// that is another organization's.
func (v *verification) event(ctx context.Context, r *kafka.Record) (f found, ok bool, err error) {
	_, hasSource := kafka.HeaderOf(r, codec.HeaderSource)
	if hasSource && !v.cfg.Owns(r) {
		return f, false, nil // not worth decoding
	}
	record, err := v.decoder.Decode(ctx, r.Value)
	if _, registry := errors.AsType[*codec.RegistryError](err); registry || ctx.Err() != nil {
		return f, false, err
	}
	if err == nil && record.Organization != v.cfg.Organization {
		if !hasSource {
			return f, false, nil
		}
		// A registry that was set up again may have given its id to another schema.
		err = errors.New("its value is not of the organization that its header names")
	}
	if err != nil {
		return unread(r, err), true, nil
	}
	ev := auditlog.Event{ID: codec.IDOf(r.Key, record)}
	f = found{name: ev.Name(), raw: []byte(record.RawEvent)}
	f.entry = entry{id: ev.Identity(), value: bytesHash(f.raw), at: auditlog.SecondOf(record.EffectiveAt)}
	if record.EventScope == string(auditlog.ScopeTenant) {
		f.marks |= markTenant
	}
	return f, true, nil
}

// unread is a record whose value cannot be read: ours by its headers, or without any
// owner. It counts as there under its key, so that a repair does not write its event a
// second time.
func unread(r *kafka.Record, err error) found {
	id := string(r.Key)
	if id == "" {
		id, _ = kafka.HeaderOf(r, "ce_id")
	}
	f := found{
		entry:  entry{marks: markUnread},
		unread: &Unreadable{ID: id, Partition: r.Partition, Offset: r.Offset, Cause: err.Error()},
	}
	if id != "" {
		ev := auditlog.Event{ID: id}
		f.id, f.name = ev.Identity(), ev.Name()
	}
	text, _ := kafka.HeaderOf(r, "ce_time")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.marks |= markUntimed
	}
	f.at = auditlog.SecondOf(at)
	return f
}

// letter is a dead letter. One without an id is known by the hash of its bytes.
func letter(r *kafka.Record) found {
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
	return found{entry: e, name: name}
}

// hashOf names an event by its bytes, as a letter that lost its key does.
func hashOf(raw []byte) auditlog.Identity {
	sum := sha256.Sum256(raw)
	return auditlog.IdentityOf("sha256:" + hex.EncodeToString(sum[:]))
}
