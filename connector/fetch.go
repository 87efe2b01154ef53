package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// fetchTries is how often a window is read from its start before the plan is made
// anew: what keeps failing may be the list of a scope that is left out by then.
const fetchTries = 5

// fetchWindow reads a window to its end, and gives its parts to the slot: one,
// unless it is a single second that is too dense for one transaction. What may
// pass is tried again; the walk begins anew each time.
func (s *session) fetchWindow(ctx context.Context, st stretch, sl *slot) (res fetched) {
	res.slot = sl
	began, pages := s.now(), 0
	defer func() { res.page = s.now().Sub(began) / time.Duration(max(1, pages)) }()
	for attempt := 1; ; attempt++ {
		f := &fetch{session: s, stretch: st, slot: sl, known: map[auditlog.Identity]struct{}{}, began: auditlog.MaxSecond}
		err := f.run(ctx)
		pages += f.pages
		if err != nil {
			f.count(-f.counted, -f.events) // it comes again
		}
		switch {
		case err == nil:
			res.events, res.bytes = f.events, f.allBytes
			close(sl.parts)
			return res
		case errors.Is(err, errDense):
			res.dense = f.estimate
			return res
		case ctx.Err() != nil || !passes(err) || attempt == fetchTries:
			res.err = err
			return res
		}
		pause := backoff(attempt, time.Minute)
		s.log.Warn("reading a window failed; it is read again from its start", "error", err,
			"from", sl.window.From.String(), "to", sl.window.To.String(), "backoff", pause.Round(time.Millisecond))
		if res.err = wait(ctx, pause); res.err != nil {
			return res
		}
	}
}

// passes reports whether the same walk may succeed later. A scope that is refused
// is a change of plan, which is for the head's polls to find.
func passes(err error) bool {
	e, ok := errors.AsType[*openai.Error](err)
	return ok && !e.Denied() && e.Kind != openai.KindRejected
}

var errDense = errors.New("too many events for one window")

// fetch is one try at a window.
type fetch struct {
	*session
	stretch
	slot *slot

	known    map[auditlog.Identity]struct{} // listed in this window, or beside it
	only     map[auditlog.Identity]struct{} // of the tenant's, to take no others; nil: all
	part     read
	bytes    int // of the part
	allBytes int
	events   int
	pages    int
	counted  int64 // seconds of the window, in its progress
	estimate int
	began    auditlog.Second
}

func (f *fetch) run(ctx context.Context) error {
	f.reset()
	if f.segment != nil && f.segment.Beside != "" {
		if err := f.walk(ctx, f.segment.Beside, f.leaveOut); err != nil {
			return err
		}
	}
	scopes := f.scopes
	if f.tenantAlone() {
		if err := f.peek(ctx); err != nil {
			return err
		}
		if scopes = auditlog.Scopes(); len(f.only) == 0 {
			scopes = nil
		}
	}
	for _, scope := range scopes {
		if err := f.walk(ctx, scope, func(page openai.Page) error { return f.take(ctx, page) }); err != nil {
			return err
		}
	}
	return f.give(ctx, false)
}

// tenantAlone reports whether the tenant's list is walked alone, above the floor,
// while the organization's can be read. What is new in it may be in both.
func (f *fetch) tenantAlone() bool {
	return f.segment == nil && slices.Equal(f.scopes, []auditlog.Scope{auditlog.ScopeTenant}) &&
		f.cursor().Scopes[auditlog.ScopeOrganization].State == auditlog.StateOn
}

// peek finds what is new in the tenant's list of the window. If there is anything,
// the organization's is read after it and goes first, since what both list is
// written as the organization's; of the tenant's only what was found here is taken
// then, for what came later may be in a list that was read before. Late events are
// few, so that mostly nothing is read twice.
func (f *fetch) peek(ctx context.Context) error {
	f.only = map[auditlog.Identity]struct{}{}
	err := f.walk(ctx, auditlog.ScopeTenant, func(page openai.Page) error {
		fresh, later := f.sift(page)
		for _, ev := range fresh {
			f.only[ev.Identity()] = struct{}{}
		}
		f.part.Later = append(f.part.Later, later...)
		return f.leaveOut(page) // counts how dense the window is, no more
	})
	clear(f.known)
	return err
}

