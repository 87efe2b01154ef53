package connector_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The stories of two instances of one organization. Who writes is decided by
// fencing alone; who may fence, by the openers in the cursor.

// on returns the world as seen from a host.
func (w *world) on(host string) *world {
	w.host = host
	return w
}

// running fails the test if the instance has ended.
func (i *instance) running() {
	i.t.Helper()
	select {
	case <-i.done:
		i.t.Fatalf("it ended with %v", i.err)
	default:
	}
}

// refusesToFence starts an instance that must find another one at work, leave it
// alone, and say by whom it was replaced.
func (w *world) refusesToFence(replacedBy string) {
	w.t.Helper()
	err := w.start().end(20 * time.Second)
	if !errors.Is(err, connector.ErrFenced) || !strings.Contains(err.Error(), replacedBy+" opened it") {
		w.t.Errorf("it ended with %v", err)
	}
}

// isFenced waits until an instance whose log another one opened ends by it. It learns of that with
// its next transaction, of new events where its history is over.
func (w *world) isFenced(i *instance) {
	w.t.Helper()
	eventually(w.t, 20*time.Second, "the first ends", func() bool {
		w.burst(1, 1)
		select {
		case <-i.done:
			return true
		default:
			return false
		}
	})
	if !errors.Is(i.err, connector.ErrFenced) {
		w.t.Errorf("the first ended with %v", i.err)
	}
}

// The second instance takes over, the first ends, and a restart of the first, as a
// supervisor does it, does not fence the second back: else they would go on for
// ever. When the second has left, the first may start.
func TestZombieWriter(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		w.burst(300, 30)
		first := w.on("host-1").start()
		first.awaitReady()
		second := w.on("host-2").start()
		second.awaitReady()
		w.burst(300, 30)
		w.isFenced(first)
		w.awaitEqual(20 * time.Second)

		w.on("host-1").refusesToFence("host-2")
		w.burst(10, 10)
		w.awaitEqual(20 * time.Second)
		second.running()

		w.must(second.stop())
		w.kafka().awaitMarkers() // until they are there, the second is at work for who looks
		third := w.on("host-1").start()
		third.awaitReady()
		w.burst(10, 10)
		w.awaitEqual(20 * time.Second)
		w.must(third.stop())
	})
}

// Both are in the middle of history when the second comes.
func TestZombieWriterInHistory(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		// Slow enough that there is history left for the second.
		w := newQuickWorld(t, c, simulator.Config{Latency: 100 * time.Millisecond})
		w.backfill(time.Now().Add(-100 * 24 * time.Hour))
		w.api.Generate(20_000, w.since, w.since+100*24*60*60-60)
		first := w.on("host-1").start()
		eventually(t, 20*time.Second, "the first writes", func() bool { return first.commitsOK() > 2 })
		second := w.on("host-2").start()
		w.isFenced(first)
		w.awaitEqual(40 * time.Second)
		w.must(second.stop())
	})
}

// A process that was cut off, or asleep, for longer than its timers has no answer
// that says it was fenced. It learns from the cursor that another one took over, on
// its own host too, and leaves it alone.
func TestCutOffAndReplaced(t *testing.T) {
	for _, host := range []string{"host-1", "host-2"} {
		inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
			w.since = auditlog.SecondOf(time.Now())
			w.proxy = w.cluster.Proxy()
			first := w.on("host-1").start()
			first.awaitReady()
			w.proxy.Dark(3 * time.Minute)
			w.burst(5, 1)
			time.Sleep(time.Minute)
			w.proxy, w.since = nil, auditlog.SecondOf(time.Now().Add(-time.Minute))
			second := w.on(host).start()
			second.awaitReady()
			if err := first.end(10 * time.Minute); !errors.Is(err, connector.ErrFenced) {
				t.Errorf("the first ended with %v", err)
			}
			w.burst(5, 1)
			time.Sleep(time.Minute)
			second.running()
			if r := w.report(); !r.OK() {
				t.Error(r)
			}
			w.must(second.stop())
			if n := second.commits["unconfirmed"] + second.commits["fenced"]; n > 0 {
				t.Errorf("%d commits of the second were disturbed", n)
			}
		})
	}
}

