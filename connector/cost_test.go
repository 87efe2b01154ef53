package connector_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What history costs beside one request for each full page, and beside the time in which
// eight readers without any other care would read it: little, however the events are spread,
// with small records and with large ones, and with decades before it in which there is nothing.
func TestHistoryCost(t *testing.T) {
	const pageLimit, atOnce, latency = 100, 8, 150 * time.Millisecond
	even := func(w *world, n int, from, to auditlog.Second) { w.api.Generate(n, from, to) }
	for name, test := range map[string]struct {
		events   int // 0: 30,000
		generate func(w *world, n int, from, to auditlog.Second)
		prepare  func(cfg *connector.Config) // nil: nothing
		runs     int                         // of which the middle one counts, since which window ends first is chance; 0: one
		requests float64                     // for a page, at most
		time     float64                     // beside the ideal one, at most
	}{
		"even":         {generate: even, requests: 1.1, time: 1.35},
		"even, little": {events: 10_000, generate: even, requests: 1.1, time: 1.45},
		"two-hourly scripts": {requests: 1.1, time: 1.4, generate: func(w *world, n int, from, to auditlog.Second) {
			simulator.GenerateBursts(w.api, n, from, to, 360, 1)
		}},
		"nightly scripts": {requests: 1.1, time: 1.4, generate: func(w *world, n int, from, to auditlog.Second) {
			simulator.GenerateBursts(w.api, n, from, to, 36, 10)
		}},
		"working hours": {requests: 1.12, time: 1.45, generate: func(w *world, n int, from, _ auditlog.Second) {
			const days = 398
			for day := range days {
				begin := from.Add(time.Duration(day) * 24 * time.Hour)
				w.api.Generate(n/days, begin.Add(9*time.Hour), begin.Add(17*time.Hour))
			}
		}},
		"growing": {requests: 1.15, time: 1.7, generate: func(w *world, n int, from, to auditlog.Second) {
			const steps = 20
			for i := range auditlog.Second(steps) {
				w.api.Generate(n*(2*int(i)+1)/(steps*steps), from+(to-from)/steps*i, from+(to-from)/steps*(i+1)-1)
			}
		}},
		"shrinking": {runs: 7, requests: 1.2, time: 2, generate: func(w *world, n int, from, to auditlog.Second) {
			const steps = 20
			for i := range auditlog.Second(steps) {
				w.api.Generate(n*(2*(steps-1-int(i))+1)/(steps*steps), from+(to-from)/steps*i, from+(to-from)/steps*(i+1)-1)
			}
		}},
		// Decades are empty, and windows of years end where the log begins.
		"earliest": {runs: 9, generate: even, requests: 1.45, time: 2.5, prepare: func(cfg *connector.Config) {
			cfg.Organizations[0].BackfillStart = &connector.BackfillStart{Earliest: true}
		}},
		"with copies": {runs: 5, generate: even, requests: 1.2, time: 2, prepare: func(cfg *connector.Config) {
			cfg.Kafka.JSONTopic, cfg.Kafka.OCSFTopic = cfg.Kafka.Topic+".json", cfg.Kafka.Topic+".ocsf"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var requests, times []float64
			run := func(t *testing.T, w *world) {
				now := time.Now()
				w.backfill(now.Add(-400 * 24 * time.Hour))
				test.generate(w, cmp.Or(test.events, 30_000), w.since, auditlog.SecondOf(now.Add(-48*time.Hour)))
				w.cfg.Organizations[0].TenantEvents = connector.TenantOff
				w.cfg.PollInterval = time.Hour // so that it is history's requests that are counted
				if test.prepare != nil {
					test.prepare(&w.cfg)
				}
				listed := 0
				for ev := range w.api.Truth() {
					if ev.Scopes[0] == auditlog.ScopeOrganization {
						listed++
					}
				}
				began := time.Now()
				i := w.start()
				eventually(t, 10*time.Minute, "all of history written", func() bool { return i.count() == listed })
				took := time.Since(began)
				pages := float64(listed) / pageLimit
				requests = append(requests, float64(w.api.Requests().Total)/pages)
				times = append(times, float64(took)/(pages/atOnce*float64(latency)))
				w.must(i.stop())
			}
			for range max(1, test.runs) {
				inBubble(t, simulator.Config{Latency: latency}, run)
			}
			slices.Sort(requests)
			slices.Sort(times)
			t.Logf("%.3f requests for a page, %.3f of the ideal time", requests, times)
			if got := requests[len(requests)/2]; got > test.requests {
				t.Errorf("%.3f requests for a page, at most %.2f", got, test.requests)
			}
			if got := times[len(times)/2]; got > test.time {
				t.Errorf("%.3f of the ideal time, at most %.2f", got, test.time)
			}
		})
	}
}

// Of a list in any order nothing is lost or doubled, however dense its windows turn out to be:
// what is cut off from a window rests on no order.
func TestHistoryInAnyOrder(t *testing.T) {
	for name, cfg := range map[string]simulator.Config{
		"by arrival":   {OrderSkew: 30 * time.Minute},
		"oldest first": {Faults: map[simulator.Fault]float64{simulator.Reversed: 1}},
		"shuffled":     {Faults: map[simulator.Fault]float64{simulator.Shuffled: 1}},
		"any of them":  {OrderSkew: 5 * time.Minute, Faults: map[simulator.Fault]float64{simulator.Shuffled: 0.3, simulator.Duplicated: 0.2}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, cfg, func(t *testing.T, w *world) {
				now := time.Now()
				w.backfill(now.Add(-10 * 24 * time.Hour))
				// Even at both ends: a page of the oldest events must show that it comes oldest first.
				quiet := w.since + 86_400
				w.api.Generate(3000, w.since, quiet-1)
				simulator.GenerateBursts(w.api, 12_000, quiet, auditlog.SecondOf(now.Add(-50*time.Hour)), 4, 90)
				w.api.Generate(3000, auditlog.SecondOf(now.Add(-50*time.Hour)), auditlog.SecondOf(now.Add(-25*time.Hour)))
				i := w.start()
				eventually(t, time.Hour, "all of history written", func() bool { return i.count() >= 18_000 })
				if r := w.report(); !r.OK() {
					t.Error(r)
				}
				w.must(i.stop())
			})
		})
	}
}
