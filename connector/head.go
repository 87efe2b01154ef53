package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// headPages is how many pages of the head a poll reads. If they do not reach what
// is known, the rest is read in windows, and new events do not wait for it.
const headPages = 10

// headBytes is above how many bytes of events no further page is read, likewise: a
// poll is one transaction, and is held in memory.
const headBytes = 3 << 20

// poller reads the head of each scope, and says how that goes. It is the only reader of
// the time above the live position: two would each find the same events new.
//
// One goroutine owns it, and with it what the session marks as the poller's. So a scope is
// never polled twice at the same time, and a poll begins from the state that the poll
// before it committed.
type poller struct{ session *session }

// run reads the head of each scope, again and again. It closes polled after the first
// round, when it is known how far behind the head is.
func (p *poller) run(ctx context.Context, polled chan<- struct{}) error {
	s := p.session
	for first := true; ; first = false {
		began := s.now()
		// A poll may wait for long because the API said so. The reason must not wait
		// with it.
		watchdog := time.AfterFunc(3*s.cfg.PollInterval, s.tellWaiting)
		err := p.poll(ctx)
		watchdog.Stop()
		if err != nil {
			return err
		}
		reason := p.tellReady()
		s.tellPositions()
		p.tellWalks()
		// Last, since it may be a transaction of its own: the events of this poll are written.
		if err := s.report(ctx, reason); err != nil {
			return err
		}
		if first {
			// What shows up from here on is live. What was there before waited for us, and its
			// age says nothing about how fast we are.
			s.watching = true
			close(polled)
		}
		// From beginning to beginning: a poll that takes long does not make the next one late.
		if err := wait(ctx, max(0, s.cfg.PollInterval-s.now().Sub(began))); err != nil {
			return nil // told to stop
		}
	}
}

// poll reads the head of each scope that is due, and writes what is new, both in
// one transaction. A scope that fails does not stop the other.
//
// The tenant's list is read first: what both list is in the organization's, which
// is read after it, and is so written as the organization's. The other way round, an event
// that both show while the poll runs could be in the tenant's list alone.
//
// A crash anywhere in here, up to the end of the transaction, leaves the live position
// where it was: the next session reads the same time again, and knows by their ids the
// events that were committed before.
//
// An error is one of the commit, or a refusal, and ends the session. A failing API is
// noted, and the next poll asks again.
func (p *poller) poll(ctx context.Context) error {
	s := p.session
	var walks []headWalk
	for _, scope := range []auditlog.Scope{auditlog.ScopeTenant, auditlog.ScopeOrganization} {
		if scope == auditlog.ScopeTenant && s.settings.TenantEvents == TenantOff || !s.lists.due(scope) {
			continue
		}
		walk, err := p.walkHead(ctx, scope)
		if ctx.Err() != nil {
			return nil // told to stop: what was read counts for nothing
		}
		if errors.Is(err, ErrRefused) {
			return err // a person has to decide: the other scope must not go on alone
		}
		if err := p.noteScope(ctx, scope, err); err != nil {
			return err
		}
		// What a walk found before it failed is dropped with it. The next one finds it again.
		if err == nil {
			walks = append(walks, walk)
		}
	}
	// Both scopes in one transaction, also when neither has an event: what the walks prove
	// goes into the cursor with what is written next.
	r, err := p.merge(walks)
	if err != nil {
		return err
	}
	if discarded, err := s.commit(ctx, r); err != nil || discarded {
		// Discarded: the floor rose above where a walk began while it ran, so ids of what it met
		// may be forgotten by now. The next poll begins where it is right.
		return err
	}
	// After the commit, and not before: a walk counts once what it found is written.
	for _, w := range walks {
		if s.lists.walked(w) {
			s.nudge() // the rest of it is for windows
		}
	}
	return nil
}

// headWalk is what a poll of one scope read.
type headWalk struct {
	scope   auditlog.Scope
	from    auditlog.Second
	began   auditlog.Second
	events  []auditlog.Event
	later   []auditlog.Event // written before, and to be remembered for longer
	reached bool             // the end of the list: the walk is complete
	deep    bool             // it began at the floor: complete, it is a walk of the deep past too
	behind  bool             // not even what is known: the rest is for windows
}

// walkHead walks the head of a scope from its live position less the lookback, up
// to what comes while it walks: to the end of the list when a full walk is due,
// and else to the first page that holds nothing new.
//
// Only a walk that reached the end of the list proves anything (reached). One that left
// early, or fell behind, still gives its events to be written: each is known by its id
// when the next walk meets it again.
func (p *poller) walkHead(ctx context.Context, scope auditlog.Scope) (headWalk, error) {
	s := p.session
	c := s.cursor()
	w := headWalk{scope: scope, from: window.HeadFrom(c, scope, s.policy)}
	w.deep = window.WalksDeep(c, scope, w.from)
	full := s.lists.fullWalkDue(scope) // asked once: it may become due while we walk
	pages, bytes := 0, 0
	for page, err := range s.live.Pages(ctx, openai.Query{Scope: scope, AlsoRead: s.alsoRead(scope), From: w.from, Class: openai.Live}) {
		if errors.Is(err, openai.ErrOutOfOrder) {
			// What came so far is written. Windows, which are read to their ends, are
			// complete in any order.
			w.behind = true
			return w, nil
		}
		// Before anything of the page is used: a key that was replaced by one of another
		// organization must not write its events into these topics.
		if err == nil {
			err = s.checkPage(page)
		}
		if err != nil {
			return w, err
		}
		s.notePage(page)
		w.began = page.Began // of the walk, the same on each of its pages
		// The first page alone is compared with the other organizations: it costs a look at
		// every id, and two that share a tenant share its newest events too.
		if pages++; pages == 1 && scope == auditlog.ScopeTenant {
			p.noteTenant(page)
		}
		bytes += page.Bytes
		known := s.ledger.KnowsPage(scope, page.Events) // before what is known is left out
		fresh, later := s.sift(page.Events, page.Began)
		w.events, w.later = append(w.events, fresh...), append(w.later, later...)
		switch {
		case page.Last:
			w.reached = true
		case known && !full:
			return w, nil // below here all is known, but for what is late: a full walk finds that
		case pages == headPages, bytes > headBytes:
			// The newest pages are written now, and a sweep reads the whole lookback. It knows
			// by their ids what this poll wrote.
			w.behind = true
			return w, nil
		}
	}
	return w, nil
}

