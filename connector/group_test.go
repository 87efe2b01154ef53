package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
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

// An instance that stands by says who works, since when, and whether that one is
// ready: also of one that got the right to write and has not opened the log yet.
func TestStandbySeesTheInstanceAtWork(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.Kafka.GroupID = "group"
		hosts := map[*instance]string{}
		join := func(host string) *instance {
			w.host = host
			i := w.start()
			hosts[i] = host
			return i
		}
		is := func(host, reason string) func(connector.Leader) bool {
			return func(l connector.Leader) bool {
				return l.Host == host && strings.Contains(l.Reason, reason) && (reason == "") == (l.Reason == "") && l.UnreadySince.IsZero() == (reason == "")
			}
		}
		works, waits := join("host-1"), join("host-2")
		time.Sleep(time.Minute) // the group decides who works
		if waits.leading() {
			works, waits = waits, works
		}
		sees := func(what string, ok func(connector.Leader) bool) {
			t.Helper()
			eventually(t, 3*time.Minute, what, func() bool { return ok(waits.atWork()) })
		}
		sees("who is at work", is(hosts[works], ""))
		if l := waits.atWork(); time.Since(l.Since) > 5*time.Minute || l.Seen.Before(l.Since) {
			t.Errorf("opened some minutes ago: %+v", l)
		}

		const refused = "the key is wrong"
		w.api.SetKeys("sk-admin-new")
		sees("it is refused", is(hosts[works], refused))
		if !waits.ready() {
			t.Errorf("the standby is not ready to take over: %s", waits.reason())
		}
		w.api.SetKeys(simulator.Key)
		sees("it is ready again", is(hosts[works], ""))

		// The other one takes over and is refused before it opens, which is seen too.
		w.api.SetKeys("sk-admin-new")
		w.must(works.stop())
		next := join("host-3")
		eventually(t, 3*time.Minute, "one of the two is refused, and the other sees it", func() bool {
			return is(hosts[waits], refused)(next.atWork()) || is("host-3", refused)(waits.atWork())
		})
		w.api.SetKeys(simulator.Key)
		eventually(t, 3*time.Minute, "it is ready, and the other sees it", func() bool {
			return waits.leading() && is(hosts[waits], "")(next.atWork()) || next.leading() && is("host-3", "")(waits.atWork())
		})
		w.must(next.stop())
		w.must(waits.stop())
	})
}
