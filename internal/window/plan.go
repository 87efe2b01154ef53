package window

import (
	"cmp"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Plan cuts a long time into windows that each hold about as many events as
// one transaction should. It learns the density as windows are read: empty years
// take a handful of windows, a busy hour many, and one second is never cut.
//
// Windows come oldest first, may be read in parallel, and are to be committed in
// the order of their time. One that turns out too dense is given back, and comes
// again in smaller ones. The windows given out and not given back always cover
// the time up to the plan's place, without gap or overlap.
type Plan struct {
	todo   []Window // not given out, oldest first, disjoint
	width  int64    // seconds of the next window
	target int      // events a window
	// learned is the begin of the newest window that the width was learned from.
	learned auditlog.Second
}

const (
	// A window after an empty one is this much wider, and no window grows faster.
	growth = 8
	// The first guess. A year with nothing known about it begins
	// with days: too wide costs a page, too narrow a request.
	firstWidth = 24 * 60 * 60
)

// NewPlan returns a plan of [from, to) for windows of about target events.
func NewPlan(from, to auditlog.Second, target int) *Plan {
	p := &Plan{width: firstWidth, target: target, learned: from}
	if from < to {
		p.todo = []Window{{From: from, To: to}}
		// Eight can be read at once: an hour must not be one window.
		p.width = max(1, min(firstWidth, p.todo[0].Seconds()/growth))
	}
	return p
}

// Next gives out the oldest window that was not given out yet. ok is false if there is none.
func (p *Plan) Next() (w Window, ok bool) {
	if len(p.todo) == 0 {
		return Window{}, false
	}
	w = p.todo[0]
	width := p.next()
	if w.Seconds() <= width {
		p.todo = p.todo[1:]
		return w, true
	}
	w.To = w.From + auditlog.Second(width)
	p.todo[0].From = w.To
	return w, true
}

// next is how wide the next window is: as learned, and less towards the end, so that
// those read at once end at about the same time. Else the last of them is waited
// for alone. A quarter is the least: every window costs a page that is not full.
func (p *Plan) next() int64 {
	var left int64
	for _, w := range p.todo {
		left += w.Seconds()
	}
	return max(1, min(p.width, max(left/growth, p.width/4)))
}

// Read tells the plan that a window held that many events. Windows end in any order,
// and the width is learned from the newest of those before the place where the plan
// stands: an older one that was empty must not widen what a newer one narrowed, and
// one beyond that place, left from before something was given back, tells nothing of
// it.
func (p *Plan) Read(w Window, events int) {
	if w.From < p.learned || len(p.todo) > 0 && w.From > p.todo[0].From {
		return
	}
	p.learned = w.From
	widest := growth * max(p.width, w.Seconds())
	if events == 0 {
		p.width = widest
		return
	}
	p.width = max(1, min(widest, w.Seconds()*int64(p.target)/int64(events)))
}

// GiveBack returns a window that would hold about that many events, which is too
// many. It must be wider than a second; it comes again in smaller ones.
func (p *Plan) GiveBack(w Window, events int) {
	at, _ := slices.BinarySearchFunc(p.todo, w, func(a, b Window) int { return cmp.Compare(a.From, b.From) })
	p.todo = slices.Insert(p.todo, at, w)
	if at > 0 {
		return // it comes after others, which will tell how wide it may be
	}
	p.learned = w.From
	p.width = max(1, min(w.Seconds()/2, w.Seconds()*int64(p.target)/int64(max(1, events))))
}
