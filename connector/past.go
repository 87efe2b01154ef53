package connector

import (
	"context"
	"errors"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// lookEvery is how often the readers of the past look for work that nobody told
// them of.
const lookEvery = 5 * time.Second

// past is when a reader of the past works: after the first polls, and again when it
// is woken.
type past struct {
	polled <-chan struct{}
	wake   chan struct{} // has one when there may be work
}

// readHistory reads what history there is, oldest first.
func (s *session) readHistory(ctx context.Context, work past) error {
	return s.readPast(ctx, work, func() (stretch, bool) {
		c := s.cursor()
		g, ok := window.NextHistory(c)
		switch from, until := window.HistoryLeft(c); {
		case ok:
			s.backfill.begin(s, from, until)
		case until == 0:
			s.backfill.end(s)
		}
		return stretch{from: g.From, to: g.To, scopes: g.Scopes, segment: &g, progress: s.backfill}, ok
	})
}

// walkFully walks the whole lookback of a scope where the polls did not reach its
// end, and the deep past of each when that is due.
func (s *session) walkFully(ctx context.Context, work past) error {
	return s.readPast(ctx, work, func() (stretch, bool) {
		c, now, began := s.cursor(), s.serverNow(), s.now()
		for _, scope := range auditlog.Scopes() {
			if c.Scopes[scope].State != auditlog.StateOn {
				continue
			}
			from, how := window.HeadFrom(c, scope, s.policy), &progress{read: ReadHead}
			deep := s.deepDue(c, scope)
			switch {
			case deep:
				from, how = window.DeepFrom(c, scope), &progress{read: ReadDeep}
			case !s.behind(scope):
				continue
			}
			how.begin(s, from, max(from, now)+1)
			return stretch{
				from: from, to: max(from, now) + 1, open: true, scopes: []auditlog.Scope{scope}, progress: how,
				finished: func(began auditlog.Second) window.Effect { return window.Walked(scope, from, began, s.policy) },
				written:  func() { how.end(s); s.caughtUp(scope, deep, began) },
			}, true
		}
		return stretch{}, false
	})
}

// caughtUp notes that a long walk that began at a time reached the end of the list.
func (s *session) caughtUp(scope auditlog.Scope, deep bool, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health[scope]
	h.behind, h.fullWalk = false, s.now()
	if deep {
		h.nextDeep = began.Add(window.DeepWalkEvery)
	}
}

// deepDue reports whether the deep past of the scope is to be walked now. That goes by
// our own clock: a walk whose server's clock is behind moves no position, and must not
// be walked again at once for that, without end.
func (s *session) deepDue(c auditlog.Cursor, scope auditlog.Scope) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return window.DeepReady(c, scope, s.policy) && !s.now().Before(s.health[scope].nextDeep)
}

func (s *session) behind(scope auditlog.Scope) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health[scope].behind
}

// readPast reads one stretch after the other, for as long as find has any, and
// waits for more.
func (s *session) readPast(ctx context.Context, work past, find func() (stretch, bool)) error {
	select {
	case <-work.polled:
	case <-ctx.Done():
		return nil
	}
	failures, replans := 0, 0 // in a row
	for {
		pause := lookEvery
		if st, ok := find(); ok {
			err := s.readInTurn(ctx, st)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, txlog.ErrFenced), errors.Is(err, txlog.ErrUnconfirmed), errors.Is(err, ErrRefused):
				return err
			case err == nil:
				failures, replans = 0, 0
				continue
			case errors.Is(err, errReplan):
				// Planned anew at once. But what moves the state under it, the history of
				// the other scope for one, may do so again and again, and then each try
				// would ask the API for nothing.
				failures = 0
				if replans++; replans == 1 {
					continue
				}
			default:
				failures++
				pause = backoff(failures, time.Minute)
				s.log.Warn("reading the past failed", "error", err, "from", st.from.String(), "to", st.to.String(),
					"backoff", pause.Round(time.Millisecond))
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-work.wake:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}
