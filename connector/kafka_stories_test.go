package connector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The failure stories of committing to Kafka, with the whole connector. Those of
// the protocol alone are in internal/txlog.

// Polls come without a pause, and the broker takes five seconds for each answer: a
// poll that begins before the one before it is committed must not write it again.
func TestOverlappingPolls(t *testing.T) {
	inBubble(t, simulator.Config{Latency: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.PollInterval = time.Nanosecond
		w.proxy = w.cluster.Proxy(kafkatest.Fault{
			Key: kmsg.Produce.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.DelayAnswer, Delay: 5 * time.Second,
		})
		i := w.start()
		seconds := 90
		if testing.Short() {
			seconds = 20 // a nanosecond between polls is many of them
		}
		for range seconds {
			w.api.Step(3, 0.3, 20*time.Second)
			time.Sleep(time.Second)
		}
		w.proxy.Clear()
		time.Sleep(30 * time.Second)
		if r := w.report(); !r.OK() || r.Topic != 3*seconds {
			t.Error(r)
		}
		w.must(i.stop())
	})
}

// Within a partition the order of history is that of the events' times and ids,
// whatever failed and was tried again. A late event comes when it is found: behind.
func TestOrderInPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{Seed: 5})
		now := time.Now()
		w.backfill(now.Add(-60 * 24 * time.Hour))
		// To before the floor: above it the head reads beside history.
		w.api.Generate(5000, w.since, auditlog.SecondOf(now.Add(-25*time.Hour)))
		w.proxy = c.Proxy()
		for n := range 6 {
			for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
				mode := []kafkatest.Mode{kafkatest.CutBefore, kafkatest.CutAfterApplied}[n%2]
				w.proxy.Add(kafkatest.Fault{Key: key.Int16(), Nth: 3 * (n + 1), Mode: mode, Dark: 200 * time.Millisecond})
			}
		}
		i := w.start()
		w.awaitEqual(time.Minute)
		if w.proxy.Struck(kafkatest.CutBefore) == 0 || w.proxy.Struck(kafkatest.CutAfterApplied) == 0 {
			t.Errorf("the faults struck %v", w.proxy.Strikes())
		}
		w.proxy.Clear()
		w.add(now.Add(-5*time.Minute), 0)
		w.awaitEqual(time.Minute)
		var events []kafkatest.Want
		for _, r := range c.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
			ev, err := kafkatest.Decode(r.Value)
			w.must(err)
			events = append(events, ev)
		}
		if !slices.IsSortedFunc(events, func(a, b kafkatest.Want) int {
			if a.EffectiveAt != b.EffectiveAt {
				return int(a.EffectiveAt - b.EffectiveAt)
			}
			return strings.Compare(a.ID, b.ID)
		}) {
			t.Error("the events are not in the order of their times and ids")
		}
		w.must(i.stop())
	})
}

// A log is so quiet that the broker forgets the transactional id, and with it the
// producer. The next event is delivered by itself.
func TestExpiredTransactionalID(t *testing.T) {
	t.Parallel() // it waits for the broker
	c := kafkatest.Real(t, kafkatest.Properties(map[string]string{
		"transactional.id.expiration.ms":                              "3000",
		"transaction.remove.expired.transaction.cleanup.interval.ms":  "500",
		"producer.id.expiration.ms":                                   "2000",
		"producer.id.expiration.check.interval.ms":                    "500",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
	}))
	w := newQuickWorld(t, c, simulator.Config{})
	w.burst(5, 5)
	i := w.start()
	w.awaitEqual(20 * time.Second)
	id := w.cfg.Kafka.OffsetsTopic + "/default"
	eventually(t, 30*time.Second, "the broker has forgotten "+id, func() bool {
		found, err := c.Admin().DescribeTransactions(t.Context(), id)
		w.must(err)
		return found[id].Err != nil
	})
	w.burst(1, 1)
	w.awaitEqual(20 * time.Second)
	w.must(i.stop())
	if i.commits["unconfirmed"] == 0 {
		t.Errorf("no commit failed: %v", i.commits)
	}
}

// Whatever the API does not answer in: it is said to be not ready within three
// polls and one, why, and no longer than the trouble lasts.
func TestSilentStall(t *testing.T) {
	for _, fault := range []simulator.Fault{
		simulator.Hang, simulator.HangInBody, simulator.ResetInBody, simulator.EmptyObject, simulator.WrongKey, simulator.RateLimitSeconds,
	} {
		t.Run(string(fault), func(t *testing.T) {
			inBubble(t, simulator.Config{RetryAfter: 2 * time.Minute}, func(t *testing.T, w *world) {
				w.beyondLookback()
				w.since = auditlog.SecondOf(time.Now())
				i := w.start()
				i.awaitReady()
				time.Sleep(time.Minute)
				w.api.SetFaults(map[simulator.Fault]float64{fault: 1})
				time.Sleep(4*w.cfg.PollInterval + time.Second)
				if reason := i.reason(); !strings.Contains(reason, "API") && !strings.Contains(reason, "events") {
					t.Errorf("not ready because %q", reason)
				}
				w.api.Step(5, 0, 0)
				time.Sleep(10 * time.Minute)
				if i.ready() {
					t.Error("it is ready")
				}
				w.api.SetFaults(nil)
				time.Sleep(3 * time.Minute)
				if reason := i.reason(); reason != "" {
					t.Errorf("afterwards it is not ready because %q", reason)
				}
				if r := w.report(); !r.OK() {
					t.Error(r)
				}
				w.must(i.stop())
			})
		})
	}
}
