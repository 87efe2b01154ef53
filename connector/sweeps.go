package connector

import (
	"context"
	"errors"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// lookEvery is how often the sweepers look for work without being woken.
const lookEvery = 5 * time.Second

// sweeper does one kind of sweeps, one after the other. There are two of them in a
// session, so that late events do not wait for years of history.
//
// A sweeper keeps nothing between two sweeps. What is to be done next follows from the
// cursor and from the time alone, so after a crash it is found again, and a sweep that a
// crash cut off goes on behind its last committed window.
type sweeper struct {
	session *session
	// find returns the sweep that is to be done now; nil if there is none.
	find   func() *sweepRun
	polled <-chan struct{} // closed after the first polls, which go first; nil: they are not waited for
	wake   chan struct{}   // has one when there may be work
}

// findHistory returns the sweep of the oldest history that there is, and nil while none
// can be read: none is left, or a list that it needs cannot be read now.
func (s *session) findHistory() *sweepRun {
	c := s.cursor()
	sweep, ok := window.HistorySweep(c)
	switch from, until := window.HistoryLeft(c); {
	// The progress is of all that is left, and not of this sweep alone: it goes on over
	// sessions and sweeps until no history is left.
	case ok:
		s.backfill.begin(s, from, until)
	case until == 0:
		s.backfill.end(s)
	}
	if !ok {
		return nil
	}
	return newSweepRun(s, sweep, s.backfill)
}

// findWalk returns the sweep of a scope's deep past, when that is due, or of its whole
// lookback where the polls did not reach its end. Where both are due, the deep past
// includes the lookback.
//
// began is taken before anything is read. When the next walk is due counts from there, so
// a walk that takes long does not make the next one late.
func (s *session) findWalk() *sweepRun {
	c, now, began := s.cursor(), s.serverNow(), s.now()
	for _, scope := range auditlog.Scopes() {
		if c.Scopes[scope].State != auditlog.StateOn {
			continue
		}
		var run *sweepRun
		// Not ready while history holds the floor: the walk could not prove that this time is
		// complete, and would be done for nothing.
		deep := window.DeepReady(c, scope, s.policy) && s.lists.deepDue(scope)
		switch {
		case deep:
			run = newSweepRun(s, window.DeepSweep(c, scope, now), &progress{kind: ReadDeep})
		case s.lists.get(scope).behind:
			run = newSweepRun(s, window.HeadSweep(c, scope, now, s.policy), &progress{kind: ReadHead})
		default:
			continue
		}
		run.progress.begin(s, run.From, run.To)
		run.done = func() { run.progress.end(s); s.lists.swept(scope, deep, began) }
		return run
	}
	return nil
}

// run does one sweep after the other, for as long as there are any, and waits for more.
//
// What the API fails at is tried again here, and counts for nothing until then: the state
// is still that of the last commit. What the log fails at ends the session, since then
// only the topic knows what the state is.
func (w *sweeper) run(ctx context.Context) error {
	// Only the first poll turns a gap that downtime left into history: before it, the head and
	// a deep walk would both read the gap.
	if w.polled != nil {
		select {
		case <-w.polled:
		case <-ctx.Done():
			return nil
		}
	}
	failures, replans := 0, 0 // in a row
	for {
		pause := lookEvery
		if sweep := w.find(); sweep != nil {
			w.session.sweeping.Add(1) // a comparison of the topic with the API waits for it
			err := w.inTurn(ctx, sweep, failures > 0)
			w.session.sweeping.Add(-1)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, txlog.ErrFenced), errors.Is(err, txlog.ErrUnconfirmed), errors.Is(err, ErrRefused):
				return err // of the log, or for a person
			case err == nil:
				failures, replans = 0, 0
				continue
			case errors.Is(err, errReplan):
				// Planned again at once. But what moves the state under it, the history of
				// the other scope for one, may do so again and again, and then each try
				// would ask the API for nothing.
				failures = 0
				if replans++; replans == 1 {
					continue
				}
			default:
				failures++
				pause = backoff(failures, time.Minute)
				w.session.log.Warn("reading the past failed", "error", err, "from", sweep.From.String(), "to", sweep.To.String(),
					"backoff", pause.Round(time.Millisecond))
			}
		}
		w.rest(ctx, pause)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// rest waits for the given time, or until a nudge says that there may be work. A nudge may
// be about something that this sweeper does not do: then it finds nothing, and waits again.
func (w *sweeper) rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	case <-ctx.Done():
	}
}
