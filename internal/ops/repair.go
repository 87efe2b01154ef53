package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Repair is Verify, and then writes what is missing. It may run beside the
// connector, be killed at any moment and run again: each event is written once.
//
//  1. It fences its own transactional id. An earlier repair can write nothing more, and
//     what it had open is aborted or committed.
//  2. Then it reads the cursor. Between its start and floor, outside of history,
//     the connector never reads again, even if it goes on meanwhile.
//  3. Then the topic, to the high watermark of that moment: all that the connector
//     and earlier repairs ever wrote there is before it.
//  4. Then the API. What the API lists there and the topic lacks is written by the
//     repair alone. So is what the connector remembers to have written and the topic
//     lost since.
//
// Into the offsets topic goes only the checkpoint of what repairs wrote: ids below the
// floor are not remembered.
func Repair(ctx context.Context, c Config, from, to auditlog.Second) (*Report, error) {
	v, err := newVerification(c, from, to)
	if err != nil {
		return nil, err
	}
	topics, err := c.Describe(ctx, c.Topics.Roles()...)
	if err != nil {
		return nil, err
	}
	partition, offsets, err := place(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	// A crash after this has fenced a repair that runs elsewhere, and nothing more.
	log, stored, err := c.Open(ctx, target.Opening{ID: c.RepairID(), Partition: partition, ChangesTo: changesTo(c.Target, c.RepairID(), offsets), Topics: topics, StopGrace: cmp.Or(c.StopGrace, stopGrace)})
	if err != nil {
		return nil, repairError(err)
	}
	defer log.Close()
	state, err := stateOf(c, stored)
	if err != nil {
		return nil, err
	}
	v.state = state
	sealer, err := newRepairSeal(ctx, c.Target, topics, state.Cursor)
	if err != nil {
		return nil, err
	}
	encoder, err := repairEncoder(ctx, c.Target, topics, state.Cursor, sealer.header())
	if err != nil {
		return nil, err
	}
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	r := &repair{verification: v, log: log, encoder: encoder, sealer: sealer}
	if err := r.run(ctx); err != nil {
		return nil, repairError(err)
	}
	report, err := v.report(ctx)
	if err == nil {
		report.Repaired = &r.written
	}
	return report, err
}

// repairEncoder returns the connector's encoder. It refuses topics and framings that
// the connector would refuse.
func repairEncoder(ctx context.Context, t target.Target, found target.Found, cursor auditlog.Cursor, number string) (*target.Encoder, error) {
	if cursor.StartAnew {
		return nil, errors.New("the cursor was reset: the next run writes all of it again, so there is nothing to repair")
	}
	format, err := t.Format(ctx)
	if err == nil {
		err = t.CheckSame(ctx, cursor, found, format)
	}
	if err != nil {
		return nil, err
	}
	return t.Encoder(found, t.KeepFormat(format, &cursor), number)
}

// repairError says what an error means for a repair: it can always be given again.
func repairError(err error) error {
	if errors.Is(err, txlog.ErrFenced) {
		return fmt.Errorf("another repair of the organization was started, and goes on: %w", err)
	}
	if errors.Is(err, txlog.ErrUnconfirmed) {
		return fmt.Errorf("the repair stopped; give the command again, nothing is written twice: %w", err)
	}
	return err
}

// repair writes what a verification found missing.
type repair struct {
	*verification
	log     *txlog.Log
	encoder *target.Encoder
	sealer  *repairSeal // nil: nothing is sealed
	written int

	pending []pending // of the next transaction
	bytes   int
}

// pending is an event that is to be written.
type pending struct {
	*absent
	encoded target.Encoded
}

// The size of a transaction of a repair.
const (
	repairEvents = 1000
	repairBytes  = 4 << 20
)

// run writes the missing events in windows, oldest first. The API is asked for
// them once more, so that no more than a transaction of them is in memory.
func (r *repair) run(ctx context.Context) error {
	var missing []*absent
	for _, a := range r.oldestFirst() {
		if r.mayWrite(a) {
			missing = append(missing, a)
		}
	}
	near := r.pageTime()
	for rest := missing; len(rest) > 0; {
		n := together(rest, near)
		if err := r.window(ctx, window.Window{From: rest[0].at, To: rest[n-1].at.Next()}); err != nil {
			return err
		}
		rest = rest[n:]
		r.cfg.progress("repairing", int64(len(missing)-len(rest)), int64(len(missing)))
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.log.Settle(ctx) // what is reported as repaired can be seen
}

// pageTime returns the time in which the API lists about a page of events: to read
// over so much costs no more than another request.
func (r *repair) pageTime() time.Duration {
	const page = 100
	return r.to.Sub(r.from) / time.Duration(max(1, r.listed/page))
}

// together returns how many of the missing events are read as one window: whole
// seconds, near to each other, and about a transaction of them.
func together(missing []*absent, near time.Duration) int {
	n := 1
	for ; n < len(missing); n++ {
		if missing[n].at == missing[n-1].at {
			continue
		}
		if n >= repairEvents || missing[n].at.Sub(missing[n-1].at) > near {
			break
		}
	}
	return n
}

// mayWrite reports whether the topic has the event at no time, and only a repair will
// write it.
func (r *repair) mayWrite(a *absent) bool {
	return !a.is(absentTaken|absentElsewhere) && r.reader(a) == window.LeftToRepair && !r.expired(a)
}

// window takes what is missing in it.
func (r *repair) window(ctx context.Context, w window.Window) error {
	var failed error
	read := r.cfg.Clock()
	err := r.listAgain(ctx, w, func(ev auditlog.Event) {
		if failed == nil {
			failed = r.take(ctx, ev, read)
		}
	})
	return errors.Join(failed, err)
}

// take puts the event, which was read at a time, into the transaction if it is to be written.
func (r *repair) take(ctx context.Context, ev auditlog.Event, read time.Time) error {
	a := r.absent.find(ev.Identity())
	if a == nil || !r.mayWrite(a) {
		return nil
	}
	encoded, err := r.encoder.Encode(ev, read)
	if err != nil {
		return err
	}
	a.state |= absentTaken
	r.pending = append(r.pending, pending{a, encoded})
	if r.bytes += encoded.Bytes; len(r.pending) < repairEvents && r.bytes < repairBytes {
		return nil
	}
	return r.flush(ctx)
}

// flush writes the transaction. A crash before it leaves everything missing that
// is in it, and one after it nothing: the next repair reads the topic to find out.
func (r *repair) flush(ctx context.Context) error {
	slices.SortStableFunc(r.pending, func(a, b pending) int { return cmp.Compare(a.at, b.at) })
	var out []kafka.Message
	for _, p := range r.pending {
		out = append(out, p.encoded.Records...)
	}
	out, checkpoint, err := r.sealer.seal(out, r.cfg.Clock())
	if err != nil {
		return err
	}
	if err := r.log.Commit(ctx, out, checkpoint); err != nil {
		return err
	}
	for _, p := range r.pending {
		p.state |= absentRepaired
	}
	r.written += len(r.pending)
	r.pending, r.bytes = nil, 0
	return nil
}
