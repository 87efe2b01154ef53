package connector_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What history costs in requests, beside one for each full page: little, with small
// records and with large ones, and with decades before it in which there is nothing.
func TestHistoryCost(t *testing.T) {
	const events, pageLimit = 30_000, 100
	for name, test := range map[string]struct {
		prepare func(cfg *connector.Config)
		extra   int  // requests for what is found out before the density is known
		bursts  bool // all of it in eight hours of each day
	}{
		"plain":         {prepare: func(*connector.Config) {}, extra: 10},
		"working hours": {prepare: func(*connector.Config) {}, extra: 30, bursts: true},
		// Windows of years end where the log begins, and are given back.
		"earliest": {prepare: func(cfg *connector.Config) {
			cfg.Organizations[0].BackfillStart = &connector.BackfillStart{Earliest: true}
		}, extra: 200},
		"with copies": {prepare: func(cfg *connector.Config) {
			cfg.Kafka.JSONTopic, cfg.Kafka.OCSFTopic = cfg.Kafka.Topic+".json", cfg.Kafka.Topic+".ocsf"
		}, extra: 30},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{Latency: 150 * time.Millisecond}, func(t *testing.T, w *world) {
				now := time.Now()
				w.backfill(now.Add(-400 * 24 * time.Hour))
				if test.bursts {
					const days = 398
					for day := range days {
						begin := w.since.Add(time.Duration(day) * 24 * time.Hour)
						w.api.Generate(events/days, begin.Add(9*time.Hour), begin.Add(17*time.Hour))
					}
				} else {
					w.api.Generate(events, w.since, auditlog.SecondOf(now.Add(-48*time.Hour)))
				}
				w.cfg.Organizations[0].TenantEvents = connector.TenantOff
				w.cfg.PollInterval = time.Hour // so that it is history's requests that are counted
				test.prepare(&w.cfg)
				listed := 0
				for ev := range w.api.Truth() {
					if ev.Scopes[0] == auditlog.ScopeOrganization {
						listed++
					}
				}
				i := w.start()
				eventually(t, 10*time.Minute, "all of history written", func() bool { return i.count() == listed })
				pages := listed / pageLimit
				if n := w.api.Requests().Total; n > pages+pages/6+test.extra {
					t.Errorf("%d requests for %d pages", n, pages)
				} else {
					t.Logf("%d requests for %d pages", n, pages)
				}
				w.must(i.stop())
			})
		})
	}
}
