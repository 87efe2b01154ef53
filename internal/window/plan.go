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
// the order of their time. What is too much of one is given back, and comes
// again in smaller ones. The windows given out, less what was given back of them, always cover
// the time up to the plan's place, without gap or overlap.
type Plan struct {
	todo   []Window // not given out, oldest first, disjoint
	width  int64    // seconds of the next window
	basis  Basis    // of the width
	grown  bool     // the width is that of an empty window, and more
	target int      // events a window
	// learned is the begin of the newest window that the width was learned from.
	learned auditlog.Second
	// seconds and events are those of the windows that the width was learned from, of which
	// each counts for less than the one after it.
	seconds, events float64
	rate            float64 // as it was given
}

// Basis is what the width of a window goes by.
type Basis int

const (
	Unknown   Basis = iota // nothing: it is all of the time
	Estimated              // a few events of this time, or of another
	Learned                // windows that were read
)

// Planned is a window that a plan gives out.
type Planned struct {
	Window Window
	Basis  Basis
	Events int     // that it should hold
	Rate   float64 // events a second, as given or as learned, whichever is more; 0: nothing is known
}

const (
	// A window after an empty one is this much wider, and no window grows faster.
	growth = 8
	// readAtOnce is about how many windows are read at once.
	readAtOnce = 8
)

// NewPlan returns a plan of [from, to) for windows of about target events, with about so many
// a second. Where that is not known, 0, the first window is all of the time: where that is too much,
// a page of it tells how much it is.
func NewPlan(from, to auditlog.Second, target int, rate float64) *Plan {
	p := &Plan{width: 1, target: max(1, target), learned: from, rate: rate}
	if from >= to {
		return p
	}
	p.todo = []Window{{From: from, To: to}}
	p.width = p.todo[0].Seconds()
	if rate > 0 {
		p.estimate(float64(target) / rate)
	}
	return p
}

// estimate sets the width to a number of seconds that hold about as many events as wanted.
func (p *Plan) estimate(seconds float64) {
	p.width, p.grown = max(1, int64(min(seconds, 1<<40))), false
	p.seconds, p.events = max(seconds, 1e-6), float64(p.target)
	p.basis = max(p.basis, Estimated)
}

// Target sets how many events a window is to hold from now on.
func (p *Plan) Target(events int) {
	events = max(1, events)
	if p.basis != Unknown && !p.grown {
		p.width = max(1, int64(float64(p.width)*float64(events)/float64(p.target)))
	}
	p.target = events
}

// Place returns where the window begins that Next gives out; ok is false if there is none.
func (p *Plan) Place() (at auditlog.Second, ok bool) {
	if len(p.todo) == 0 {
		return 0, false
	}
	return p.todo[0].From, true
}

// Left returns how many seconds were not given out yet.
func (p *Plan) Left() (seconds int64) {
	for _, w := range p.todo {
		seconds += w.Seconds()
	}
	return seconds
}

// Next gives out the oldest window that was not given out yet, and says what its width goes by.
// ok is false if there is none.
//
// It is as wide as learned, and less towards the end, so that those read at once end at
// about the same time. Else the last of them is waited for alone. A third is the least: every
// window costs a page that is not full. left is what was Left before the first of those that
// are begun together, which are equal; idle says that none was being read then. So where all
// that is left is about as much as is read at once, it is cut into that many.
func (p *Plan) Next(left int64, idle bool) (next Planned, ok bool) {
	if len(p.todo) == 0 {
		return Planned{}, false
	}
	width, widest := p.width, p.width
	if idle {
		widest = width * 3 / 2
	}
	if share := (left + readAtOnce - 1) / readAtOnce; p.basis != Unknown && !p.grown && share <= widest {
		width = max(1, share, width/3)
	}
	w := p.todo[0]
	if w.Seconds() <= width {
		p.todo = p.todo[1:]
	} else {
		w.To = w.From + auditlog.Second(width)
		p.todo[0].From = w.To
	}
	return Planned{w, p.basis, p.target, max(p.rate, p.events/max(p.seconds, 1e-6))}, true
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
	widest := growth * min(max(p.width, w.Seconds()), 1<<40)
	if p.grown = events == 0; p.grown {
		p.width = widest
		return
	}
	p.basis = Learned
	// One window may have the burst that the next one has not. But what is far from all that
	// was before is what the log is like from now on.
	is, was := float64(events)/float64(w.Seconds()), p.events/max(p.seconds, 1e-6)
	if is > 3*was || was > 3*is {
		p.seconds, p.events = 0, 0
	}
	p.seconds, p.events = p.seconds*3/4+float64(w.Seconds()), p.events*3/4+float64(events)
	p.width = max(1, min(widest, int64(p.seconds*float64(p.target)/p.events)))
}

// GiveBack returns a window, or the older part of one, that holds about that many events. It
// comes again, in smaller ones where those are too many.
func (p *Plan) GiveBack(w Window, events int) {
	at, _ := slices.BinarySearchFunc(p.todo, w, func(a, b Window) int { return cmp.Compare(a.From, b.From) })
	p.todo = slices.Insert(p.todo, at, w)
	if next := at + 1; next < len(p.todo) && p.todo[next].From == w.To {
		p.todo[at].To = p.todo[next].To
		p.todo = slices.Delete(p.todo, next, next+1)
	}
	if at > 0 {
		if p.todo[at-1].To == w.From {
			p.todo[at-1].To = p.todo[at].To
			p.todo = slices.Delete(p.todo, at, at+1)
		}
		return // it comes after others, which will tell how wide it may be
	}
	p.learned = w.From
	seconds := float64(w.Seconds()) * float64(p.target) / float64(max(1, events))
	if width := float64(p.width); p.basis == Learned && width < 2*seconds && seconds < 2*width {
		return // what was learned is better than an estimate that says the same
	}
	p.estimate(min(seconds, float64(w.Seconds())))
}
