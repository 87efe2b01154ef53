package connector_test

import (
	"flag"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

var busyMinutes = flag.Int("busy.minutes", 6, "how long the organization of TestHundredEventsASecond is busy, of simulated time")

// A hundred events a second: each poll finds a thousand, and the lookback is hundreds
// of pages. The head does not wait for its walks, and what is remembered is what the
// lookbacks ask for. It prints what the walks cost; -busy.minutes=60 is the whole of it.
func TestHundredEventsASecond(t *testing.T) {
	const rate, every = 100, 5 * time.Second
	busy := time.Duration(*busyMinutes) * time.Minute
	if testing.Short() {
		busy /= 2
	}
	inBubble(t, simulator.Config{Latency: 100 * time.Millisecond}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.DeepLookback = 15 * time.Minute
		w.cfg.Lookback = min(w.cfg.Lookback, busy/3)
		i := w.start()
		i.awaitReady()
		began, before := time.Now(), w.api.Requests().Total
		most := 0
		for time.Since(began) < busy {
			time.Sleep(every)
			w.api.Step(rate*int(every/time.Second), 0, 0)
			most = max(most, i.remembered())
		}
		took, requests := time.Since(began), w.api.Requests().Total-before
		events := rate * int(took/time.Second)
		t.Logf("%d events in %v: %d requests, %.1f a second, %.1f for each page of new events; at most %d ids remembered; worst delay %v",
			events, took, requests, float64(requests)/took.Seconds(), float64(requests)*100/float64(events), most, i.worstDelay())
		time.Sleep(3 * time.Minute)
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
		// A poll interval and the time to read ten pages of both scopes, or the windows
		// that are read beside.
		if worst := i.worstDelay(); worst > 3*w.cfg.PollInterval {
			t.Errorf("a new event waited for %v", worst)
		}
		// The deep past is walked every fifty minutes.
		if bound := rate * int((w.cfg.DeepLookback+55*time.Minute)/time.Second); most > bound {
			t.Errorf("%d ids are remembered, want at most %d", most, bound)
		}
		w.must(i.stop())
	})
}
