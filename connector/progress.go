package connector

import (
	"sync/atomic"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

const (
	// progressEvery is how often a long read says in the log how far it is.
	progressEvery = 30 * time.Second
	// rateOver is the time over which the rate of a long read is measured, in steps
	// of rateStep. What is left is guessed by it, so it is neither so short that each
	// weekend in the log moves the guess, nor so long that a changed rate limit does
	// not.
	rateOver = 2 * time.Minute
	rateStep = 5 * time.Second
	// rateLeast is how long the rate is measured before it is reported.
	rateLeast = 2 * time.Second
)

// progress reports how far a long read of the past is. There is one for each kind of
// read. That of history outlives its sweeps and sessions: it ends when no history
// is left.
//
// It only reports. What is to be read is decided by the cursor, so a guess that is wrong
// here, or lost in a crash, moves no event. The goroutine of its sweeper owns it; read alone
// is counted by the goroutines that read windows.
type progress struct {
	kind        ReadKind
	began, told time.Time       // zero: nothing is read
	base        auditlog.Second // where it began
	from        auditlog.Second // and where its events do
	found       bool            // an event of it
	reached     auditlog.Second // is committed up to here
	until       auditlog.Second
	events      int
	requests    int64  // of the organization when it began
	read        amount // from base on
	marks       []mark
}

// amount is how much was read, and not how much was committed. Many windows are read at
// once and committed one after the other, so that the commits of a slow API come in
// bursts. How fast it goes and what is left follow from what is read.
type amount struct {
	seconds, events atomic.Int64 // of the log
}

// count counts what was read, or takes it back.
func (p *progress) count(seconds int64, events int) {
	p.read.seconds.Add(seconds)
	p.read.events.Add(int64(events))
}

// mark is how much was read at a time. They are of the time over which the rate is
// measured, oldest first.
type mark struct {
	at              time.Time
	seconds, events int64
}

func (p *progress) mark(now time.Time) mark {
	return mark{now, p.read.seconds.Load(), p.read.events.Load()}
}

// begin tells that [from, until) is to be read; again, if that changes meanwhile.
// Nothing is being read.
func (p *progress) begin(s *session, from, until auditlog.Second) {
	now := s.now()
	if p.began.IsZero() {
		p.began, p.told, p.requests, p.base = now, now, s.requests.Load(), auditlog.MaxSecond
		if p.kind == ReadHistory {
			s.log.Info("history begins", "from", from.String(), "until", until.String())
		}
	}
	if from < p.base { // the first part, or one that is before what was read
		// Only history reads time that may hold nothing at all.
		p.base, p.from, p.reached, p.found = from, from, from, p.kind != ReadHistory
		p.read.seconds.Store(0)
		p.marks = []mark{p.mark(now)}
	}
	// What was read and not committed is read again.
	lost := p.read.seconds.Load() - int64(from-p.base)
	p.read.seconds.Add(-lost)
	for i := range p.marks {
		p.marks[i].seconds -= lost
	}
	p.until = until
	s.telemetry.Progressed(s.name, p.at(s, now))
}

// written counts a part that was committed, and reports it; in the log now and then.
func (p *progress) written(s *session, events int, to auditlog.Second) {
	now := s.now()
	p.events += events
	p.reached = to
	switch {
	case !p.found:
		// Years without an event take no time. Nothing can be guessed by them.
		p.from, p.marks, p.found = to, []mark{p.mark(now)}, events > 0
	case now.Sub(p.marks[len(p.marks)-1].at) >= rateStep:
		p.marks = append(p.marks, p.mark(now))
		for len(p.marks) > 2 && now.Sub(p.marks[1].at) >= rateOver {
			p.marks = p.marks[1:]
		}
	}
	is := p.at(s, now)
	s.telemetry.Progressed(s.name, is)
	if now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	s.log.Info("reading the past", "read", string(p.kind), "reached", to.String(), "until", p.until.String(), "events", is.Events,
		"per_second", int(is.PerSecond), "requests", is.Requests, "left_about", is.Left.Round(time.Second))
}

// end tells that all of it is committed, if anything was read.
func (p *progress) end(s *session) {
	if p.began.IsZero() {
		return
	}
	now := s.now()
	p.reached = p.until
	is := p.at(s, now)
	is.Done, is.Left = true, 0
	s.telemetry.Progressed(s.name, is)
	if p.kind == ReadHistory {
		s.log.Info("history is read", "until", p.until.String(), "events", is.Events, "seconds", int(is.Took.Round(time.Second)/time.Second),
			"requests", is.Requests)
	}
	p.began = time.Time{}
	p.events = 0
}

// at is how far the read is.
func (p *progress) at(s *session, now time.Time) Progress {
	is := Progress{
		Read: p.kind, From: p.from.Time(), Reached: p.reached.Time(), Until: p.until.Time(),
		Events: p.events, Requests: int(s.requests.Load() - p.requests), Took: now.Sub(p.began),
	}
	then, here := p.marks[0], p.mark(now)
	took := here.at.Sub(then.at)
	if took < rateLeast || here.seconds <= then.seconds || !p.found {
		return is
	}
	is.PerSecond = float64(here.events-then.events) / took.Seconds()
	left := float64(int64(p.until-p.base) - here.seconds)
	is.Left = max(time.Second, time.Duration(float64(took)*left/float64(here.seconds-then.seconds)))
	return is
}
