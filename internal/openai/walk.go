package openai

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// orderTolerance is how far an event's place in the list may be from its
// effective_at: the list may follow a time of arrival instead. So two events may be in
// the wrong order if their times are up to twice as far apart.
const orderTolerance = 120 * time.Second

// Page is one checked page of a walk.
type Page struct {
	// Events are in the API's order. Repeats of this walk are left out, and events
	// without a time have their Neighbour. Their Raw are slices of one buffer that
	// belongs to the page, and so are their ID and Type of another: to keep one is to
	// keep all.
	Events []auditlog.Event
	// Strays is how many events of the page lie outside the time asked for and are
	// listed in their own time too: the walk that reads that time delivers them.
	Strays int
	// Repeats is how many events of the page the walk had shown already.
	Repeats int
	// Began is the server time at which the walk began, never too late: the
	// earlier of the local clock when its first page was asked for, and of the
	// server's, see Clock. All the walk's pages have the same.
	Began auditlog.Second
	// Skew is the server's clock less the local one, to about a second; 0 if no
	// server has given its time yet.
	Skew time.Duration
	// Organization is the response header openai-organization; empty if there was
	// none.
	Organization string
	// Last says that the list ended here, as checked: the walk is complete.
	Last bool
	// Bytes is the size of the events' Raw together.
	Bytes int

	walk *walk         // it is of
	body []byte        // holds the Raw of the events
	tape *rawjson.Tape // has the events that are Parsed; nil: none is
}

// Shorten lets the walk of the page go on in the list of a shorter time, which begins at a later
// From. That list is complete when it ends, like any other: what the walk has shown of it
// comes before its place. ok is false, and nothing changes, where the place, the last event of the
// page that has an id, is not in that list. It is called before the next page is asked for.
func (p Page) Shorten(from auditlog.Second) (ok bool) {
	w := p.walk
	if !w.placed || w.place < from || from < w.req.From || w.req.Bounded && from >= w.req.To {
		return false
	}
	if from > w.req.From {
		w.req.From, w.askedPastEnd = from, true // that there are more was said of the longer list
	}
	return true
}

// Parsed returns the JSON of one of the page's events, which is a part of the page as Raw is.
// It is the zero value where it was not asked for, or is not kept: then Raw is to be parsed.
func (p Page) Parsed(e auditlog.Event) (object rawjson.Value) {
	if p.tape == nil || e.Parsed == 0 {
		return object
	}
	return p.tape.At(e.Parsed - 1)
}

// Release gives the memory of Events, of their Raw and of Parsed back for other pages. They
// must not be looked at from then on; the ID and Type of an event may. A page that is not
// released is collected like all else.
func (p Page) Release() {
	giveBody(p.body)
	giveEvents(p.Events)
	if p.tape != nil {
		p.tape.Begin("")
		pageTapes.Put(p.tape)
	}
}

// Pages walks the list from its newest event to its end, page by page, as the
// result is ranged over; each range is a new walk, and leaving the loop ends it.
// The walk is complete when a page is Last, and only then.
//
// An error comes once, last, with an empty page: an *Error, or the error of ctx.
// What may pass was tried again already. After it the caller begins a new walk
// and drops what it knows. That is also so for ErrVanishedCursor, which cannot be
// handled here once pages were given out.
func (c *Client) Pages(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		w := c.walk(request{Query: q, limit: pageLimit})
		defer w.end()
		for {
			page, err := w.next(ctx)
			if err != nil {
				yield(Page{}, err)
				return
			}
			if !yield(page, nil) || page.Last {
				return
			}
		}
	}
}

// Newest returns the first page of a scope's list without any filter of time: at
// most limit events (1 to 100). It says nothing about older events, except whether the
// list is empty; Last says that the API promises no more. No page is asked for after
// it, so it need not say where the next one would begin.
func (c *Client) Newest(ctx context.Context, scope auditlog.Scope, limit int) (Page, error) {
	limit = min(max(limit, 1), pageLimit)
	w := c.walk(request{Query: Query{Scope: scope, Class: Live}, unfiltered: true, limit: limit})
	page, listed, err := w.read(ctx)
	if err != nil {
		return Page{}, err
	}
	if page.Last = !listed.hasMore; !page.Last && len(page.Events) == 0 {
		return Page{}, w.disordered("no event, and has_more: the walk would not end")
	}
	return page, nil
}

// walk is one way through a list. It is used by one goroutine.
type walk struct {
	client *Client
	req    request // the next page
	pages  int     // read so far

	began        auditlog.Second
	skew         time.Duration
	seen         map[auditlog.Identity]int // by the page that showed it first
	looksUp      bool                      // only to find one event
	cursors      map[string]struct{}
	newer        auditlog.Second // the second of the event before, in the API's order
	place        auditlog.Second // of the event behind which the next page begins
	placed       bool            // that event is in the time asked for
	oldest       auditlog.Second // of the events of all pages before; if hasOldest
	hasOldest    bool
	rose         bool // a page before came oldest first throughout
	askedPastEnd bool // there may be no more: the page before was full and said that it is the last
}

