package window

import (
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// What an operator does to a state by hand. Nothing here reads the API, so a
// cursor may afterwards say less than the topic holds, and never more.

// SkipTo returns the step that goes on from a time without reading what is
// before it: positions and floor move forward to it, and history and seen ids
// below it are dropped, but for what a range that is left may meet again. The start
// stays, so that what was skipped is known as missing, and can be repaired. A time
// below the floor, or after now, is refused, and one whose events were written by then
// if their ids are gone.
func (s *State) SkipTo(to, now auditlog.Second) (Step, error) {
	switch c := s.Cursor; {
	case c.StartAnew:
		return Step{}, fmt.Errorf("the cursor was reset and has no position yet; run the connector, with BACKFILL_START_TIME if history is wanted")
	case to > now:
		return Step{}, fmt.Errorf("%v is after now (%v): what comes until then would be lost", to, now)
	case to < c.Floor:
		return Step{}, fmt.Errorf("%v is before the floor (%v): to go backwards would write again what is there; "+
			"BACKFILL_START_TIME adds history before the start, `verify --repair` fills what is missing after it", to, c.Floor)
	case s.Lost() > 0 && to < c.WrittenAt.Add(clockSlack):
		return Step{}, fmt.Errorf("%d records of seen ids are gone, and what was written with a time from %v on might be written again; "+
			"from %v on nothing was: give that time or a later one, once it has come", s.Lost(), to, c.WrittenAt.Add(clockSlack))
	}
	c := s.Cursor.Clone()
	c.Floor = to
	for scope, pos := range c.Scopes {
		// A scope that was never read gets a position too: with none, all time from
		// the start would be read once it is allowed.
		pos.Live, pos.Deep = max(pos.Live, to), max(pos.Deep, to)
		pos.History = shrink(pos.History, to)
		c.Scopes[scope] = pos
	}
	step := Step{Cursor: c, Forget: s.Seen.forgettable(c, s.Policy)}
	step.count(s.Seen)
	return step, nil
}

// Reset returns the cursor of an organization that is to start over. Who opened
// it before is kept, if that is known.
func Reset(organization string, openers []auditlog.Opener, now auditlog.Second) auditlog.Cursor {
	return auditlog.Cursor{
		Version:      auditlog.CursorVersion,
		Organization: organization,
		StartAnew:    true,
		WrittenAt:    now,
		Openers:      openers,
	}
}

// Responsible says who will write an event that is missing in the topic.
type Responsible string

// Who may be responsible for an event's time.
const (
	NotCovered      Responsible = "not_covered"       // it is before the start, so it is not written
	LeftToConnector Responsible = "left_to_connector" // the connector, now or later
	LeftToRepair    Responsible = "repair"            // a repair: the connector has read that time and will not come back
)

// ResponsibleFor says who will write an event of a time that the scope lists. Between
// start and floor, outside of history still to be read, the connector never reads
// again, so a repair may write there without asking it.
//
// A scope that is not read now will get its time back as history when it is. That
// history leaves out what the other scope lists as well, so where both list an event
// the one that is read decides.
func ResponsibleFor(c auditlog.Cursor, scope auditlog.Scope, at auditlog.Second) Responsible {
	switch {
	case c.StartAnew:
		return LeftToConnector
	case at < c.Start:
		return NotCovered
	case at >= c.Floor:
		return LeftToConnector
	}
	for _, pos := range c.Scopes {
		for _, r := range pos.History {
			if r.From <= at && at < r.To {
				return LeftToConnector
			}
		}
	}
	if pos := c.Scopes[scope]; pos.State != auditlog.StateOn && at >= pos.Live {
		return LeftToConnector // also where it was never read: then Live is zero
	}
	return LeftToRepair
}
