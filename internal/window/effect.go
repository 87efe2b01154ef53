package window

import (
	"cmp"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Effect is what a committed read proves: it turns the cursor into the one that
// is stored in the same transaction as the events. It must not change its
// argument's maps and slices.
type Effect func(auditlog.Cursor) auditlog.Cursor

// FirstRun returns the cursor of an organization that has none: history from
// start up to the floor, and the head from there. With start at or after now
// nothing old is read. Scopes that may be read are given in on; another one is
// frozen, and has all of its time before it when it is first allowed.
func FirstRun(organization string, start, now auditlog.Second, on map[auditlog.Scope]bool, p Policy) auditlog.Cursor {
	start = min(start, now)
	c := auditlog.Cursor{
		Version:      auditlog.CursorVersion,
		Organization: organization,
		Start:        start,
		Floor:        max(start, now.Add(-p.longerLookback())),
		Scopes:       map[auditlog.Scope]auditlog.Position{},
	}
	for _, s := range auditlog.Scopes() {
		pos := auditlog.Position{State: auditlog.StateOff, Frozen: true}
		if on[s] {
			pos = auditlog.Position{State: auditlog.StateOn, Live: c.Floor, Deep: c.Floor}
			pos.History = addRange(nil, auditlog.Range{From: start, To: c.Floor}, c.Floor)
		}
		c.Scopes[s] = pos
	}
	return c
}

// MoveStart returns the effect of asking for history from start. Earlier than
// ever before, it adds just that time; later, it changes nothing.
func MoveStart(start auditlog.Second) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		if start >= c.Start {
			return c
		}
		c = c.Clone()
		for s, pos := range c.Scopes {
			if pos.Live == 0 {
				continue // never read: all its time, from the start, is before it anyway
			}
			pos.History = addRange(pos.History, auditlog.Range{From: start, To: c.Start}, c.Floor)
			c.Scopes[s] = pos
		}
		c.Start = start
		return c
	}
}

// SwitchedOff returns the effect of a setting that turns the scope off at now: it
// stays where it is and holds nothing.
func SwitchedOff(s auditlog.Scope, now, latest auditlog.Second, p Policy) Effect {
	return change(s, func(c auditlog.Cursor, pos auditlog.Position) auditlog.Position {
		if pos.State == auditlog.StateOff {
			return pos
		}
		pos.State, pos.Since = auditlog.StateOff, now
		return freeze(c, s, pos, latest, p)
	})
}

// Refused returns the effect of the API refusing the scope at now. If that lasts
// longer than the lookbacks while the other scope is read, the scope is frozen,
// since the seen ids of the other would otherwise grow without bound.
func Refused(s auditlog.Scope, now, latest auditlog.Second, p Policy) Effect {
	return unread(s, auditlog.StateRefused, now, latest, p)
}

// Failing returns the effect of the scope failing at now, and for so long that the
// other one goes on without it. It is that of a refusal, by its own name. One that was
// refused before stays so: the API has not said that it is allowed.
func Failing(s auditlog.Scope, now, latest auditlog.Second, p Policy) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		state := auditlog.StateFailing
		if c.Scopes[s].State == auditlog.StateRefused {
			state = auditlog.StateRefused
		}
		return unread(s, state, now, latest, p)(c)
	}
}

func unread(s auditlog.Scope, state auditlog.State, now, latest auditlog.Second, p Policy) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		pos := c.Scopes[s]
		if was := pos.State; was != auditlog.StateRefused && was != auditlog.StateFailing {
			pos.Since = now
		}
		pos.State = state
		if now.Sub(pos.Since) > p.longerLookback() && c.Scopes[s.Other()].State == auditlog.StateOn {
			pos = freeze(c, s, pos, latest, p)
		}
		if samePosition(pos, c.Scopes[s]) {
			return c
		}
		c = c.Clone()
		c.Scopes[s] = pos
		return raiseFloor(c, p)
	}
}

// freeze lets the floor go on without the scope. From its last complete walk on,
// polls may have written what the scope will have to read when it comes back:
// that time becomes a range whose ids are kept.
func freeze(c auditlog.Cursor, s auditlog.Scope, pos auditlog.Position, latest auditlog.Second, p Policy) auditlog.Position {
	if pos.Frozen || pos.Live == 0 {
		pos.Frozen = true
		return pos
	}
	r := auditlog.Range{From: HeadFrom(c, s, p), To: max(pos.Since, latest).Add(clockSlack), Remembered: true}
	pos.History = addRange(pos.History, r, c.Floor)
	pos.Frozen = true
	return pos
}

// clockSlack is how far into its future an event may be dated and still be
// remembered while its scope is frozen.
const clockSlack = 10 * time.Minute

// Allowed returns the effect of the API showing the scope at now. What a frozen
// one missed becomes history of it alone; one that was never read has all the
// time from the start before it.
func Allowed(s auditlog.Scope, now auditlog.Second, p Policy) Effect {
	return change(s, func(c auditlog.Cursor, pos auditlog.Position) auditlog.Position {
		if pos.Frozen {
			pos = thaw(c, pos, now, p)
		}
		pos.State, pos.Since, pos.Frozen = auditlog.StateOn, 0, false
		return pos
	})
}

// thaw gives a frozen scope what it missed, up to the time at which the head will go on. The
// floor went on without it, so what it still had to read is cut again at the floor.
func thaw(c auditlog.Cursor, pos auditlog.Position, now auditlog.Second, p Policy) auditlog.Position {
	end := max(now.Add(-p.Lookback), c.Floor)
	missed := auditlog.Range{From: c.Start, To: end}
	if pos.Live != 0 {
		missed.From = max(pos.Live, historyEnd(pos))
	}
	var history []auditlog.Range
	for _, r := range pos.History {
		// A poll that did not reach its end may have written in time that was
		// history's later: the ids of what held the floor were kept.
		r.Remembered = r.Remembered || r.HoldsFloor
		r.To = min(r.To, max(end, pos.Live))
		history = addRange(history, r, c.Floor)
	}
	pos.History = addRange(history, missed, c.Floor)
	pos.Live, pos.Deep = max(pos.Live, end), max(pos.Deep, now)
	return pos
}

