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

// The brokers are away for ten minutes, and the client would try without a word for as
// long. It is not ready soon, says that it is Kafka all the time, takes no more
// memory, and catches up by itself. So it is in a group, which is lost meanwhile, and
// for who stands by in it.
func TestSilentEndlessRetry(t *testing.T) {
	trials := kafkatest.NewTrials(t, "inprocess", "all brokers down for ten minutes")
	for name, group := range map[string]string{"alone": "", "in a group": "group"} {
		t.Run(name, func(t *testing.T) { outlastBrokers(t, trials, group) })
	}
}

func outlastBrokers(t *testing.T, trials *kafkatest.Trials, group string) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.Kafka.GroupID = group
		w.since = auditlog.SecondOf(time.Now())
		w.proxy = w.cluster.Proxy()
		i := w.start()
		i.awaitReady()
		all := []*instance{i}
		if group != "" {
			w.host = "host-2"
			standby := w.start()
			standby.awaitReady()
			all = append(all, standby)
		}
		w.api.Step(5, 0, 0)
		time.Sleep(time.Minute)
		before := heap()
		const outage = 10 * time.Minute
		w.proxy.Dark(outage)
		for elapsed := time.Duration(0); elapsed < outage; elapsed += time.Second {
			w.api.Step(2, 0, 0)
			time.Sleep(time.Second)
			if elapsed%(30*time.Second) == 0 {
				if grown := heap() - before; grown > 16<<20 {
					t.Fatalf("%v after the brokers went there are %d bytes more on the heap", elapsed, grown)
				}
			}
			// A poll, and the three that readiness allows.
			for n, i := range all {
				if elapsed > 4*w.cfg.PollInterval && !aboutKafka(i.reason()) {
					t.Fatalf("%v after the brokers went instance %d is not ready because %q", elapsed, n, i.reason())
				}
			}
		}
		if grown := heap() - before; grown > 16<<20 {
			t.Errorf("%d bytes more on the heap after the outage", grown)
		}
		time.Sleep(2 * time.Minute)
		for n, i := range all {
			if !i.ready() {
				t.Errorf("two minutes after the brokers came back instance %d is not ready because %q", n, i.reason())
			}
		}
		trials.Add(1, w.report())
		for _, i := range all {
			w.must(i.stop())
		}
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
