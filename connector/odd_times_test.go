package connector_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// Events whose effective_at is odd, or changes, or stands elsewhere than they are listed.

// letters are the dead letters, committed.
func (w *world) letters() []*kgo.Record {
	return w.cluster.Read(w.t, w.cfg.Kafka.DLQTopic, kgo.ReadCommitted())
}

// An event whose effective_at is no time, and that stands at the top of the list for ever, is
// dead-lettered once: what is met again is remembered for longer, also across starts.
func TestTimelessForEver(t *testing.T) {
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = time.Minute
		w.cfg.DeepLookback = time.Hour
		i := w.start()
		i.awaitReady()
		ms := time.Now().UnixMilli()
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.Second(ms), fmt.Appendf(nil, `{"id":"in-ms","type":"login.succeeded","effective_at":%d}`, ms))
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.Second(ms), []byte(`{"type":"login.succeeded","effective_at":1e30}`))
		for hour := range 9 {
			time.Sleep(time.Hour)
			if n := len(w.letters()); n != 2 {
				t.Fatalf("after %d hours two events are %d dead letters", hour+1, n)
			}
			if hour%3 == 2 {
				i.stop()
				i = w.start()
				i.awaitReady()
			}
		}
		if n := i.remembered(); n != 2 {
			t.Errorf("%d ids are remembered of two events", n)
		}
		seen := 0
		for _, value := range w.state() {
			if value != nil {
				seen++
			}
		}
		if seen > 8 { // the cursor, and a record an hour of the last hours
			t.Errorf("%d records of state for two events", seen)
		}
		i.stop()
	})
}

// state is what the offsets topic holds, as compaction will leave it.
func (w *world) state() map[string][]byte {
	out := map[string][]byte{}
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		out[string(r.Key)] = r.Value
	}
	return out
}

// The API moves an event to a later time, again and again, each time while it is
// remembered: it is written once, also when nothing else is, and across starts.
func TestRedated(t *testing.T) {
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = time.Minute
		w.cfg.DeepLookback = 4 * time.Hour
		i := w.start()
		i.awaitReady()
		at := time.Now()
		w.api.Add(simulator.Event{ID: "moved", EffectiveAt: auditlog.SecondOf(at)})
		for round := range 3 {
			time.Sleep(2*time.Hour + 30*time.Minute)
			at = time.Now().Add(-time.Duration(round) * time.Hour)
			w.api.Redate("moved", auditlog.SecondOf(at))
			time.Sleep(51 * time.Minute)
			i.cancel()
			<-i.done
			i = w.start()
			i.awaitReady()
		}
		time.Sleep(6 * time.Hour)
		if n := len(w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted())); n != 1 {
			t.Errorf("one event is %d records", n)
		}
		if n := i.remembered(); n != 0 {
			t.Errorf("%d ids are remembered of a time that nobody reads any more", n)
		}
		i.stop()
	})
}