// CatchUp returns the effect of finding at now that the scope's head is too far
// behind for one walk: what is before the lookback becomes history, read in
// windows, so that new events do not wait for old ones. Where a deep walk was
// missed as well, history begins at the floor, and finds what showed up late
// while nothing ran.
func CatchUp(s auditlog.Scope, now auditlog.Second, p Policy) Effect {
	return change(s, func(c auditlog.Cursor, pos auditlog.Position) auditlog.Position {
		end := now.Add(-p.Lookback)
		from := HeadFrom(c, s, p)
		if DeepDue(c, s, now, p) {
			from = DeepFrom(c, s)
		}
		if from >= end {
			return pos
		}
		if DeepDue(c, s, now, p) {
			pos.Deep = now
		}
		pos.History = addRange(pos.History, auditlog.Range{From: from, To: end}, c.Floor)
		pos.Live = max(pos.Live, end) // and not now: the head has not read the rest to its end
		return pos
	})
}

// Behind reports whether the scope's head is behind by more than a busy log
// explains, so that what is before the lookback should be history's: after
// downtime, that is. Half as much is what CatchUp itself leaves.
func Behind(c auditlog.Cursor, s auditlog.Scope, now auditlog.Second, p Policy) bool {
	return now.Sub(c.Scopes[s].Live) > 2*p.Lookback
}

// Walked returns the effect of a walk of the scope from a time to the end of the
// list, which began at the server time began. One from the floor is a walk of the
// deep past as well.
func Walked(s auditlog.Scope, from, began auditlog.Second, p Policy) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		pos := c.Scopes[s]
		deep := WalksDeep(c, s, from)
		if began <= pos.Live && (!deep || began <= pos.Deep) {
			return c
		}
		c = c.Clone()
		pos.Live = max(pos.Live, began)
		if deep {
			pos.Deep = max(pos.Deep, began)
		}
		c.Scopes[s] = pos
		return raiseFloor(c, p)
	}
}

// WalksDeep reports whether a walk of the scope from a time to the end of the list is one of its
// deep past as well.
func WalksDeep(c auditlog.Cursor, s auditlog.Scope, from auditlog.Second) bool {
	return from <= c.Floor && !holdsFloor(c.Scopes[s])
}

// HistoryRead returns the effect of all of the scopes' history before to having
// been written.
func HistoryRead(scopes []auditlog.Scope, to auditlog.Second, p Policy) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		c = c.Clone()
		for _, s := range scopes {
			pos := c.Scopes[s]
			pos.History = shrink(pos.History, to)
			c.Scopes[s] = pos
		}
		return raiseFloor(c, p)
	}
}

// raiseFloor lifts the floor to the least time that a scope still needs to be
// remembered. It never falls: below it the ids are forgotten.
func raiseFloor(c auditlog.Cursor, p Policy) auditlog.Cursor {
	floor := auditlog.MaxSecond
	for _, pos := range c.Scopes {
		if pos.Frozen {
			continue
		}
		floor = min(floor, pos.Live.Add(-p.Lookback))
		if p.DeepLookback > 0 {
			floor = min(floor, pos.Deep.Add(-p.DeepLookback))
		}
		for _, r := range pos.History {
			if r.HoldsFloor {
				floor = min(floor, r.From)
			}
		}
	}
	if floor != auditlog.MaxSecond {
		c.Floor = max(c.Floor, floor)
	}
	return c
}

func change(s auditlog.Scope, f func(auditlog.Cursor, auditlog.Position) auditlog.Position) Effect {
	return func(c auditlog.Cursor) auditlog.Cursor {
		c = c.Clone()
		c.Scopes[s] = f(c, c.Scopes[s])
		return c
	}
}

func samePosition(a, b auditlog.Position) bool {
	return a.State == b.State && a.Since == b.Since && a.Frozen == b.Frozen &&
		a.Live == b.Live && a.Deep == b.Deep && slices.Equal(a.History, b.History)
}

// addRange adds r to the ranges, cut at the floor: the part above holds it. A
// range that touches one of its kind becomes one with it.
func addRange(ranges []auditlog.Range, r auditlog.Range, floor auditlog.Second) []auditlog.Range {
	out := slices.Clone(ranges)
	below, above := r, r
	below.To, below.HoldsFloor = min(r.To, floor), false
	above.From, above.HoldsFloor = max(r.From, floor), true
	for _, part := range []auditlog.Range{below, above} {
		if part.From < part.To {
			out = append(out, part)
		}
	}
	slices.SortFunc(out, func(a, b auditlog.Range) int { return cmp.Compare(a.From, b.From) })
	merged := out[:0]
	for _, r := range out {
		if n := len(merged); n > 0 && merged[n-1].To == r.From && sameKind(merged[n-1], r) {
			merged[n-1].To = r.To
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func sameKind(a, b auditlog.Range) bool {
	return a.HoldsFloor == b.HoldsFloor && a.Remembered == b.Remembered
}

// shrink drops what is before to.
func shrink(ranges []auditlog.Range, to auditlog.Second) []auditlog.Range {
	var out []auditlog.Range
	for _, r := range ranges {
		if r.To <= to {
			continue
		}
		r.From = max(r.From, to)
		out = append(out, r)
	}
	return out
}
