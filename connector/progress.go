package connector

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// progressEvery is how often a long read says in the log how far it is.
const progressEvery = 30 * time.Second

// progress tells how far a stretch is read.
type progress struct {
	began, told time.Time
	events      int
	requests    int64 // of the organization when it began
}

// written counts a part that was committed, and tells of it; in the log now and then.
func (p *progress) written(r *reader, events int, to auditlog.Second) {
	now := r.now()
	if p.began.IsZero() {
		p.began, p.told, p.requests = now, now, r.requests.Load()
	}
	p.events += events
	is := p.at(r, to, now)
	r.telemetry.Progressed(r.Name, is)
	if now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	r.log.Info("reading the past", "reached", to.String(), "until", r.to.String(), "events", is.Events,
		"per_second", int(is.PerSecond()), "requests", is.Requests, "left_about", is.Left.Round(time.Second))
}

// at is how far the stretch is. What is left is guessed by the time covered so far,
// which is right for a log that is equally dense.
func (p *progress) at(r *reader, to auditlog.Second, now time.Time) Progress {
	took := now.Sub(p.began)
	covered, all := float64(to-r.from), float64(r.to-r.from)
	return Progress{
		Reached: to.Time(), Until: r.to.Time(), Events: p.events, Requests: int(r.requests.Load() - p.requests), Took: took,
		Left: time.Duration(float64(took) * max(0, all/max(1, covered)-1)),
	}
}
