package window

import (
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Limits are the sizes of windows. They bound memory: a window is held while it is read
// and until it is committed.
type Limits struct {
	Events     int // what a window should hold, and so a transaction
	Slow       int // likewise, where a page takes long: each window costs one that is not full
	Most       int // above it, a window leaves the rest to others
	Bytes      int // of records, likewise
	EventBytes int // of records, up to which an event counts as one
}

// Weigh says for how many events those of a window count. Large ones, or events with
// copies, count for more, so that a window of them is smaller from the start.
func (l Limits) Weigh(events, bytes int) int { return max(events, bytes/l.EventBytes) }

// Read is one try at reading a window of a sweep: which lists to walk, and what of them
// to take. Walk by walk, Next says which list, and Page takes its pages, newest first.
// What comes out are batches: one for the window, or, of a single second that is too
// dense for one transaction, several.
type Read struct {
	// Events is how many the window holds, of those that were taken.
	Events int

	window Window
	sweep  Sweep
	limits Limits
	sift   Sift
	walks  []Walk // left to do, the first of them under way
	begun  bool

	known  identitySet     // listed in this window, or beside it
	only   identitySet     // of the tenant's list, to take no others; nil: all
	spread Spread          // of the list that is walked
	began  auditlog.Second // the earliest beginning of a walk
	batch  Batch
	bytes  int // of the batch's records

	listed []auditlog.Event // the memory of a page
}

// Sift returns the events of a page that are not written, and those that are, and must
// be remembered for longer: that of SeenIDs, or one that locks it. The fresh ones take the
// memory of the page.
type Sift func(page []auditlog.Event, began auditlog.Second) (fresh, later []auditlog.Event)

// Walk is a walk of one list of a window.
type Walk struct {
	Scope auditlog.Scope
	does  purpose
}

// purpose is what a walk is for.
type purpose int

const (
	take     purpose = iota // its events are written
	leaveOut                // what it lists was written long ago
	peek                    // what is new in it is to be found in two lists
)

// NewRead returns a read of a window of the sweep, in the state of the cursor.
//
// Below the floor, where nothing is remembered, what another scope wrote is known by its
// list only: that is read first, and left out.
//
// Where the tenant's list is read alone, above the floor, while the organization's can
// be read, what is new in it may be in both, and is the organization's then. So the
// tenant's list is looked through for what is new. If there is anything, the
// organization's is read after it and goes first; of the tenant's only what was found is
// taken then, for what came later may be in a list that was read before. Late events are
// few, so that mostly nothing is read twice.
func NewRead(s Sweep, w Window, c auditlog.Cursor, l Limits, sift Sift) *Read {
	r := &Read{
		window: w, sweep: s, limits: l, sift: sift,
		known: takeSet(), began: auditlog.MaxSecond,
	}
	switch {
	case s.Segment != nil && s.Segment.Beside != "":
		r.walks = append(r.walks, Walk{s.Segment.Beside, leaveOut})
	case s.tenantAlone(c):
		r.walks = []Walk{{auditlog.ScopeTenant, peek}}
		r.only = identitySet{}
		r.reset()
		return r
	}
	r.walks = append(r.walks, walksOf(s.Scopes)...)
	r.reset()
	return r
}

// tenantAlone reports whether the sweep reads the tenant's list alone, above the floor,
// while the organization's can be read.
func (s Sweep) tenantAlone(c auditlog.Cursor) bool {
	return s.Segment == nil && slices.Equal(s.Scopes, []auditlog.Scope{auditlog.ScopeTenant}) &&
		c.Scopes[auditlog.ScopeOrganization].State == auditlog.StateOn
}

func walksOf(scopes []auditlog.Scope) (out []Walk) {
	for _, s := range scopes {
		out = append(out, Walk{s, take})
	}
	return out
}

// End gives the memory of the read back. It is not to be used from then on; what came out of
// it is.
func (r *Read) End() {
	giveSet(r.known)
	r.known = nil
}

// Next returns the walk that is to be done now. ok is false when the window is read.
func (r *Read) Next() (w Walk, ok bool) {
	if r.begun && len(r.walks) > 0 {
		r.walked()
	}
	if len(r.walks) == 0 {
		return Walk{}, false
	}
	r.begun = true
	r.spread.reset(r.window)
	return r.walks[0], true
}

// walked ends the walk under way.
func (r *Read) walked() {
	done := r.walks[0]
	r.walks = r.walks[1:]
	if done.does == peek {
		r.known = emptied(r.known)
		if len(r.only) > 0 {
			r.walks = walksOf(auditlog.Scopes())
		}
	}
}

// Use gives the batch that begins now memory for its events, which its owner has when it is
// written. Without it the batch makes its own.
func (r *Read) Use(memory []auditlog.Event) { r.batch.Events = memory[:0] }

// Page takes a page of the walk under way, which began at a server time; last says that
// the list ends with it. It returns the events that are new, which are in the batch now,
// and how many were left out because the window had them already. The new ones are those of
// the batch itself, so that the caller can drop their bytes there. The page stays as it is.
func (r *Read) Page(events []auditlog.Event, began auditlog.Second, last bool) (fresh []auditlog.Event, repeats int) {
	walk := r.walks[0]
	r.began = min(r.began, began)
	r.spread.Page(events, last)
	listed := r.listed[:0]
	for _, ev := range events {
		id := ev.Identity()
		_, known := r.known[id]
		switch {
		case walk.does != take:
			r.known[id] = struct{}{} // for peek, to count how dense the window is, no more
			listed = append(listed, ev)
		case !r.wanted(ev, id):
		case known:
			repeats++
		default:
			r.known[id] = struct{}{}
			listed = append(listed, ev)
		}
	}
	r.listed = listed
	switch walk.does {
	case peek:
		found, later := r.sift(listed, began)
		for _, ev := range found {
			r.only[ev.Identity()] = struct{}{}
		}
		r.batch.Later = append(r.batch.Later, later...)
	case take:
		r.Events += len(listed)
		found, later := r.sift(listed, began)
		had := len(r.batch.Events)
		if had == 0 {
			r.batch.Events = slices.Grow(r.batch.Events, r.expected(len(found), last))
		}
		r.batch.Events = append(r.batch.Events, found...)
		r.batch.Later = append(r.batch.Later, later...)
		fresh = r.batch.Events[had:]
	}
	return fresh, repeats
}

// expected is how many events the window may hold, by its first page: what grows would be
// copied again and again.
func (r *Read) expected(page int, last bool) int {
	if last {
		return page
	}
	return max(page, r.limits.Events*5/4)
}

func (r *Read) wanted(ev auditlog.Event, id auditlog.Identity) bool {
	if r.only == nil || ev.Scope != auditlog.ScopeTenant {
		return true
	}
	_, found := r.only[id]
	return found
}

// Encoded tells how many bytes the records of fresh events have.
func (r *Read) Encoded(bytes int) { r.bytes += bytes }

// ReadFrom returns the time from which the walk under way has read the window.
func (r *Read) ReadFrom() auditlog.Second { return r.spread.ReadFrom() }

// TooDense reports whether the window holds more than it should, by the part of it that was
// read, and what it is to leave to others.
func (r *Read) TooDense(p Planned) (Dense, bool) {
	return r.spread.TooDense(p, Held{
		Events: len(r.known), Weight: r.limits.Weigh(len(r.known), r.bytes),
		Full: len(r.known) > r.limits.Most || r.bytes > r.limits.Bytes, Over: r.bytes > 2*r.limits.Bytes,
	})
}

// Leave leaves what is before a second to other reads: the walk under way goes on to there, and so
// do those that come after it. What another list had there, which was read before, is dropped. kept
// are the places in the batch of the events that stay, in order; nil: all do.
func (r *Read) Leave(before auditlog.Second) (kept []int) {
	r.window.From, r.batch.From = before, before
	if r.batch.History != nil {
		r.batch.History.From = before
	}
	r.spread.Leave(before)
	events := r.batch.Events
	if !slices.ContainsFunc(events, r.left) {
		return nil
	}
	kept = make([]int, 0, len(events))
	for at, ev := range events {
		if !r.left(ev) {
			events[len(kept)] = ev
			kept = append(kept, at)
		}
	}
	r.Events -= len(events) - len(kept)
	r.batch.Events = events[:len(kept)]
	return kept
}

// left reports whether an event is left to another read. One that is not listed in its time is
// not: its place in this list may be the only one that it has.
func (r *Read) left(ev auditlog.Event) bool {
	return ev.Placed() && ev.Second() < r.window.From
}

// Part returns the batch of a single second that is full, and begins the next one. ok is
// false while there is room in it. It is asked after each page, and after Leave.
func (r *Read) Part() (b Batch, ok bool) {
	if r.window.Seconds() > 1 || len(r.batch.Events) < r.limits.Most && r.bytes < r.limits.Bytes {
		return Batch{}, false
	}
	b = r.batch
	b.Partial = true
	r.reset()
	return b, true
}

// Last returns the batch with which the window ends. What it proves is Sweep.Effect.
func (r *Read) Last() Batch { return r.batch }

// Began returns the earliest server time at which one of the walks so far began.
func (r *Read) Began() auditlog.Second { return r.began }

func (r *Read) reset() {
	r.bytes = 0
	r.batch = Batch{From: r.window.From}
	if r.sweep.Segment != nil {
		g := *r.sweep.Segment
		g.From, g.To = r.window.From, r.window.To
		r.batch.History = &g
	}
}
