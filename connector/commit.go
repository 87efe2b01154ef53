package connector

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// encodedBatch is what one read of the API found, with what each of its events becomes.
type encodedBatch struct {
	window.Batch
	encoded []target.Encoded
	memory  *memory         // what it is made in, to be given back when it is written; nil: nothing of that kind
	began   auditlog.Second // when its walks began, for a part of a long one
	head    bool            // found at the head, so its delay says how fresh we are
	must    bool            // write the cursor whatever there is to write
}

// commit writes those events of the batches that are not written yet, with the cursor and
// the ids, in one transaction, and reports it. discarded says that one of the batches was
// planned in another state: it and those after it count for nothing, and are to be planned
// again. It is no error, and the batches before it are committed.
//
// If we crash before the end of the transaction is decided, nothing of it is in any
// topic, and the earlier cursor stays: the next start reads the same again. If we
// crash after that, all of it is there, and the cursor in it says so.
//
// An error of the log ends the session: only the topic knows what happened. To go on with
// the state in memory would write the events a second time where the transaction was
// committed and its answer was lost. Any other comes before the transaction has begun.
func (s *session) commit(ctx context.Context, read ...encodedBatch) (discarded bool, err error) {
	batches := make([]ledger.Batch, len(read))
	for i, r := range read {
		batches[i] = ledger.Batch{
			Batch: r.Batch, Must: r.must,
			Records: func(event int, out []kafka.Message) []kafka.Message { return append(out, r.encoded[event].Records...) },
		}
	}
	// What is written already is left out in there, under the lock that one commit holds at
	// a time: another loop may have written it since this was read.
	out, err := s.ledger.Commit(ctx, batches...)
	s.tellCommit(out, err)
	// Only what is known to be committed counts as written. An unknown outcome is shown by
	// the next session, which reads it.
	if err == nil && out.Sent {
		s.tellWritten(read, out.Step)
	}
	return out.Step.Discard, err
}

// apply writes an effect that needs no events: with must at once, and otherwise with what is
// written next. What is only in memory when we crash is found out again, from the API or
// from the settings that it came from.
func (s *session) apply(ctx context.Context, effect window.Effect, must bool) error {
	out, err := s.ledger.Apply(ctx, effect, must)
	s.tellCommit(out, err)
	return err
}

// tellCommit reports how a commit ended, and wakes the sweepers where it left them work.
func (s *session) tellCommit(out ledger.Outcome, err error) {
	if out.Sent {
		s.telemetry.Committed(s.name, result(err), out.Took)
	}
	if err != nil || out.Step.Staged == 0 {
		return // the state is what it was
	}
	if out.NewHistory {
		s.nudge() // or a gap that was just found would wait for the next look
	}
	s.tellPositions()
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

// tellWritten reports what a commit of batches of one kind added: of history, of the deep
// past, or of the head. Only the head says how fresh the topic is.
func (s *session) tellWritten(read []encodedBatch, step window.Step) {
	if len(step.Write) == 0 {
		return
	}
	now, head, history := s.now(), read[0].head, read[0].History != nil
	byScope := map[auditlog.Scope]*Written{}
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	before := newest // an event behind it is late, however the commit is ordered
	for i, at := range step.Write {
		ev, e := read[at.Batch].Events[at.Event], read[at.Batch].encoded[at.Event]
		w := byScope[ev.Scope]
		if w == nil {
			w = &Written{Scope: string(ev.Scope), History: history, DeadLetters: map[string]int{}}
			byScope[ev.Scope] = w
		}
		if e.Reason != "" { // it is in the dead letter topic, and in no other
			w.DeadLetters[string(e.Reason)]++
			continue
		}
		w.Events++
		if !e.Info.KnownType {
			w.Unknown++
		}
		if head {
			if s.watching && ev.Placed() { // else it waited for us
				w.Delays = append(w.Delays, now.Sub(ev.EffectiveAt.Time()))
			}
			if ev.EffectiveAt < before {
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
	s.newest = max(s.newest, newest) // another loop may have set a newer one meanwhile
	s.mu.Unlock()
	for _, w := range byScope {
		s.telemetry.Written(s.name, *w)
	}
	level := slog.LevelDebug // history tells of its progress elsewhere
	if head {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "committed", "events", len(step.Write), "newest", newest.String())
}

// latestKept is how many events of a commit the status page can get.
const latestKept = 20

func latest(ev auditlog.Event, e target.Encoded) LatestEvent {
	return LatestEvent{
		Time: ev.EffectiveAt.Time(), Scope: string(ev.Scope),
		ID: strings.Clone(ev.ID), Type: strings.Clone(ev.Type), // they hold all of a page
		Actor: strings.Clone(e.Info.Actor), IP: strings.Clone(e.Info.IP),
	}
}
