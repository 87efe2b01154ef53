package window

import "github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"

// Sweep is a long time to read in windows, and to write in the order of time: a
// segment of history, the deep past of a scope, or the head of one that is too far
// behind for a poll.
type Sweep struct {
	From, To auditlog.Second // [From, To)
	Scopes   []auditlog.Scope
	Segment  *Segment // of history; nil for the others, whose last window has no upper end
}

// HistorySweep returns the sweep of the oldest history that can be read now. ok is false
// if there is none.
func HistorySweep(c auditlog.Cursor) (s Sweep, ok bool) {
	g, ok := NextHistory(c)
	return Sweep{From: g.From, To: g.To, Scopes: g.Scopes, Segment: &g}, ok
}

// HeadSweep returns the sweep of a scope's head.
func HeadSweep(c auditlog.Cursor, s auditlog.Scope, now auditlog.Second, p Policy) Sweep {
	return upward(HeadFrom(c, s, p), now, s)
}

// DeepSweep returns the sweep of a scope's deep past.
func DeepSweep(c auditlog.Cursor, s auditlog.Scope, now auditlog.Second) Sweep {
	return upward(DeepFrom(c, s), now, s)
}

func upward(from, now auditlog.Second, s auditlog.Scope) Sweep {
	return Sweep{From: from, To: max(from, now).Next(), Scopes: []auditlog.Scope{s}}
}

// Bounded reports whether the window has an upper end. The last one of a sweep that is
// no history has none: what comes while it is read belongs to it.
func (s Sweep) Bounded(w Window) bool { return s.Segment != nil || w.To < s.To }

// Effect returns what a window proves once it and all before it are written: a window of
// history itself, another sweep with its last one as a whole. began is the earliest
// beginning of all its walks so far.
func (s Sweep) Effect(w Window, began auditlog.Second, p Policy) Effect {
	switch {
	case s.Segment != nil:
		return HistoryRead(s.Scopes, w.To, p)
	case w.To == s.To:
		return Walked(s.Scopes[0], s.From, began, p)
	default:
		return nil
	}
}