// alsoRead returns the other scope, if it is read now; else the empty one. An event that
// names the other scope is left to that scope's walk only where there is one.
func (s *session) alsoRead(scope auditlog.Scope) auditlog.Scope {
	if other := scope.Other(); s.cursor().Scopes[other].State == auditlog.StateOn {
		return other
	}
	return ""
}

// noteTenant says once when another organization of this process lists the same tenant
// events: they are written for both.
func (p *poller) noteTenant(page openai.Page) {
	s := p.session
	other := s.tenants.Note(s.name, page.Events)
	if other == "" || other == s.tenantOf {
		return
	}
	s.tenantOf = other
	w := Warning{
		Text:   fmt.Sprintf("It lists the same tenant events as %s: each of them is written once for each of the two.", other),
		Remedy: "To have each once, set ORGANIZATIONS_<n>_TENANT_EVENTS=off for all organizations of the tenant but one.",
	}
	s.telemetry.Warned(s.name, "tenant", w)
	s.log.Warn("two organizations list the same tenant events, and each event is written once for each of them", "other", other, "remedy", w.Remedy)
}

// merge makes one batch of the walks of a poll. An event that both scopes list is
// the organization's. Without a walk it is an empty batch, which the ledger still uses to
// write what is due, such as the cursor of a quiet log.
func (p *poller) merge(walks []headWalk) (encodedBatch, error) {
	s := p.session
	r := encodedBatch{head: true}
	listed := map[auditlog.Scope][]auditlog.Event{}
	var effects []window.Effect
	for _, w := range walks {
		listed[w.scope] = w.events
		r.Later = append(r.Later, w.later...)
		if len(effects) == 0 || w.from < r.From {
			r.From = w.from
		}
		effects = append(effects, p.headEffect(w))
	}
	if len(walks) == 0 {
		r.From = s.cursor().Floor
	}
	// Applied inside the commit, to the cursor as it is then and not as it was when the walks
	// began: a sweep may have changed it meanwhile.
	r.Effect = func(c auditlog.Cursor) auditlog.Cursor {
		for _, effect := range effects {
			c = effect(c)
		}
		return c
	}
	events, repeats := window.Merge(listed)
	if repeats > 0 {
		s.telemetry.Skipped(s.name, repeats)
	}
	var err error
	r.Events = events
	r.encoded, err = s.encodeAll(nil, openai.Page{}, nil, events)
	return r, err
}

// headEffect is what a walk of the head proves. One that was left early proves nothing:
// the live position stays, and the next walk begins where this one did.
func (p *poller) headEffect(w headWalk) window.Effect {
	s := p.session
	switch {
	case w.reached:
		return window.Walked(w.scope, w.from, w.began, s.policy)
	case w.behind && window.Behind(s.cursor(), w.scope, w.began, s.policy):
		return window.CatchUp(w.scope, w.began, s.policy)
	default:
		return func(c auditlog.Cursor) auditlog.Cursor { return c }
	}
}

// encodeAll adds to out what each of the events becomes, in the memory of slab, and drops
// their bytes: the record holds them. Those of the page need not be parsed again. An event
// that cannot be a record comes out as a dead letter; an error is a fault of this program,
// and comes before anything of them is written.
func (s *session) encodeAll(slab *kafka.Slab, page openai.Page, out []target.Encoded, events []auditlog.Event) ([]target.Encoded, error) {
	ingested := s.now()
	out = slices.Grow(out, len(events))
	for i, ev := range events {
		encoded, err := s.encoder.EncodeIn(slab, page.Parsed(ev), ev, ingested)
		if err != nil {
			return nil, err
		}
		out = append(out, encoded)
		events[i].Raw = ownRaw(ev)
	}
	return out, nil
}

// ownRaw is what is kept of an event's bytes: those of an event without an id, since they
// are its identity. They are copied, for the page that they are in is given back.
func ownRaw(ev auditlog.Event) []byte {
	if ev.ID != "" {
		return nil
	}
	return bytes.Clone(ev.Raw)
}

// notePage takes the clock of the API from a page. Each page brings it, so a host whose
// clock is put right is noticed at the next one, and not at the next start.
func (s *session) notePage(page openai.Page) {
	s.mu.Lock()
	was := s.skew
	s.skew = page.Skew
	s.mu.Unlock()
	s.warnOfClock(was, page.Skew)
	if n := page.Repeats + page.Strays; n > 0 {
		s.telemetry.Skipped(s.name, n)
	}
}

// warnOfClock warns once of clocks that are far apart.
func (o *organization) warnOfClock(was, is time.Duration) {
	const notable = 5 * time.Minute
	if is.Abs() > notable && was.Abs() <= notable {
		o.log.Warn("the API's clock and this host's differ; the earlier one is used, so new events may be read again for longer",
			"api_ahead_by", is.Round(time.Second))
	}
}
