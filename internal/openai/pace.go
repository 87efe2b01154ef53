package openai

import (
	"math"
	"time"
)

// How the pace of history follows the server's limit, which nobody publishes.
// The aim: near the limit, with fewer than one request in twenty answered 429.
// TestPaceSettles holds the numbers.
const (
	// paceCut is what is left of the rate after a 429.
	paceCut = 0.85
	// paceGrowth and paceStep raise the rate with each answer, in proportion and
	// in requests a second. From paceCut of the limit that takes some eighty
	// answers to the next 429. It also keeps a server that says 429 now and then
	// for no reason from slowing us down for good.
	paceGrowth = 0.002
	paceStep   = 0.0003
	// paceCalm answers without a 429 say that the limit is far: from there on the
	// rate grows by paceSpurt with each.
	paceCalm  = 150
	paceSpurt = 0.01
	// paceFew answers between two 429s are too few to learn a rate from: one such
	// run may be chance, a second one is not.
	paceFew = 10
	// paceLeast is the slowest rate, in requests a second.
	paceLeast = 0.2
)

// pace decides how fast history may go: how many requests may be in flight
// (halved by a 429, one more for each full round of answers), and, after the
// first 429, at what rate they begin. In flight alone would not do: one request
// at a time is still too fast for a server that answers at once.
//
// It is not safe for concurrent use; the Limiter guards it.
type pace struct {
	most   int
	window float64 // requests in flight allowed, 1 to most
	rate   float64 // requests a second; +Inf before the first 429
	// next is when the next request may begin. A 429 makes a new line: those who
	// waited in the old one, at the old rate, would all come on top.
	next  time.Time
	line  int       // counts the lines
	cutAt time.Time // the last 429 that counted; before one, the first answer
	since int       // answers since then
	short int       // runs of fewer than paceFew answers, one after the other
}

func newPace(most int) pace {
	return pace{most: most, window: float64(most), rate: math.Inf(1)}
}

func (p *pace) allowed() int { return int(p.window) }

// reserve takes the next place in the line and returns how long it is to it.
func (p *pace) reserve(now time.Time) time.Duration {
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(time.Duration(float64(time.Second) / p.rate)) // 0 for +Inf
	return at.Sub(now)
}

// answered counts a page that came.
func (p *pace) answered(now time.Time) {
	if p.cutAt.IsZero() {
		p.cutAt = now
	}
	p.since++
	p.window = min(p.window+1/p.window, float64(p.most))
	growth := paceGrowth
	if p.since > paceCalm {
		growth = paceSpurt
	}
	p.rate += p.rate*growth + paceStep
}

// limited counts a 429 for a request sent at. Requests sent before the last cut
// belong to the same burst: the cut was for them too.
func (p *pace) limited(now, sent time.Time) {
	if p.line > 0 && !sent.After(p.cutAt) {
		return
	}
	if p.short++; p.since >= paceFew {
		p.short = 0
	}
	p.window = max(p.window/2, 1)
	p.rate = max(p.cut(now), paceLeast)
	p.next = time.Time{}
	p.line++
	p.cutAt, p.since = now, 0
}

// cut returns the rate after a 429: a little less than now. Where now was far too
// fast it is what the server gave on the whole since the last 429, pauses and
// all, which is close to its limit at once.
func (p *pace) cut(now time.Time) float64 {
	given := float64(p.since) / max(now.Sub(p.cutAt).Seconds(), 1e-3)
	switch {
	case p.since == 0:
		return p.rate // nothing to learn from but to wait as told
	case given < p.rate/2 && (p.short == 0 || math.IsInf(p.rate, 1)):
		return given
	case p.short >= 2:
		return min(max(given, p.rate/4), p.rate*paceCut)
	}
	return p.rate * paceCut
}
