package connector_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// 25,000 events of history, then live ones: the topic equals the API.
func TestHistoryThenLive(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 1})
		now := time.Now()
		w.api.Generate(25_000, auditlog.SecondOf(now.Add(-60*24*time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
		w.backfill(now.Add(-90 * 24 * time.Hour))
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
