package window

import (
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// State is what the topic holds of an organization: its cursor, and the ids
// written. One goroutine owns it.
type State struct {
	Cursor auditlog.Cursor
	Memory *Memory
	Policy Policy // how long the ids before history are kept
}

// Batch is what a read of the API found, and what it proves once it is written.
type Batch struct {
	// Events in any order; a repeat is written once.
	Events []auditlog.Event
	// Later are events that the read met and that were written before: they are to
	// be remembered for longer (Memory.Sift).
	Later []auditlog.Event
	// From is where the read began. Above the floor the memory tells what was
	// written; a read from below the floor must be one of history, which nothing
	// else reads there.
	From auditlog.Second
	// History is the segment that the read was planned in; nil for the head and
	// the deep past.
	History *Segment
	// Partial says that more of the same read follows: what is written now must
	// be known again if the rest fails.
	Partial bool
	// Effect is what the read proves; nil: nothing.
	Effect Effect
}

// Step is a transaction to be: what to write, and the state after it.
type Step struct {
	Write   []auditlog.Event // oldest first
	Known   int              // events left out, since they were written before
	Cursor  auditlog.Cursor
	Seen    []SeenPart
	Forget  []auditlog.Bucket
	Discard bool // the read says nothing: it was planned in another state
}

// Writes reports whether there is anything to write but a cursor.
func (s Step) Writes() bool { return len(s.Write) > 0 || len(s.Seen) > 0 }

// Stage returns the transaction for the batch. The state is not changed: only
// Advance does that, when the transaction is known to be committed.
//
// Events are held against the memory here, inside the commit, and not when they
// were fetched: what another read has written meanwhile is known only now.
func (s *State) Stage(b Batch) Step {
	step := Step{Cursor: s.Cursor}
	if s.outdated(b) {
		step.Discard = true
		return step
	}
	var known []auditlog.Event
	step.Write, known = s.unwritten(b.Events)
	step.Known = len(known)
	if b.Effect != nil {
		step.Cursor = b.Effect(s.Cursor)
	}
	// In the very transaction that raises the floor, if it does: a crash must not
	// come between an id's old minute and its new one.
	untimed := untimedUnder(step.Cursor)
	again := s.Memory.outlived(known, b.Later, untimed)
	step.Seen = s.Memory.parts(toRemember(slices.Concat(step.Write, again), step, b), untimed)
	step.Forget = s.Memory.forgettable(step.Cursor, s.Policy)
	step.count(s.Memory)
	return step
}

// count notes in the cursor how many records of seen ids there are with it.
func (s *Step) count(m *Memory) {
	s.Cursor.SeenRecords = m.Records() + len(s.Seen) - len(s.Forget)
}

// Lost returns how many records of seen ids are gone that stood beside the cursor
// when it was written.
func (s *State) Lost() int { return max(0, s.Cursor.SeenRecords-s.Memory.Records()) }

// Advance makes the step's outcome the state. Call it only when the transaction
// is known to be committed, or when the step writes nothing.
func (s *State) Advance(step Step) {
	s.Cursor = step.Cursor
	for _, part := range step.Seen {
		s.Memory.Load(part.Bucket, part.Names)
	}
	for _, b := range step.Forget {
		s.Memory.Forget(b)
	}
}

func (s *State) unwritten(events []auditlog.Event) (fresh, known []auditlog.Event) {
	here := make(map[auditlog.Identity]struct{}, len(events))
	for _, ev := range events {
		id := ev.Identity()
		if _, repeated := here[id]; repeated || s.Memory.Has(id) {
			known = append(known, ev)
			continue
		}
		here[id] = struct{}{}
		fresh = append(fresh, ev)
	}
	auditlog.SortEvents(fresh)
	return fresh, known
}

// outdated reports whether the batch was planned in another state than this.
func (s *State) outdated(b Batch) bool {
	if b.History == nil {
		// The ids between From and the floor are forgotten. To filter this read
		// would let events through that were written long ago.
		return b.From < s.Cursor.Floor
	}
	// Below the floor nothing is remembered, so history is right only when it is
	// exactly what comes next, for exactly the scopes that still lack it.
	next, ok := NextHistory(s.Cursor)
	return !ok || b.From != next.From || b.History.To > next.To || !next.sameReaders(*b.History)
}

// untimedUnder is the least time under which an event without one is remembered.
// Where it stands in the list says little: its neighbour may be dated wrong, or be
// long before the floor, and the API may list it for as long as any event that is
// new now. So it is remembered for as long as one of those.
func untimedUnder(c auditlog.Cursor) auditlog.Second {
	at := c.Floor
	for _, pos := range c.Scopes {
		at = max(at, pos.Live)
	}
	return at.Add(clockSlack)
}

// toRemember returns those of the events that a later read may meet again: those
// at or above the floor, whose own minute is forgotten as a whole only; those
// that will be looked for because their read is not done; and those whose time
// nobody knows.
func toRemember(events []auditlog.Event, step Step, b Batch) []auditlog.Event {
	lowest := step.Cursor.Floor.Minute()
	return slices.DeleteFunc(events, func(ev auditlog.Event) bool {
		return !b.Partial && ev.Placed() && ev.Second() < lowest
	})
}
