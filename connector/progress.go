package connector

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// progressEvery is how often a long read says how far it is.
const progressEvery = 30 * time.Second

// progress tells how far a stretch is read, now and then.
type progress struct {
	began, told time.Time
	events      int
}

// written counts a part that was committed, and says how far the stretch is when
// it is time to. The rest is guessed by the time covered so far, which is right
// for a log that is equally dense.
func (p *progress) written(r *reader, events int, to auditlog.Second) {
	now := r.now()
	if p.began.IsZero() {
		p.began, p.told = now, now
	}
	p.events += events
	if now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	took := now.Sub(p.began)
	covered, all := float64(to-r.from), float64(r.to-r.from)
	left := time.Duration(float64(took) * (all/max(1, covered) - 1))
	r.log.Info("reading the past", "reached", to.String(), "until", r.to.String(), "events", p.events,
		"per_second", int(float64(p.events)/took.Seconds()), "left_about", left.Round(time.Second))
}
