package openai

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// strayMost is how many events of any page may lie outside the time asked for. A page
// with more of them, which are also more than half of its events, was not made for this
// request.
const strayMost = 10

// within reports whether a time is one that was asked for.
func (w *walk) within(at auditlog.Second) bool {
	q := w.req.Query
	return w.req.unfiltered || at >= q.From && (!q.Bounded || at < q.To)
}

// checkWindow refuses a page that ignores the time asked for. A few odd events do not:
// they must not stop all others.
func (w *walk) checkWindow(events []auditlog.Event) error {
	timed, outside := 0, 0
	for _, e := range events {
		if e.Timed {
			timed++
			if !w.within(e.EffectiveAt) {
				outside++
			}
		}
	}
	if outside <= strayMost || 2*outside <= timed {
		return nil
	}
	to := "on"
	if w.req.Bounded {
		to = "to " + w.req.last().String()
	}
	return w.disordered("%d of its %d events are outside of the time that was asked for: from %v %s", outside, timed, w.req.From, to)
}

// elsewhere reports whether a list of the event's own second shows it too: this scope's
// list, or the other scope's if that is read. Then the walk that reads that second writes
// it, and this walk must not, or it would be there twice. If neither shows it, the place
// where it is listed is its only one.
//
// The answer must be of the organization whose page has the event.
func (w *walk) elsewhere(ctx context.Context, e auditlog.Event, organization string) (bool, error) {
	if w.looksUp {
		return true, nil // this list is only read to look for another event
	}
	key := stray{w.req.Scope, w.req.AlsoRead, e.Identity(), e.EffectiveAt}
	if shown, ok := w.client.strays.get(key, w.client.cfg.Now()); ok {
		return shown, nil
	}
	shown := false
	for _, scope := range []auditlog.Scope{w.req.Scope, w.req.AlsoRead} {
		if scope == "" || shown {
			continue
		}
		own := w.client.walk(request{limit: pageLimit, Query: Query{
			Scope: scope, From: e.EffectiveAt, To: e.EffectiveAt.Next(), Bounded: true, ToEnd: true, Class: w.req.Class,
		}})
		own.looksUp = true
		var err error
		if shown, err = own.shows(ctx, key.id, organization); err != nil {
			return false, err
		}
	}
	w.client.cfg.Logger.Warn("the API lists an event outside of the event's own time; it is read at its own time if that lists it too, and otherwise here",
		"scope", string(w.req.Scope), "effective_at", e.EffectiveAt.String(), "its_own_lists_it", shown)
	w.client.strays.put(key, shown, w.client.cfg.Now())
	return shown, nil
}

// shows reports whether the walk's list has the event. A time that the API itself
// refuses has none. Any other error says nothing: a proxy's page in place of the list
// must not let the event be written twice.
func (w *walk) shows(ctx context.Context, id auditlog.Identity, organization string) (bool, error) {
	for {
		page, err := w.next(ctx)
		if e := (*Error)(nil); errors.As(err, &e) && e.refusesTime() {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if page.Organization != organization {
			return false, w.disordered("it is of a different organization than the page before it")
		}
		for _, e := range page.Events {
			if e.Identity() == id {
				return true, nil
			}
		}
		if page.Last {
			return false, nil
		}
	}
}

// refusesTime reports whether the API said that it has no such time.
func (e *Error) refusesTime() bool {
	return e.Kind == KindRejected && e.FromAPI &&
		(e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
}

// stray is an event that is listed outside its time.
type stray struct {
	scope, also auditlog.Scope
	id          auditlog.Identity
	at          auditlog.Second
}

// strays keeps for an hour what was found out about strays: one may be on every page
// of the head, and must not cost a request each time.
type strays struct {
	mu    sync.Mutex // guards what follows
	since time.Time
	shown map[stray]bool
}

const straysKept = 1000

func (s *strays) get(key stray, now time.Time) (shown, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) > time.Hour {
		s.shown = nil
	}
	shown, ok = s.shown[key]
	return shown, ok
}

func (s *strays) put(key stray, shown bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == nil || len(s.shown) == straysKept {
		s.shown, s.since = map[stray]bool{}, now
	}
	s.shown[key] = shown
}
