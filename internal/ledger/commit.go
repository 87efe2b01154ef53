package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

const (
	// CursorEvery is how often a quiet log writes its cursor. That keeps the
	// transactional id alive, which brokers forget after a week, and tells other
	// hosts that somebody is at work.
	CursorEvery = 10 * time.Minute
	// historyEvery is how often history writes its cursor while it finds nothing: a
	// crash reads that much again.
	historyEvery = 10 * time.Second
)

// Batch is what a read found, and how its events are written.
type Batch struct {
	window.Batch
	// Records appends the records of one of Events, given by its index.
	Records func(event int, out []kafka.Message) []kafka.Message
	// Must writes the cursor also when there is nothing else to write.
	Must bool
}

// Outcome is what a commit did. Step says which of the batches are in it: with
// Step.Discard the batch after those was planned in another state, and is to be planned
// again with all that follow it.
type Outcome struct {
	Step       window.Step
	Sent       bool          // a transaction was needed
	Took       time.Duration // from its beginning to its answer
	NewHistory bool          // there is history to read now, and there was none
}

// Commit writes what of the batches is not written yet, with the cursor and the ids, in
// one transaction. Each batch is compared with the state as it is after those before it,
// so that several windows in order can go into one transaction.
//
// What was written is known when it returns nil. After any other error than that of ctx
// before a transaction began, only the topic knows.
func (l *Ledger) Commit(ctx context.Context, batches ...Batch) (Outcome, error) {
	if err := l.lock(ctx); err != nil {
		return Outcome{}, err // told to stop: no new transaction begins
	}
	defer l.unlock()
	step := l.stage(batches)
	if step.Staged == 0 {
		return Outcome{Step: step}, nil
	}
	if !step.Writes() && !l.due(batches[:step.Staged]) && !l.endsHistory(step) {
		// Nothing to write: what the read proves is kept in memory until there is.
		// A crash reads it again. Ids are forgotten only together with the topic.
		step.Forget = nil
		return Outcome{Step: step, NewHistory: l.advance(step)}, nil
	}

	step.Cursor.WrittenAt = auditlog.SecondOf(l.now())
	list := messageLists.Take()
	out := records((*list)[:0], batches, step)
	checkpoints, published, err := l.seal(&step, out, must(batches[:step.Staged]))
	if err != nil {
		return Outcome{Step: step}, err
	}
	changes, err := l.changes(step, checkpoints)
	if err != nil {
		return Outcome{Step: step}, err
	}
	// A crash before this changes nothing. One inside it leaves a transaction that
	// the next start finds committed or not, as a whole. One after it, before the
	// state advances, loses memory only: the next start reads the same from the
	// topic.
	out = append(out, published...)
	took, err := l.write(ctx, out, changes)
	if err != nil {
		return Outcome{Step: step, Sent: true, Took: took}, err
	}
	if len(out) <= keptMessages {
		clear(out) // nothing may be kept alive by what was written
		*list = out
		messageLists.Give(list)
	}
	l.committed = l.now()
	return Outcome{Step: step, Sent: true, Took: took, NewHistory: l.advance(step)}, nil
}

// Apply writes an effect that needs no events: with must at once, else with what is
// written next. The floor may rise while it is planned; then it is planned again.
func (l *Ledger) Apply(ctx context.Context, effect window.Effect, must bool) (Outcome, error) {
	for {
		b := Batch{Batch: window.Batch{From: l.Cursor().Floor, Effect: effect}, Must: must}
		if out, err := l.Commit(ctx, b); err != nil || !out.Step.Discard {
			return out, err
		}
	}
}

// WriteBeside writes changes that are no part of the state, in a transaction of their own.
func (l *Ledger) WriteBeside(ctx context.Context, changes ...txlog.Change) (Outcome, error) {
	if err := l.lock(ctx); err != nil {
		return Outcome{}, err
	}
	defer l.unlock()
	took, err := l.write(ctx, nil, changes)
	return Outcome{Sent: true, Took: took}, err
}

// lock waits until no other commit is under way.
func (l *Ledger) lock(ctx context.Context) error {
	select {
	case l.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		l.unlock()
		return err
	}
	return nil
}

func (l *Ledger) unlock() { <-l.writing }

// stage compares the batches with the state, inside the lock: another commit may have
// written some of their events since they were read.
func (l *Ledger) stage(batches []Batch) window.Step {
	reads := make([]window.Batch, len(batches))
	for i, b := range batches {
		reads[i] = b.Batch
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Stage(reads...)
}

// due reports whether the cursor is to be written though there is nothing else.
func (l *Ledger) due(batches []Batch) bool {
	age := l.now().Sub(l.committed)
	if age >= CursorEvery {
		return true
	}
	history := slices.ContainsFunc(batches, func(b Batch) bool { return b.History != nil })
	return must(batches) || history && age >= historyEvery
}

// must reports whether one of the batches asks for the cursor.
func must(batches []Batch) bool {
	return slices.ContainsFunc(batches, func(b Batch) bool { return b.Must })
}

// endsHistory reports whether the step reads the last of the history. People who look at
// the cursor wait for that, and it comes once.
func (l *Ledger) endsHistory(step window.Step) bool {
	return window.HasHistory(l.Cursor()) && !window.HasHistory(step.Cursor)
}

// keptMessages is up to how many messages a list is kept for the next transaction. Usual ones
// of a history have up to three thousand, and a list stays when the history is read.
const keptMessages = 4096

// messageLists are the lists of transactions that were written. All organizations of a
// process share them, or each of a hundred would keep one of its own.
var messageLists = spare.List[[]kafka.Message]{Most: 4}

// records appends to out what the step's events become, in its order.
func records(out []kafka.Message, batches []Batch, step window.Step) []kafka.Message {
	for _, at := range step.Write {
		out = batches[at.Batch].Records(at.Event, out)
	}
	return out
}

// changes returns what the step does to the offsets topic: the ids written, tombstones
// for those no longer needed, the checkpoints, and the cursor.
func (l *Ledger) changes(step window.Step, checkpoints []txlog.Change) ([]txlog.Change, error) {
	out := make([]txlog.Change, 0, 1+len(step.Remember)+len(step.Forget)+len(checkpoints))
	for _, part := range step.Remember {
		value, err := auditlog.EncodeSeen(part.Names)
		if err != nil {
			return nil, err
		}
		out = append(out, txlog.Change{Key: part.Bucket.Key(l.organization), Value: value})
	}
	for _, bucket := range step.Forget {
		out = append(out, txlog.Change{Key: bucket.Key(l.organization)})
	}
	out = append(out, checkpoints...)
	value, err := step.Cursor.Encode()
	if err != nil {
		return nil, err
	}
	return append(out, txlog.Change{Key: auditlog.CursorKey(l.organization), Value: value}), nil
}

// write sends one transaction and waits for its answer.
func (l *Ledger) write(ctx context.Context, records []kafka.Message, changes []txlog.Change) (took time.Duration, err error) {
	began := l.now()
	l.setSent(began)
	err = l.log.Commit(ctx, records, changes)
	l.setSent(time.Time{})
	if err == nil {
		l.commits.Add(1)
	}
	return l.now().Sub(began), err
}

func (l *Ledger) setSent(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = at
}

// advance makes the step's outcome the state. It reports whether there is history to
// read now, and was none.
func (l *Ledger) advance(step window.Step) (newHistory bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newHistory = window.HasHistory(step.Cursor) && !window.HasHistory(l.state.Cursor)
	l.state.Advance(step)
	return newHistory
}
