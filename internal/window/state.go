package window

import "github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"

// State is what the topic holds of an organization: its cursor, and the ids
// written. One goroutine owns it.
type State struct {
	Cursor auditlog.Cursor
	Seen   *SeenIDs
	Policy Policy // how long the ids before history are kept
}

// Batch is what a read of the API found, and what it proves once it is written.
type Batch struct {
	// Events in any order; a repeat is written once.
	Events []auditlog.Event
	// Later are events that the read met and that were written before: they are to
	// be remembered for longer (SeenIDs.Sift).
	Later []auditlog.Event
	// From is where the read began. Above the floor the seen ids tell what was
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
	Write    []Place // batch by batch, in each the oldest event first
	Staged   int     // how many of the batches are in it, from the first on
	Known    int     // events left out, since they were written before
	Cursor   auditlog.Cursor
	Remember []SeenPart
	Forget   []auditlog.Bucket
	Discard  bool // the batch after those that are in it was planned in another state, and says nothing
}

// Place is an event of one of the batches of a step.
type Place struct{ Batch, Event int }

// Writes reports whether there is anything to write but a cursor.
func (s Step) Writes() bool { return len(s.Write) > 0 || len(s.Remember) > 0 }

// count notes in the cursor how many records of seen ids there are with it.
func (s *Step) count(m *SeenIDs) {
	s.Cursor.SeenRecords = m.Records() + len(s.Remember) - len(s.Forget)
}

// Lost returns how many records of seen ids that were beside the cursor are gone
// when it was written.
func (s *State) Lost() int { return max(0, s.Cursor.SeenRecords-s.Seen.Records()) }

// Advance makes the step's outcome the state. Call it only when the transaction
// is known to be committed, or when the step writes nothing.
func (s *State) Advance(step Step) {
	s.Cursor = step.Cursor
	for _, part := range step.Remember {
		s.Seen.Load(part.Bucket, part.Names)
	}
	for _, b := range step.Forget {
		s.Seen.Forget(b)
	}
}