// walk reads one scope's list of the window to its end.
func (f *fetch) walk(ctx context.Context, scope auditlog.Scope, page func(openai.Page) error) error {
	w := f.slot.window
	query := openai.Query{Scope: scope, AlsoRead: f.alsoRead(scope), From: w.From, To: w.To, Bounded: !f.open || w.To < f.to-1, ToEnd: true, Class: openai.History}
	begin := w.To + 1 // of what is read, which ends with the window
	for p, err := range f.history.Pages(ctx, query) {
		if err == nil {
			err = f.checkPage(p)
		}
		if err != nil {
			return err
		}
		f.notePage(p)
		f.pages++
		f.began = min(f.began, p.Began)
		if err := page(p); err != nil {
			return err
		}
		if begin = readFrom(w, p, begin); scope == f.scopes[0] {
			f.count(int64(w.To+1-begin)-f.counted, 0)
		}
		if !p.Last && w.Seconds() > 1 && f.tooDense(p) {
			return errDense
		}
	}
	return nil
}

// tooDense reports whether the window holds more than it should, by the part of
// it that was read: the first page tells how many seconds its events take.
func (f *fetch) tooDense(p openai.Page) bool {
	w := f.slot.window
	weight := weigh(len(f.known), f.bytes)
	if len(f.known) > windowMost || f.bytes > windowBytes {
		f.estimate = 2 * weight
		return true
	}
	read := max(1, int64(w.To+1-readFrom(w, p, w.To)))
	f.estimate = int(min(1<<40, int64(weight)*w.Seconds()/read))
	return f.estimate > 2*windowEvents
}

// readFrom returns from where on a walk of the window has read it with a page.
func readFrom(w window.Window, p openai.Page, before auditlog.Second) auditlog.Second {
	if p.Last {
		return w.From
	}
	for _, ev := range p.Events {
		before = min(before, ev.Second())
	}
	return before
}

// count tells the progress of what was fetched.
func (f *fetch) count(seconds int64, events int) {
	f.counted += seconds
	f.progress.fetched.seconds.Add(seconds)
	f.progress.fetched.events.Add(int64(events))
}

// leaveOut notes what the other scope lists, which was written long ago.
func (f *fetch) leaveOut(page openai.Page) error {
	for _, ev := range page.Events {
		f.known[ev.Identity()] = struct{}{}
	}
	return nil
}

// take encodes a page's events that are new, and gives a part away when it is full.
func (f *fetch) take(ctx context.Context, page openai.Page) error {
	var listed []auditlog.Event
	for _, ev := range page.Events {
		id := ev.Identity()
		if _, wanted := f.only[id]; f.only != nil && ev.Scope == auditlog.ScopeTenant && !wanted {
			continue
		}
		if _, listed := f.known[id]; listed {
			f.telemetry.Skipped(f.Name, 1)
			continue
		}
		f.known[id] = struct{}{}
		listed = append(listed, ev)
	}
	f.events += len(listed)
	f.count(0, len(listed))
	page.Events = listed
	events, later := f.sift(page)
	f.part.Later = append(f.part.Later, later...)
	encoded, err := f.encodeAll(events)
	if err != nil {
		return err
	}
	if f.part.Events == nil && !page.Last {
		// More will come, about a window of it: a slice that grows leaves twice its size behind.
		f.part.Events = make([]auditlog.Event, 0, windowEvents*5/4)
		f.part.encoded = make([]target.Encoded, 0, windowEvents*5/4)
	}
	f.part.Events = append(f.part.Events, events...)
	for _, e := range encoded {
		// They are parts of the event's text, and would keep all of it.
		e.Info.Actor, e.Info.IP = "", ""
		f.part.encoded = append(f.part.encoded, e)
		f.bytes += e.Bytes
		f.allBytes += e.Bytes
	}
	if f.slot.window.Seconds() == 1 && (len(f.part.Events) >= windowMost || f.bytes >= windowBytes) {
		return f.give(ctx, true)
	}
	return nil
}

// give hands a part over to be committed, and begins the next one.
func (f *fetch) give(ctx context.Context, partial bool) error {
	f.part.Partial, f.part.began, f.part.bytes = partial, f.began, f.bytes
	select {
	case f.slot.parts <- f.part:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.reset()
	return nil
}

func (f *fetch) reset() {
	w := f.slot.window
	f.bytes = 0
	f.part = read{Batch: window.Batch{From: w.From}}
	if f.segment != nil {
		segment := *f.segment
		segment.From, segment.To = w.From, w.To+1
		f.part.History = &segment
	}
}