func (c *Client) walk(r request) *walk {
	return &walk{client: c, req: r, seen: seenMaps.Get().(map[auditlog.Identity]int), cursors: map[string]struct{}{}}
}

// seenMaps are of what walks have seen, with the room of walks that ended: one that grows
// is copied again and again.
var seenMaps = sync.Pool{New: func() any { return map[auditlog.Identity]int{} }}

// end gives the walk's memory back for others. A walk of unusual length has too much of it
// for most.
func (w *walk) end() {
	if len(w.seen) <= 40*pageLimit {
		clear(w.seen)
		seenMaps.Put(w.seen)
	}
	w.seen = nil
}

// next reads and checks the next page, and finds where the one after it begins.
func (w *walk) next(ctx context.Context) (Page, error) {
	page, listed, err := w.read(ctx)
	if err == nil {
		err = w.advance(listed, &page)
	}
	if err != nil {
		return Page{}, err
	}
	return page, nil
}

// read reads and checks the next page by itself.
func (w *walk) read(ctx context.Context) (Page, listing, error) {
	a, err := w.fetch(ctx)
	if err != nil {
		return Page{}, listing{}, err
	}
	if !a.date.IsZero() {
		w.client.cfg.Clock.add(a.asked, a.date, a.took)
	}
	if w.pages++; w.pages == 1 {
		w.start(a)
	}
	page, err := w.check(ctx, a)
	return page, a.listing, err
}

// fetch asks for the page, and for half of it while it is too large. What worked
// grows again with the pages after it.
func (w *walk) fetch(ctx context.Context) (answer, error) {
	if w.pages > 0 {
		w.req.limit = min(2*w.req.limit, pageLimit)
	}
	for {
		a, err := w.client.fetch(ctx, w.req)
		if w.req.limit == 1 || !errors.Is(err, errTooLarge) {
			return a, err
		}
		w.req.limit /= 2
	}
}

// start sets the walk's times by its first page.
func (w *walk) start(a answer) {
	w.began = auditlog.SecondOf(a.asked)
	if server, skew, ok := w.client.cfg.Clock.at(a.asked); ok {
		w.began, w.skew = min(w.began, auditlog.SecondOf(server)), skew
	}
	w.newer = w.began
	if w.req.Bounded {
		w.newer = w.req.last()
	}
}

// check drops repeats and strays, and checks that the events fit the window and the
// order.
func (w *walk) check(ctx context.Context, a answer) (Page, error) {
	w.placed = false
	page := Page{Began: w.began, Skew: w.skew, Organization: a.organization, Events: a.events[:0], walk: w, body: a.body, tape: a.tape}
	for i, e := range a.events {
		// No window would ever hold a time before 1970: it counts as none.
		e.Timed = e.Timed && e.EffectiveAt >= 0
		a.events[i].Timed = e.Timed
		if e.ID != "" {
			w.place, w.placed = e.EffectiveAt, e.Timed && w.within(e.EffectiveAt)
		}
	}
	err := w.checkWindow(a.events)
	if ends := !a.hasMore && len(a.events) < w.req.limit; err == nil && !ends {
		err = w.checkDirection(a.events)
	}
	rises := w.rises(a.events) > 0 // looked at before the events move
	oldest, hasOldest := w.oldest, w.hasOldest
	again := 0 // events that an earlier page showed
	for _, e := range a.events {
		if err != nil {
			return page, err
		}
		id := e.Identify()
		if on, ok := w.seen[id]; ok {
			page.Repeats++
			if on < w.pages && e.ID != "" {
				again++
			}
			continue
		}
		w.seen[id] = w.pages
		if e.Timed && !w.within(e.EffectiveAt) {
			if e.Elsewhere, err = w.elsewhere(ctx, e, a.organization); e.Elsewhere {
				page.Strays++
				continue
			}
			e.Elsewhere = true
		}
		if e.Placed() {
			if err = w.checkOrder(e.EffectiveAt); err != nil && rises && w.rose {
				err = w.disordered("its events come oldest first, and are newer than those of a page before it")
			}
			if !hasOldest || e.EffectiveAt < oldest {
				oldest, hasOldest = e.EffectiveAt, true
			}
		} else {
			e.Neighbour = w.newer
		}
		w.newer = e.Second()
		page.Bytes += len(e.Raw)
		page.Events = append(page.Events, e)
	}
	w.oldest, w.hasOldest, w.rose = oldest, hasOldest, w.rose || rises
	if fresh := len(page.Events) + page.Strays; err == nil && w.req.ToEnd && rises && fresh > 0 && again >= fresh {
		// As long as the list keeps one order, no page comes back to an earlier one. If
		// the order changes on the way, the walk turns round, and ends where it began.
		err = w.disordered("oldest first, with %d events of pages before it and %d new ones: the order changed", again, fresh)
	}
	return page, err
}

