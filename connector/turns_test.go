package connector_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// More organizations than may read history at once, each with more of it than fits into
// a turn: all are done in the end, and each event is there once for each of them.
func TestHistoryInTurns(t *testing.T) {
	const organizations, events = 6, 4000
	inBubble(t, simulator.Config{Latency: 3 * time.Second}, func(t *testing.T, w *world) { // it does not say which organization it is
		w.cfg.APIConcurrency = 1
		now := time.Now()
		w.backfill(now.Add(-90 * 24 * time.Hour))
		for n := range events {
			w.add(now.Add(-40*24*time.Hour-time.Duration(n)*time.Minute), 0)
		}
		for n := range organizations - 1 {
			another := w.cfg.Organizations[0]
			another.Name = fmt.Sprintf("organization-%d", n)
			w.cfg.Organizations = append(w.cfg.Organizations, another)
		}
		i := w.start()
		eventually(t, time.Hour, "all have written all", func() bool { return i.count() >= organizations*events })
		i.stop()
		got := map[string]int{}
		for _, r := range w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
			for _, h := range r.Headers {
				if h.Key == "ce_source" {
					got[string(h.Value)+" "+string(r.Key)]++
				}
			}
		}
		for what, times := range got {
			if times > 1 {
				t.Errorf("%s is there %d times", what, times)
			}
		}
		if len(got) != organizations*events {
			t.Errorf("%d events of %d", len(got), organizations*events)
		}
	})
}
