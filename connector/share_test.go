package connector_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// Two instances share an organization: one works, the other stands by, ready. When
// the first leaves, the other goes on at once; when the first is gone without a
// word, after its session. Nothing is lost or doubled.
func TestTakeover(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		w.cfg.Kafka.GroupID = c.Name("group")
		w.burst(300, 60)
		first := w.start()
		w.awaitEqual(40 * time.Second)
		w.host = "host-2"
		second := w.start()
		second.awaitReady()
		w.burst(200, 1)
		w.awaitEqual(20 * time.Second)

		first.awaitReady()
		leaving := time.Now()
		if err := first.stop(); err != nil {
			t.Errorf("leaving: %v", err)
		}
		w.burst(200, 1)
		w.awaitEqual(20 * time.Second)
		t.Logf("takeover after an orderly stop: %v with the stop itself", time.Since(leaving).Round(time.Millisecond))
		if err := second.stop(); err != nil {
			t.Errorf("leaving: %v", err)
		}
	})
}
