package openai

import (
	"math"
	"time"
)

// How the pace of history follows the server's limit, which is not published. The
// numbers were found by trying, on limits of 20 to 3,000 a minute and on 429s at
// random; TestPaceSettles, TestStray429s and TestPaceComesBack check the outcome.
const (
	// paceCut is what is left of the rate when it is lowered, paceAgain when there
	// are fewer 429s then, and paceFast when more than paceMany of the answers are
	// 429 even so. paceShut is that when the server shut the door twice.
	paceCut, paceAgain, paceFast, paceShut = 0.85, 0.7, 0.25, 0.125
	paceMany                               = 0.35
	// paceSame: lowering the rate did not help, if this part of the share of 429s is
	// left, or if it is paceKnown times that of the strays that are known.
	paceSame, paceKnown = 0.6, 1.5
	// paceTrial outcomes, and those of paceTrialSeconds more, show whether it helped.
	// paceEnough 429s show it sooner.
	paceTrial, paceTrialSeconds = 20, 1.5
	paceEnough                  = 6
	// paceRow 429s without an answer between them mean everybody, and so does one
	// that says to wait for longer than paceAlone.
	paceRow   = 3
	paceAlone = 2 * time.Second
	// The rate grows slowly near the last limit, so that one 429 in some forty
	// answers shows where it is now, and then by up to paceSteep/reach with each
	// answer. reach is at least paceReach answers, and with more than a request a
	// second those of paceReachSeconds more. So a minute is enough to get from one
	// request a second to any rate.
	paceReach, paceReachSeconds = 40, 5
	paceSteep                   = 2
	// paceStrays is how long strays are believed until they are tried again.
	// paceMemory is how long what the server gave counts.
	paceStrays = time.Minute
	paceMemory = 5 * time.Minute
	// paceLeast is the slowest rate, in requests a second. It is for limits that
	// were measured. Where nearly all is refused there is nothing to measure, and
	// the rate is one a second, or one for a wait of up to four that the server names.
	paceLeast = 0.25
)

// pace decides at what rate history requests begin. A 429 is obeyed, and by itself
// it says nothing about our rate. So it is tried: the rate is lowered, and again
// while that makes the share of 429s smaller. If none are left, our rate was the
// cause, and it grows again from there, slowly at first. If as many are left, it
// was not: the rate is what it was before, and as many 429s more are no reason to
// lower it. After a minute they are tried again.
//
// It is not safe for concurrent use; the Limiter guards it.
type pace struct {
	most int
	rate float64   // requests a second; +Inf before the first 429
	next time.Time // when the next request may begin
	took float64   // seconds that answers take lately
	row  int       // 429s since the last answer

	cutAt    time.Time // when the rate was lowered; before that, the first answer
	answers  int       // since then, to requests sent since then
	refusals int       // 429s to the same; after a trial, since its end
	wait     time.Duration
	reach    float64 // how many answers until the rate grows fast

	trial  bool
	length int     // outcomes until the trial ends
	early  int     // its outcomes up to the first 429
	rows   int     // how often paceRow were refused in a row
	before float64 // the rate before it was lowered
	share  float64 // the share of 429s before it was lowered

	triedAt time.Time // when a trial ended
	clean   bool      // without a 429
	stray   float64   // the share of 429s that have nothing to do with our rate
}

func newPace(most int) pace {
	return pace{most: most, rate: math.Inf(1), reach: paceReach}
}

// went counts a request that is sent now. One that was late by some milliseconds
// does not make those after it late.
func (p *pace) went(now time.Time) {
	const tolerance = 10 * time.Millisecond
	p.next = later(p.next, now.Add(-tolerance)).Add(time.Duration(float64(time.Second) / p.rate)) // 0 for +Inf
}

// counts reports whether the outcome of a request that was sent at that time says
// something about the present rate.
func (p *pace) counts(sent time.Time) bool { return math.IsInf(p.rate, 1) || sent.After(p.cutAt) }

// first notes the first outcome.
func (p *pace) first(now, sent time.Time) {
	if p.cutAt.IsZero() {
		p.cutAt, p.took = now, now.Sub(sent).Seconds()
	}
}

