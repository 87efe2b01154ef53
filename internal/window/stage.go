package window

import (
	"cmp"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Stage returns the transaction for the batches: each is compared with the state as it
// is after those before it. The state is not changed: only Advance does that, when the
// transaction is known to be committed. The step ends before the first batch that was
// planned in another state.
//
// Events are compared with what was written here, inside the commit, and not when
// they were read: what another read has written meanwhile is known only now.
func (s *State) Stage(batches ...Batch) Step {
	most := 0
	for _, b := range batches {
		most += len(b.Events)
	}
	st := staging{
		state: s, step: Step{Cursor: s.Cursor, Write: make([]Place, 0, most)},
		written: takeSet(), latest: map[auditlog.Identity]auditlog.Second{},
		names: map[auditlog.Second][]string{},
	}
	defer giveSet(st.written)
	for _, b := range batches {
		if outdated(st.step.Cursor, b) {
			st.step.Discard = true
			break
		}
		st.add(b)
	}
	step := st.step
	if step.Staged == 0 {
		return step
	}
	step.Remember = s.Seen.parts(st.names)
	step.Forget = s.Seen.forgettable(step.Cursor, s.Policy)
	step.count(s.Seen)
	return step
}

// outdated reports whether the batch was planned in a state other than this.
func outdated(c auditlog.Cursor, b Batch) bool {
	if b.History == nil {
		// The ids between From and the floor are forgotten. To filter this read
		// would let events through that were written long ago.
		return b.From < c.Floor
	}
	// Below the floor nothing is remembered, so history is right only when it is
	// exactly what comes next, for exactly the scopes that still lack it.
	next, ok := NextHistory(c)
	return !ok || b.From != next.From || b.History.To > next.To || !next.sameReaders(*b.History)
}

// staging is a step that is being made.
type staging struct {
	state *State
	step  Step
	// What the step writes and remembers so far. The state's seen ids have none of it.
	written identitySet
	latest  map[auditlog.Identity]auditlog.Second // the latest minute of an id
	names   map[auditlog.Second][]string          // by minute
}

// add adds a batch to the step.
func (st *staging) add(b Batch) {
	fresh, known := st.split(b.Events)
	for _, at := range fresh {
		st.step.Write = append(st.step.Write, Place{Batch: st.step.Staged, Event: at})
	}
	st.step.Staged++
	st.step.Known += len(known)
	if b.Effect != nil {
		st.step.Cursor = b.Effect(st.step.Cursor)
	}
	// In the very transaction that raises the floor, if it does: a crash must not
	// come between an id's old minute and its new one.
	untimed := untimedUnder(st.step.Cursor)
	for _, at := range fresh {
		st.remember(b.Events[at], b, untimed)
	}
	for _, ev := range known {
		st.remember(ev, b, untimed)
	}
	for _, ev := range b.Later {
		st.remember(ev, b, untimed)
	}
}

// split tells the events that are not written yet, oldest first, from those that are,
// by the state or by this step.
func (st *staging) split(events []auditlog.Event) (fresh []int, known []auditlog.Event) {
	fresh = make([]int, 0, len(events))
	for at, ev := range events {
		id := ev.Identity()
		if _, here := st.written[id]; here || st.state.Seen.Has(id) {
			known = append(known, ev)
			continue
		}
		st.written[id] = struct{}{}
		fresh = append(fresh, at)
	}
	// Not the stable sort, which takes several times as long for a list that is newest first.
	slices.SortFunc(fresh, func(a, b int) int {
		return cmp.Or(auditlog.CompareEvents(events[a], events[b]), a-b)
	})
	return fresh, known
}

// remember adds an event to the seen ids, unless it is there for as long already, or no
// later read can meet it.
func (st *staging) remember(ev auditlog.Event, b Batch, untimed auditlog.Second) {
	id, minute := ev.Identity(), remembered(ev, untimed)
	latest, there := st.latest[id]
	if in, known := st.state.Seen.index[id]; known && (!there || in.latest > latest) {
		latest, there = in.latest, true
	}
	if there && minute <= latest || !mayMeetAgain(ev, st.step.Cursor, b) {
		return
	}
	st.latest[id] = minute
	st.names[minute] = append(st.names[minute], ev.Name())
}

// mayMeetAgain reports whether a later read may list the event again: those at or
// above the floor, whose own minute is forgotten as a whole only; those that will be
// looked for because their read is not done; and those whose time is not known.
func mayMeetAgain(ev auditlog.Event, c auditlog.Cursor, b Batch) bool {
	return b.Partial || !ev.Placed() || ev.Second() >= c.Floor.Minute()
}

// untimedUnder is the least time under which an event without one is remembered.
// Its place in the list says little: its neighbour may be dated wrong, or be
// long before the floor, and the API may list it for as long as any event that is
// new now. So it is remembered for as long as one of those.
func untimedUnder(c auditlog.Cursor) auditlog.Second {
	at := c.Floor
	for _, pos := range c.Scopes {
		at = max(at, pos.Live)
	}
	return at.Add(clockSlack)
}

// remembered is the minute under which an event is.
func remembered(ev auditlog.Event, untimed auditlog.Second) auditlog.Second {
	at := ev.Second()
	if !ev.Placed() {
		at = max(at, untimed)
	}
	if ev.Timed {
		at = max(at, ev.EffectiveAt) // where it may be listed later
	}
	return at.Minute()
}
