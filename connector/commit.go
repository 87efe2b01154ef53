package connector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/records"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// read is a batch with what its events become, one by one.
type read struct {
	window.Batch
	encoded []records.Encoded
	began   auditlog.Second // when its walks began, for a part of a long one
	head    bool            // found at the head, so its delay says how fresh we are
	must    bool            // write the cursor whatever there is to write
}

// commit writes what of the read is not written yet, with the cursor and the ids,
// in one transaction. discarded says that the read was planned in another state
// and counts for nothing; it is to be planned anew.
//
// An error ends the session: only the topic knows what happened.
func (s *session) commit(ctx context.Context, r read) (discarded bool, err error) {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return false, ctx.Err() // told to stop: no new transaction begins
	}

	// Held against committed state, inside the commit: another read may have
	// written some of it since it was fetched.
	s.mu.Lock()
	step := s.state.Stage(r.Batch)
	s.mu.Unlock()
	if step.Discard {
		return true, nil
	}
	if !step.Writes() && !s.due(r) && !s.endsHistory(step) {
		// Nothing to write: what the read proves is kept in memory until there is.
		// A crash reads it again. Ids are forgotten only together with the topic.
		step.Forget = nil
		s.advance(step)
		return false, nil
	}

	written := r.written(step)
	out := make([]txlog.Record, 0, len(written))
	for _, e := range written {
		out = e.AppendTo(out)
	}
	step.Cursor.WrittenAt = auditlog.SecondOf(s.now())
	changes, err := s.changes(step)
	if err != nil {
		return false, err
	}
	began := s.now()
	// A crash before this changes nothing. One inside it leaves a transaction that
	// the next start finds committed or not, as a whole. One after it, before the
	// state advances, loses memory only: the next start reads the same from the
	// topic.
	s.setSent(began)
	err = s.kafkaLog.Commit(ctx, out, changes)
	s.setSent(time.Time{})
	s.telemetry.Committed(s.Name, result(err), s.now().Sub(began))
	if err != nil {
		return false, err
	}
	s.advance(step)
	s.committed = s.now()
	s.commits.Add(1)
	s.tellWritten(r, step, written)
	return false, nil
}

// commitCursor writes the cursor as it is.
func (s *session) commitCursor(ctx context.Context) error {
	for {
		r := read{Batch: window.Batch{From: s.cursor().Floor}, must: true}
		// Discarded: the floor rose since it was looked at.
		if discarded, err := s.commit(ctx, r); err != nil || !discarded {
			return err
		}
	}
}

// setSent notes that a transaction waits for its answer, or that none does.
func (s *session) setSent(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = at
}

// due reports whether the cursor is to be written though there is nothing else.
func (s *session) due(r read) bool {
	age := s.now().Sub(s.committed)
	return r.must || age >= cursorEvery || r.History != nil && age >= historyEvery
}

// endsHistory reports whether the step reads the last of the history. Whoever looks
// at the cursor waits for that, and it comes once.
func (s *session) endsHistory(step window.Step) bool {
	return window.HasHistory(s.cursor()) && !window.HasHistory(step.Cursor)
}

func (s *session) advance(step window.Step) {
	s.mu.Lock()
	changed := window.HasHistory(step.Cursor) && !window.HasHistory(s.state.Cursor)
	s.state.Advance(step)
	s.mu.Unlock()
	if changed {
		s.nudge()
	}
	s.tellPositions()
}

// written returns what the step's events become, oldest first.
func (r read) written(step window.Step) []records.Encoded {
	at := make(map[auditlog.Identity]int, len(r.Events))
	for i := len(r.Events) - 1; i >= 0; i-- {
		at[r.Events[i].Identity()] = i // of a repeat, the first is written
	}
	out := make([]records.Encoded, len(step.Write))
	for i, ev := range step.Write {
		out[i] = r.encoded[at[ev.Identity()]]
	}
	return out
}

// changes returns what the step does to the offsets topic: the cursor, the ids
// written, and tombstones for those no longer needed.
func (s *session) changes(step window.Step) ([]txlog.Change, error) {
	out := make([]txlog.Change, 0, 1+len(step.Seen)+len(step.Forget))
	for _, part := range step.Seen {
		value, err := auditlog.EncodeSeen(part.Names)
		if err != nil {
			return nil, err
		}
		out = append(out, txlog.Change{Key: part.Bucket.Key(s.Name), Value: value})
	}
	for _, bucket := range step.Forget {
		out = append(out, txlog.Change{Key: bucket.Key(s.Name)})
	}
	value, err := step.Cursor.Encode()
	if err != nil {
		return nil, err
	}
	return append(out, txlog.Change{Key: auditlog.CursorKey(s.Name), Value: value}), nil
}

func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, txlog.ErrFenced):
		return "fenced"
	default:
		return "unconfirmed"
	}
}

// tellWritten reports what a commit added.
func (s *session) tellWritten(r read, step window.Step, written []records.Encoded) {
	if len(step.Write) == 0 {
		return
	}
	now := s.now()
	byScope := map[auditlog.Scope]*Written{}
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	for i, ev := range step.Write {
		w := byScope[ev.Scope]
		if w == nil {
			w = &Written{Scope: string(ev.Scope), History: r.History != nil, DeadLetters: map[string]int{}}
			byScope[ev.Scope] = w
		}
		e := written[i]
		if e.Reason != "" {
			w.DeadLetters[string(e.Reason)]++
			continue
		}
		w.Events++
		if !e.Info.KnownType {
			w.Unknown++
		}
		if r.head {
			if s.watching && ev.Placed() { // else it waited for us
				w.Delays = append(w.Delays, now.Sub(ev.EffectiveAt.Time()))
			}
			if ev.EffectiveAt < s.newest {
				w.Late++
			}
		}
		newest = max(newest, ev.EffectiveAt)
		w.Newest = newest.Time()
		if i >= len(step.Write)-latestKept {
			w.Latest = append(w.Latest, latest(ev, e))
		}
	}
	s.mu.Lock()
	s.newest = newest
	s.mu.Unlock()
	for _, w := range byScope {
		s.telemetry.Written(s.Name, *w)
	}
	level := slog.LevelDebug // history tells of its progress elsewhere
	if r.head {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "committed", "events", len(step.Write), "newest", newest.String())
}

// latestKept is how many events of a commit the status page can get.
const latestKept = 20

func latest(ev auditlog.Event, e records.Encoded) LatestEvent {
	return LatestEvent{
		Time: ev.EffectiveAt.Time(), ID: ev.ID, Type: ev.Type, Scope: string(ev.Scope),
		Actor: e.Info.Actor, IP: e.Info.IP,
	}
}
