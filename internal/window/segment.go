package window

import (
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Window is a time of whole seconds, read by walks of its own with both ends fixed,
// so that it is complete in whatever order the API lists it.
type Window struct {
	From, To auditlog.Second // [From, To)
}

// Seconds returns the width of the window.
func (w Window) Seconds() int64 { return int64(w.To - w.From) }

// Segment is a piece of history, [From, To), that the same scopes lack.
type Segment struct {
	From, To auditlog.Second
	// Scopes are read and merged: an event that both list is written once.
	Scopes []auditlog.Scope
	// Beside is a scope that was read here before, below the floor, where nothing
	// is remembered: what it lists was written. Empty if there is none.
	Beside auditlog.Scope
}

func (g Segment) sameReaders(o Segment) bool {
	return slices.Equal(g.Scopes, o.Scopes) && g.Beside == o.Beside
}

// NextHistory returns the oldest piece of history that can be read now. ok is
// false if there is none.
func NextHistory(c auditlog.Cursor) (g Segment, ok bool) {
	first, found := map[auditlog.Scope]auditlog.Range{}, false
	for _, s := range auditlog.Scopes() {
		pos := c.Scopes[s]
		if pos.State != auditlog.StateOn || len(pos.History) == 0 {
			continue
		}
		first[s] = pos.History[0]
		if !found || pos.History[0].From < g.From {
			g.From, found = pos.History[0].From, true
		}
	}
	if !found {
		return Segment{}, false
	}
	g.To = auditlog.MaxSecond
	holds := false
	for _, s := range auditlog.Scopes() {
		r, lacks := first[s]
		switch {
		case !lacks:
		case r.From == g.From:
			g.Scopes = append(g.Scopes, s)
			g.To = min(g.To, r.To)
			holds = holds || r.HoldsFloor
		default:
			g.To = min(g.To, r.From)
		}
	}
	if len(g.Scopes) == 1 && !holds {
		return beside(c, g)
	}
	return g, true
}

// beside completes a segment below the floor that one scope reads alone: what the
// other scope wrote there is not remembered any more, so its list is read too. While
// that list cannot be read, the segment waits: without it, an event of both lists
// would be written again. Where the other scope has not read yet, it wrote nothing.
func beside(c auditlog.Cursor, g Segment) (Segment, bool) {
	other := g.Scopes[0].Other()
	pos := c.Scopes[other]
	lacks, until := lacking(pos.History, g.From)
	g.To = min(g.To, until)
	switch {
	case lacks || pos.Live == 0:
		return g, true
	case pos.State == auditlog.StateOn:
		g.Beside = other
		return g, true
	default:
		return Segment{}, false
	}
}

// lacking reports whether a time is in one of the ranges, and up to when that
// does not change.
func lacking(ranges []auditlog.Range, at auditlog.Second) (lacks bool, until auditlog.Second) {
	for _, r := range ranges {
		switch {
		case at < r.From:
			return false, r.From
		case at < r.To:
			return true, r.To
		}
	}
	return false, auditlog.MaxSecond
}

// HasHistory reports whether there is history that can be read now.
func HasHistory(c auditlog.Cursor) bool {
	_, ok := NextHistory(c)
	return ok
}

// HistoryLeft returns how far history is read and how far it is wanted. Both
// are zero if there is none.
func HistoryLeft(c auditlog.Cursor) (from, to auditlog.Second) {
	for _, pos := range c.Scopes {
		if pos.State != auditlog.StateOn || len(pos.History) == 0 {
			continue
		}
		if from == 0 || pos.History[0].From < from {
			from = pos.History[0].From
		}
		to = max(to, historyEnd(pos))
	}
	return from, to
}

// Merge makes one list of what the scopes of a poll list. An event that both list is
// the organization's; repeats is how many were left out for that.
func Merge(listed map[auditlog.Scope][]auditlog.Event) (events []auditlog.Event, repeats int) {
	known := map[auditlog.Identity]struct{}{}
	for _, s := range auditlog.Scopes() {
		for _, ev := range listed[s] {
			id := ev.Identity()
			if _, ok := known[id]; ok {
				repeats++
				continue
			}
			known[id] = struct{}{}
			events = append(events, ev)
		}
	}
	return events, repeats
}
