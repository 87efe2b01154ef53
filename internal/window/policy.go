package window

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Policy is how far back reads reach. It comes from the settings and may change
// from start to start.
type Policy struct {
	// Lookback is how far the head is walked behind the last complete walk.
	Lookback time.Duration
	// DeepLookback is the same for the deep past; 0 turns that off.
	DeepLookback time.Duration
}

// longerLookback is how long an id stays remembered at least.
func (p Policy) longerLookback() time.Duration { return max(p.Lookback, p.DeepLookback) }

// How often the whole of a lookback is walked. Both leave room inside what is
// promised (a minute, an hour) for the walk itself.
const (
	FullWalkEvery = 45 * time.Second
	DeepWalkEvery = 50 * time.Minute
)

// WalkRequests returns how many requests a second the walks for late events take where
// that many events come a second, if both lists are one: each event is read again with
// each walk, on a page of a hundred.
func WalkRequests(eventsPerSecond float64, p Policy) float64 {
	const page = 100
	again := p.Lookback.Seconds()/FullWalkEvery.Seconds() + p.DeepLookback.Seconds()/DeepWalkEvery.Seconds()
	return eventsPerSecond * again / page
}

// DeepDue reports whether the deep past of the scope should be walked at now. It
// waits for history that holds the floor: a walk beside it would have to leave that
// time out, and would then prove nothing about events that showed up late in it.
func DeepDue(c auditlog.Cursor, s auditlog.Scope, now auditlog.Second, p Policy) bool {
	return DeepReady(c, s, p) && DeepWait(c, s, now) == 0
}

// DeepReady reports whether the deep past of the scope can be walked, due or not.
func DeepReady(c auditlog.Cursor, s auditlog.Scope, p Policy) bool {
	pos := c.Scopes[s]
	return p.DeepLookback > 0 && pos.State == auditlog.StateOn && !holdsFloor(pos)
}

// DeepWait returns how long it is at now until the deep past of the scope is due. A
// clock that is behind does not make that longer than from one walk to the next.
func DeepWait(c auditlog.Cursor, s auditlog.Scope, now auditlog.Second) time.Duration {
	return min(DeepWalkEvery, max(0, DeepWalkEvery-now.Sub(c.Scopes[s].Deep)))
}

// HeadFrom returns where a walk of the scope's head begins. It needs no upper
// bound.
func HeadFrom(c auditlog.Cursor, s auditlog.Scope, p Policy) auditlog.Second {
	return max(c.Floor, c.Scopes[s].Live.Add(-p.Lookback), historyEnd(c.Scopes[s]))
}

// DeepFrom returns where a walk of the scope's deep past begins.
func DeepFrom(c auditlog.Cursor, s auditlog.Scope) auditlog.Second {
	return max(c.Floor, historyEnd(c.Scopes[s]))
}

// historyEnd is the end of the scope's history. The head never reads below it:
// one second of one scope has one reader, so that nothing depends on which of
// two remembers it longer.
func historyEnd(pos auditlog.Position) auditlog.Second {
	if n := len(pos.History); n > 0 {
		return pos.History[n-1].To
	}
	return auditlog.MinSecond
}

func holdsFloor(pos auditlog.Position) bool {
	for _, r := range pos.History {
		if r.HoldsFloor {
			return true
		}
	}
	return false
}

// Latest returns the time of a clock, and no earlier one than the newest minute in which
// anything is remembered: up to there a poll may have written, whatever one odd clock
// says. What is dated more than a day ahead does not count.
func Latest(clock auditlog.Second, m *SeenIDs) auditlog.Second {
	if newest, ok := m.Newest(); ok {
		return max(clock, min(newest, clock.Add(24*time.Hour)))
	}
	return clock
}

// KnownPage reports whether a page of the head needs no older one: all of it was
// written, and it reaches below the live position, above which lies all that is
// new. What shows up late behind it is for the full walk.
func KnownPage(m *SeenIDs, page []auditlog.Event, live auditlog.Second) bool {
	if len(page) == 0 {
		return false
	}
	below := false
	for _, ev := range page {
		if !m.Has(ev.Identity()) {
			return false
		}
		below = below || ev.Second() < live
	}
	return below
}