// However many starts of a process fail, it does not take itself for another one.
func TestFailedStartsAreNobodyElse(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		i.awaitReady()
		fault := w.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TransactionAbortable, Count: 20})
		w.burst(5, 1)
		time.Sleep(10 * time.Minute)
		if fault.Hits() < 20 {
			t.Errorf("%d starts failed", fault.Hits())
		}
		i.running()
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
		w.must(i.stop())
	})
}

// A host that was never replaced may always start: a pod with a new name, and the
// same host again, however it ended.
func TestWhoMayFence(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"the same host after a crash": func(w *world) {
			w.on("host-1").crash()
			w.on("host-1").startsAndLeaves()
		},
		"a new host after a crash": func(w *world) {
			w.on("host-1").crash()
			w.on("host-2").startsAndLeaves()
		},
		"the host that was replaced, eleven minutes after the other one crashed": func(w *world) {
			w.on("host-1").crash()
			w.on("host-2").crash()
			time.Sleep(9 * time.Minute)
			w.on("host-1").refusesToFence("host-2")
			time.Sleep(time.Minute + time.Second)
			w.on("host-1").startsAndLeaves()
		},
		"not the host that was replaced by one at work on a quiet log": func(w *world) {
			w.on("host-1").startsAndLeaves()
			second := w.on("host-2").start()
			for range 20 {
				time.Sleep(7 * time.Minute)
				w.on("host-1").refusesToFence("host-2")
			}
			second.running()
			w.must(second.stop())
		},
		"not the host that was replaced by the third": func(w *world) {
			for _, host := range []string{"host-1", "host-2", "host-3"} {
				w.on(host).crash()
			}
			w.on("host-1").refusesToFence("host-3")
			w.on("host-2").refusesToFence("host-3")
			w.on("host-3").startsAndLeaves()
			w.on("host-1").startsAndLeaves()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.proxy = w.cluster.Proxy()
				story(w)
			})
		})
	}
}

// crash starts an instance and ends it without a word to the broker.
func (w *world) crash() {
	w.t.Helper()
	i := w.start()
	i.awaitReady()
	w.proxy.Dark(time.Minute)
	w.must(i.stop())
	time.Sleep(time.Minute)
}

func (w *world) startsAndLeaves() {
	w.t.Helper()
	i := w.start()
	i.awaitReady()
	w.burst(3, 3)
	time.Sleep(time.Minute)
	i.running()
	w.must(i.stop())
}

// Whatever it is in when it is told to stop, it says in the cursor that it left, so
// that a host it replaced may start at once.
func TestCleanStopIsMarked(t *testing.T) {
	for name, during := range map[string]func(w *world, i *instance){
		"at work": func(*world, *instance) {},
		"in history": func(w *world, i *instance) {
			began := i.commitsOK()
			eventually(w.t, 20*time.Second, "history is written", func() bool { return i.commitsOK() > began })
		},
		"while the API hangs": func(w *world, _ *instance) {
			w.api.SetFaults(map[simulator.Fault]float64{simulator.HangInBody: 1})
			time.Sleep(4 * quick)
		},
	} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				w := newQuickWorld(t, c, simulator.Config{Latency: 5 * time.Millisecond})
				w.backfill(time.Now().Add(-100 * 24 * time.Hour))
				w.api.Generate(6_000, w.since, w.since+100*24*60*60-60)
				i := w.start()
				i.awaitReady()
				during(w, i)
				w.must(i.stop())
				openers := w.cursor().Openers
				if last := openers[len(openers)-1]; !last.Closed {
					t.Errorf("the last opener did not leave: %+v", openers)
				}
				w.api.SetFaults(nil)
				i = w.start()
				w.awaitEqual(30 * time.Second)
				w.must(i.stop())
			})
		})
	}
}
