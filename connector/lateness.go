package connector

import (
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// walksSubject is what the warning is about.
const walksSubject = "cost of the lookbacks"

// walksPart is which part of the request budget the walks for late events may need
// before a warning says so. With more of it, history and what is new have to wait for them.
const walksPart = 0.5

// tellWalks says when the walks for late events need too much of the request budget, and
// takes that back when they do not. The rate of events is that of the ids remembered.
//
// The settings are right each by itself, so nothing refuses them. Together they would let
// history fall behind without an error anywhere.
func (p *poller) tellWalks() {
	s := p.session
	budget := float64(s.cfg.APIRequestsPerMinute)
	if budget == 0 {
		return // no limit
	}
	rate := float64(s.ledger.SeenIDs()) / max(1, s.serverNow().Sub(s.cursor().Floor).Seconds())
	needed := 60 * window.WalkRequests(rate, s.policy)
	if tooMuch := needed > walksPart*budget; tooMuch == s.walksTold {
		return
	}
	s.walksTold = !s.walksTold
	if !s.walksTold {
		s.telemetry.Warned(s.name, walksSubject, Warning{})
		return
	}
	w := Warning{
		Text: fmt.Sprintf("At %.1f events a second, looking for late events takes about %.0f requests a minute, of the %.0f that API_REQUESTS_PER_MINUTE allows.", rate, needed, budget),
		Remedy: fmt.Sprintf("Raise API_REQUESTS_PER_MINUTE if OpenAI allows it, or look for late events less far back: LOOKBACK is %v, DEEP_LOOKBACK is %v.",
			s.policy.Lookback.Round(time.Second), s.policy.DeepLookback.Round(time.Second)),
	}
	s.telemetry.Warned(s.name, walksSubject, w)
	s.log.Warn("the walks for late events need a large part of the request budget", "events_per_second", rate, "requests_per_minute", needed, "remedy", w.Remedy)
}
