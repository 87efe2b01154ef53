package openai

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// orderTolerance is how far an event's place in the list may be from its
// effective_at: the list may follow a time of arrival instead. Two events may so
// stand in the wrong order when they are up to twice as far apart.
const orderTolerance = 120 * time.Second

// Page is one checked page of a walk.
type Page struct {
	// Events are in the API's order. Repeats of this walk are left out, and events
	// without a time have their Neighbour. Their Raw are slices of one buffer that
	// belongs to the page: to keep one is to keep all.
	Events []auditlog.Event
	// Repeats is how many events of the page the walk had shown already.
	Repeats int
	// Began is the server time at which the walk began, never too late: the
	// earlier of the local clock when its first page was asked for, and of the
	// server's, see Clock. All the walk's pages have the same.
	Began auditlog.Second
	// Skew is the server's clock less the local one, to about a second; 0 if no
	// server told its time yet.
	Skew time.Duration
	// Organization is the response header openai-organization; empty if there was
	// none.
	Organization string
	// Last says that the list ended here, as checked: the walk is complete.
	Last bool
	// Bytes is the size of the events' Raw together.
	Bytes int
}

// Pages walks the list from its newest event to its end, page by page, as the
// result is ranged over; each range is a new walk, and leaving the loop ends it.
// The walk is complete when a page is Last, and only then.
//
// An error comes once, last, with an empty page: an *Error, or the error of ctx.
// What may pass was tried again already. After it the caller begins a new walk
// and drops what it knows; that includes ErrVanishedCursor, which cannot be
// mended here once pages were given out.
func (c *Client) Pages(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		w := c.walk(request{Query: q, limit: pageLimit})
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
// most limit events (1 to 100). Nothing but that the list is empty or not can be
// said from it about older events; Last says that the API promises no more. No
// page is asked for after it, so it need not say where that would begin.
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
	seen         map[auditlog.Identity]struct{}
	cursors      map[string]struct{}
	newer        auditlog.Second // the second of the event before, in the API's order
	oldest       auditlog.Second // of the events of all pages before; if hasOldest
	hasOldest    bool
	askedPastEnd bool // the page before was full and said that it is the last
}

func (c *Client) walk(r request) *walk {
	return &walk{client: c, req: r, seen: map[auditlog.Identity]struct{}{}, cursors: map[string]struct{}{}}
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
	page, err := w.check(a)
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
		w.newer = w.req.To
	}
}

// check drops repeats and holds the events against the window and the order.
func (w *walk) check(a answer) (Page, error) {
	page := Page{Began: w.began, Skew: w.skew, Organization: a.organization, Events: a.events[:0]}
	if err := w.checkDirection(a.events); err != nil {
		return page, err
	}
	oldest, hasOldest := w.oldest, w.hasOldest
	for _, e := range a.events {
		id := e.Identity()
		if _, ok := w.seen[id]; ok {
			page.Repeats++
			continue
		}
		w.seen[id] = struct{}{}
		// No window would ever hold a time before 1970: the event counts as one without a time.
		if e.Timed = e.Timed && e.EffectiveAt >= 0; e.Timed {
			if err := w.checkTime(e.EffectiveAt); err != nil {
				return page, err
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
	w.oldest, w.hasOldest = oldest, hasOldest
	return page, nil
}

// checkDirection finds a page that is oldest first throughout. The order inside a
// page does not matter otherwise; but from the last event of such a page the next
// one leads back over the same events, to an end that is none.
func (w *walk) checkDirection(events []auditlog.Event) error {
	var first, last auditlog.Second
	found := false
	for _, e := range events {
		switch {
		case !e.Timed:
			continue
		case !found:
			first, found = e.EffectiveAt, true
		case e.EffectiveAt < last:
			return nil
		}
		last = e.EffectiveAt
	}
	if last.Sub(first) > 2*orderTolerance {
		return w.disordered("its events come oldest first, from %v to %v", first, last)
	}
	return nil
}

// checkTime holds an event against the window asked for and against the pages
// before it.
func (w *walk) checkTime(at auditlog.Second) error {
	switch q := w.req.Query; {
	case w.req.unfiltered:
	case at < q.From:
		return w.disordered("an event of %v, before %v, from which was asked", at, q.From)
	case q.Bounded && at > q.To:
		return w.disordered("an event of %v, after %v, up to which was asked", at, q.To)
	}
	// Against the oldest of all pages before, not of the last one alone: pages
	// that come oldest first may each be just a little newer.
	if w.hasOldest && at.Sub(w.oldest) > 2*orderTolerance {
		return w.disordered("an event of %v, newer than one of %v on a page before it: the pages come oldest first, or out of order", at, w.oldest)
	}
	return nil
}

// advance decides whether the list ends with the page, and if not, from which
// event the next one goes on.
func (w *walk) advance(l listing, page *Page) error {
	fresh := len(page.Events) > 0
	count := len(page.Events) + page.Repeats
	switch {
	case l.hasMore && !fresh:
		return w.disordered("%d events, none of them new, and has_more: the walk would not end", count)
	case !fresh && count > 0 && !w.askedPastEnd:
		// The page before said that there are more, and these are not they.
		return w.disordered("%d events, none of them new, where the page before said that there are more", count)
	}
	if !l.hasMore && (count < w.req.limit || (w.askedPastEnd && !fresh)) {
		page.Last = true
		return nil
	}
	// A full page that says it is the last one may only be cut off there. An empty
	// answer to one request more settles it.
	w.askedPastEnd = !l.hasMore
	after := w.cursor(l)
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