// checkDirection finds a page that is oldest first throughout. Otherwise the order
// inside a page does not matter. But after the last event of such a page the next page
// leads back over the same events, to an end that is not the list's. A single step up
// may come from one odd event. After pages that were newest first it may be chance, and
// what those gave still counts.
func (w *walk) checkDirection(events []auditlog.Event) error {
	span := w.rises(events)
	switch {
	case w.req.ToEnd || span <= 2*orderTolerance:
		return nil
	case w.pages > 1 && !w.rose:
		return w.disordered("its events come oldest first, by %v: %w", span, ErrOutOfOrder)
	default:
		return w.disordered("its events come oldest first, by %v", span)
	}
}

// rises returns by how much the events of a page rise that come oldest first
// throughout; 0 if they do not.
func (w *walk) rises(events []auditlog.Event) time.Duration {
	var first, last auditlog.Second
	found, steps := false, 0
	for _, e := range events {
		switch {
		case !e.Timed || !w.within(e.EffectiveAt):
			continue
		case !found:
			first, found = e.EffectiveAt, true
		case e.EffectiveAt < last:
			return 0
		case e.EffectiveAt > last:
			steps++
		}
		last = e.EffectiveAt
	}
	if steps < 2 {
		return 0
	}
	return last.Sub(first)
}

// ErrOutOfOrder says that a page has an event that is much newer than one on a page
// before it, or comes oldest first after pages that did not. A walk of the same time
// that is read to its end may still be complete.
var ErrOutOfOrder = errors.New("the pages come oldest first, or out of order")

// checkOrder compares an event with the pages before it.
func (w *walk) checkOrder(at auditlog.Second) error {
	// Against the oldest of all pages before, not of the last one alone: pages
	// that come oldest first may each be just a little newer.
	if !w.req.ToEnd && w.hasOldest && at.Sub(w.oldest) > 2*orderTolerance {
		return w.disordered("an event of %v, newer than one of %v on a page before it: %w", at, w.oldest, ErrOutOfOrder)
	}
	return nil
}

// advance decides whether the list ends with the page, and if not, from which
// event the next one goes on.
func (w *walk) advance(l listing, page *Page) error {
	fresh := len(page.Events)+page.Strays > 0
	count := len(page.Events) + page.Strays + page.Repeats
	switch {
	case l.hasMore && !fresh:
		return w.disordered("%d events, none of them new, and has_more: the walk would not end", count)
	case !fresh && count > 0 && !w.askedPastEnd:
		// The page before said that there are more, but these came before.
		return w.disordered("%d events, none of them new, where the page before said that there are more", count)
	}
	if !l.hasMore && (count < w.req.limit || (w.askedPastEnd && !fresh)) {
		page.Last = true
		return nil
	}
	// A full page that says it is the last one may only be cut off there. An empty
	// answer to one request more settles it.
	w.askedPastEnd = !l.hasMore
	after := strings.Clone(w.cursor(l)) // or each page would stay until the walk ends
	if after == "" {
		if !l.hasMore {
			page.Last = true // there is nothing to ask past
			return nil
		}
		return w.disordered("has_more, but no id from which to go on")
	}
	if _, ok := w.cursors[after]; ok {
		return w.disordered("the same last event as an earlier page: the walk would not end")
	}
	w.cursors[after] = struct{}{}
	w.req.after = after
	return nil
}

// cursor returns the id behind which the next page begins: that of the page's
// last record that has one. The specification says so, and it can skip nothing;
// last_id can, where it is wrong, and the documented example has one that equals
// no record. So last_id counts only on a page without any id. Where records
// without an id end a page, they come again with the next one.
func (w *walk) cursor(l listing) string {
	if l.named == "" {
		return l.lastID
	}
	if l.lastID != "" && l.lastID != l.named && l.unnamed == 0 {
		w.client.lastID.Do(func() {
			w.client.cfg.Logger.Warn("the API's last_id is not the id of a page's last record; the record's id is used",
				"scope", string(w.req.Scope))
		})
	}
	return l.named
}

// disordered is the error of a walk whose pages do not fit together.
func (w *walk) disordered(format string, args ...any) error {
	return &Error{Kind: KindDisordered, Err: fmt.Errorf("page %d of the walk: "+format, append([]any{w.pages}, args...)...)}
}
