package connector_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// A stop ends in time whichever request a broker leaves without an answer, in a
// start or later, and whenever it comes. kgo waits ten seconds for the first answer
// of a connection, whatever becomes of who asked.
func TestStopBesideASilentBroker(t *testing.T) {
	steps := []kmsg.Key{
		kmsg.ApiVersions, kmsg.Metadata, kmsg.DescribeConfigs, kmsg.CreateTopics, kmsg.ListOffsets, kmsg.Fetch,
		kmsg.FindCoordinator, kmsg.InitProducerID, kmsg.Produce, kmsg.EndTxn,
		kmsg.DescribeProducers, kmsg.DescribeTransactions, kmsg.ListTransactions, kmsg.WriteTxnMarkers,
		kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.LeaveGroup,
	}
	for _, key := range steps {
		t.Run(key.Name(), func(t *testing.T) {
			t.Setenv("TEST_REPORT", "") // its sixty brokers are not as many tests
			struck, moments, which := 0, []time.Duration{100 * time.Millisecond, time.Second, 12 * time.Second}, []int{1, 2, 3, 4, kafkatest.EveryRequest}
			if testing.Short() { // the race detector makes it ten times as long
				moments, which = moments[1:2], []int{1, 3, kafkatest.EveryRequest}
			}
			for _, nth := range which {
				for _, mode := range []kafkatest.Mode{kafkatest.SwallowRequest, kafkatest.SwallowAnswer} {
					for _, group := range []string{"", "group"} {
						for _, after := range moments {
							fault := kafkatest.Fault{Key: key.Int16(), Nth: nth, Mode: mode}
							struck += stopBeside(t, fault, group, after)
						}
					}
				}
			}
			if struck == 0 {
				t.Error("nothing was left without an answer")
			}
		})
	}
}

// stopBeside stops a connector that met the fault, and returns how often it did.
func stopBeside(t *testing.T, fault kafkatest.Fault, group string, after time.Duration) (struck int) {
	name := fmt.Sprintf("%s %d, after %v, group %q", fault.Mode, fault.Nth, after, group)
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		now := time.Now()
		w.backfill(now.Add(-90 * 24 * time.Hour))
		w.api.Generate(100, w.since, auditlog.SecondOf(now.Add(-time.Minute)))
		w.cfg.Kafka.GroupID = group
		if fault.Key == kmsg.ListTransactions.Int16() || fault.Key == kmsg.WriteTxnMarkers.Int16() {
			w.kafka().hang() // no start sends these without
		}
		w.proxy = w.cluster.Proxy(fault)
		i := w.start()
		time.Sleep(after)
		began := time.Now()
		i.cancel()
		<-i.done
		// Run promises eight seconds; a connector that is as slow as that by its own
		// timers would be too slow on a busy machine.
		if took := time.Since(began); took > 4*time.Second || i.err != nil {
			t.Errorf("%s: it took %v, and ended with %v", name, took, i.err)
		}
		w.proxy.Close()
		struck = w.proxy.Struck(fault.Mode)
	})
	return struck
}

// The longest way out: the answer to a commit comes when the patience with it is
// nearly over, and the last cursor and the goodbye to the group are not answered.
func TestStopInTheLongestWay(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Kafka.GroupID = "group"
		w.proxy = w.cluster.Proxy()
		i := w.start()
		i.awaitReady()
		w.proxy.Add(
			kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Mode: kafkatest.DelayAnswer, Delay: 2400 * time.Millisecond},
			kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer},
			kafkatest.Fault{Key: kmsg.LeaveGroup.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer},
		)
		w.api.Step(5, 0, 0)
		eventually(t, time.Minute, "the commit waits for its answer", func() bool { return w.proxy.Struck(kafkatest.DelayAnswer) > 0 })
		began := time.Now()
		i.cancel()
		<-i.done
		took := time.Since(began)
		t.Log(took)
		if took < 6*time.Second || took > 7200*time.Millisecond || i.err != nil {
			t.Errorf("it took %v, and ended with %v", took, i.err)
		}
		w.proxy.Close()
	})
}

// A stop lets the transaction that is open end, and begins none after that: it leaves no
// aborted record, which consumers without isolation would show.
func TestStopsLeaveNothingAborted(t *testing.T) {
	inBubble(t, simulator.Config{Latency: 300 * time.Millisecond}, func(t *testing.T, w *world) {
		now := time.Now()
		w.backfill(now.Add(-200 * 24 * time.Hour))
		w.api.Generate(40_000, w.since, auditlog.SecondOf(now.Add(-time.Minute)))
		slow := func(key kmsg.Key) kafkatest.Fault {
			return kafkatest.Fault{Key: key.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.DelayAnswer, Delay: 300 * time.Millisecond}
		}
		w.proxy = w.cluster.Proxy(slow(kmsg.Produce), slow(kmsg.EndTxn))
		stops, open := 40, 0
		if testing.Short() {
			stops = 12 // the race detector makes it ten times as long
		}
		rng := rand.New(rand.NewPCG(1, 40))
		for range stops {
			i := w.start()
			time.Sleep(2*time.Second + time.Duration(rng.IntN(3000))*time.Millisecond)
			w.api.Step(3, 0, 0)
			if transactionIsOpen(w) {
				open++
			}
			w.must(i.stop())
		}
		aborted := kafkatest.Aborted(t, w.cluster, w.cfg.Kafka.Topic, w.cfg.Kafka.OffsetsTopic)
		t.Logf("%d stops, %d of them in a transaction, left %d aborted records", stops, open, aborted)
		if aborted > 0 || open == 0 {
			t.Errorf("%d stops, %d of them in a transaction, left %d aborted records; want none", stops, open, aborted)
		}
		w.proxy.Close()
	})
}

// transactionIsOpen reports whether the events topic ends in a transaction.
func transactionIsOpen(w *world) bool {
	w.t.Helper()
	length, err := w.cluster.Length()
	w.must(err)
	defer length.Close()
	stable, err := length.Committed(w.t.Context(), w.cfg.Kafka.Topic)
	w.must(err)
	end, err := length.Written(w.t.Context(), w.cfg.Kafka.Topic)
	w.must(err)
	return stable < end
}
