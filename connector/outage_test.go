package connector_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The brokers are away for ten minutes, and the client would try in silence for as
// long. It is not ready soon, says that it is Kafka all the time, takes no more
// memory, and catches up by itself.
func TestSilentEndlessRetry(t *testing.T) {
	trials := kafkatest.NewTrials(t, "inprocess", "all brokers down for ten minutes")
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.proxy = w.cluster.Proxy()
		i := w.start()
		i.awaitReady()
		w.api.Step(5, 0, 0)
		time.Sleep(time.Minute)
		before := heap()
		const outage = 10 * time.Minute
		w.proxy.Dark(outage)
		for elapsed := time.Duration(0); elapsed < outage; elapsed += time.Second {
			w.api.Step(2, 0, 0)
			time.Sleep(time.Second)
			// A poll, and the three that readiness allows.
			if elapsed > 4*w.cfg.PollInterval && !aboutKafka(i.reason()) {
				t.Fatalf("%v after the brokers went it is not ready because %q", elapsed, i.reason())
			}
		}
		if grown := heap() - before; grown > 16<<20 {
			t.Errorf("%d bytes more on the heap after the outage", grown)
		}
		time.Sleep(2 * time.Minute)
		if !i.ready() {
			t.Errorf("two minutes after the brokers came back it is not ready because %q", i.reason())
		}
		trials.Add(1, w.report())
		w.must(i.stop())
	})
}

// aboutKafka reports whether a reason sends an operator to the brokers.
func aboutKafka(reason string) bool {
	return strings.Contains(reason, "broker") && !strings.Contains(reason, "the API has")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
