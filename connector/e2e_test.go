package connector_test

import (
	"os"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// 25,001 events of history, then live ones: the topic equals the API.
func TestHistoryThenLive(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 1})
		now := time.Now()
		w.api.Generate(25_000, auditlog.SecondOf(now.Add(-60*24*time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
		// Among them a record as one was published, with its odd id, country, spaces
		// and lines.
		sample, err := os.ReadFile("testdata/login.succeeded.json")
		if err != nil {
			t.Fatal(err)
		}
		w.api.Add(simulator.Event{
			ID: "audit_log-25bf005e-f060-10c3-a3cc-e4f43e6479af", EffectiveAt: 1753089116, Raw: sample,
		})
		w.backfill(time.Unix(1753089116, 0).Add(-time.Hour))
		i := w.start()
		i.awaitReady()
		for range 5 {
			w.api.Step(20, 0, 0)
			time.Sleep(300 * time.Millisecond)
		}
		r := w.awaitEqual(time.Minute)
		t.Log(r)
		if err := i.stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
		w.awaitEqual(time.Second)
	})
}