// answered counts a page that came for a request sent at.
func (p *pace) answered(now, sent time.Time) {
	p.row = 0
	p.first(now, sent)
	p.took += (now.Sub(sent).Seconds() - p.took) / 10
	if !p.counts(sent) {
		return
	}
	p.answers++
	x := float64(p.answers) / p.reach
	p.rate *= 1 + min(3*x*x, paceSteep)/p.reach
	if p.trial {
		p.judge(now)
	}
}

// refused counts a 429 for a request sent at, that says to wait. It reports whether
// the 429 means everybody, and not this request alone.
func (p *pace) refused(now, sent time.Time, wait time.Duration) (everybody bool) {
	p.row++
	p.first(now, sent)
	everybody = !p.trial && p.stray == 0 || p.row >= paceRow || wait > paceAlone
	if !p.counts(sent) {
		return everybody // it was sent before the rate was lowered
	}
	if p.refusals++; p.refusals == 1 {
		p.early = p.answers + 1
	}
	switch {
	case p.trial:
		p.wait = max(p.wait, wait)
		if p.row%paceRow == 0 {
			p.rows++
		}
		p.judge(now)
		if p.row >= paceRow && p.trial {
			// The door is shut: the trial begins again when it opens.
			p.cutAt, p.answers, p.refusals = now, 0, 0
		}
	case !p.explained(now):
		p.suspect(now, wait)
	}
	return everybody
}

// explained reports whether the 429s since the last trial are no more than strays.
func (p *pace) explained(now time.Time) bool {
	most := 3 + 2*p.stray*float64(p.answers+p.refusals)
	return p.stray > 0 && now.Sub(p.triedAt) < paceStrays && float64(p.refusals) <= most
}

// suspect begins a trial.
func (p *pace) suspect(now time.Time, wait time.Duration) {
	// All at once can be no faster than this.
	p.before, p.share = min(p.rate, float64(p.most)/max(p.took, 1e-3)), 1
	if p.stray > 0 {
		p.share = float64(p.refusals) / float64(p.answers+p.refusals)
	}
	rate := p.before
	if now.Sub(p.cutAt) < paceMemory {
		rate = min(rate, p.since(now, p.answers+p.refusals))
		if p.clean && p.stray == 0 {
			// It helped the last time. What the server gave since is close to its limit.
			rate = min(rate, p.since(now, p.answers))
		}
	}
	p.wait = wait
	p.lower(now, rate*paceCut, paceLeast)
}

// since returns how many a second n are since the rate was lowered, without a short
// pause at its beginning.
func (p *pace) since(now time.Time, n int) float64 {
	d := now.Sub(p.cutAt)
	if p.wait <= paceAlone {
		d -= p.wait
	}
	return float64(n) / max(d.Seconds(), 1e-3)
}

// judge ends a trial once it has enough outcomes.
func (p *pace) judge(now time.Time) {
	n, enough := p.answers+p.refusals, p.refusals >= paceEnough || p.rows > 1
	if n < p.length && !enough {
		return
	}
	share := float64(p.refusals) / float64(n)
	if enough {
		// What a pause had saved up came before the first.
		share = float64(p.refusals-1) / float64(n-p.early)
	}
	switch {
	case share > paceMany || p.rows > 1:
		left := paceFast
		if p.rows > 1 {
			left = paceShut
		}
		p.share = 1
		p.lower(now, p.rate*left, max(paceLeast, 1/max(1, p.wait.Seconds())))
	case share > paceKnown*p.stray && share < paceSame*p.share:
		p.before, p.share = p.rate, share
		p.lower(now, min(p.rate, p.since(now, n))*paceAgain, paceLeast)
	default:
		p.learn(now, share)
	}
}

// learn ends a trial in which lowering the rate left this share of 429s.
func (p *pace) learn(now time.Time, share float64) {
	p.trial, p.refusals, p.triedAt, p.clean = false, 0, now, share == 0
	if !p.clean {
		p.rate, p.next = p.before, now // and not when the lower rate would let it go
	}
	if p.stray = (p.stray + share) / 2; p.stray < 0.005 {
		p.stray = 0
	}
}

// lower sets the rate, and begins to try it.
func (p *pace) lower(now time.Time, rate, least float64) {
	p.rate = max(rate, least)
	p.next, p.cutAt = now, now
	p.answers, p.refusals, p.rows, p.trial = 0, 0, 0, true
	p.reach = paceReach*(1+min(p.rate, 1))/2 + paceReachSeconds*p.rate
	p.length = int(paceTrial + paceTrialSeconds*p.rate)
}
