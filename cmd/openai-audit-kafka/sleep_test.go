package main

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// A process is stopped with SIGSTOP inside a transaction, another one takes over,
// and the sleeper wakes up: it writes nothing, and leaves with 3. It sleeps for as
// long as the other one needs, or until the broker has given up its transaction.
func TestSleeperIsReplaced(t *testing.T) {
	t.Parallel() // it sleeps
	c := kafkatest.Real(t)
	for _, sleep := range []struct {
		name string
		past time.Duration // how long it sleeps before the other one starts
		runs int
	}{
		{"SIGSTOP, replaced at once", 0, kafkatest.Runs(t, 2, 10)},
		// A minute, and the broker's sweep of up to ten seconds more.
		{"SIGSTOP past the transaction's timeout", 72 * time.Second, kafkatest.Runs(t, 1, 10)},
	} {
		t.Run(sleep.name, func(t *testing.T) {
			t.Parallel() // both mostly wait, and each has topics and processes of its own
			trials := kafkatest.NewTrials(t, c.Backend(), sleep.name)
			t.Run("runs", func(t *testing.T) {
				for n := range sleep.runs {
					t.Run(fmt.Sprint(n), func(t *testing.T) {
						t.Parallel()
						trials.Add(1, sleeper(t, newProcesses(t, c), n, sleep.past))
					})
				}
			})
		})
	}
}

// sleeper puts a process to sleep at one of its requests, which differs from run to
// run, and returns what the topic holds in the end.
func sleeper(t *testing.T, w *processes, n int, past time.Duration) kafkatest.Report {
	w.api.Generate(10_000, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
	var mu sync.Mutex // guards sleeper and sent
	var sleeper *process
	asleep := make(chan struct{})
	sent := 0
	key := []kmsg.Key{kmsg.Produce, kmsg.EndTxn}[n%2].Int16()
	w.proxy.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		// The frame is passed on afterwards, so a produce is in the open transaction, and
		// an end may have been decided when the sleeper wakes up to its answer.
		if f.Key != key || f.Answer {
			return
		}
		if sent++; sent == 4 {
			sleeper.signal(syscall.SIGSTOP)
			close(asleep)
		}
	})
	mu.Lock()
	sleeper = w.start(w.proxy.Brokers())
	mu.Unlock()
	<-asleep
	time.Sleep(past)
	second := w.start(w.c.Brokers())
	w.await()
	return w.wakes(sleeper, second, 30*time.Second)
}

// wakes lets a sleeper wake up that the second one has replaced. It must write
// nothing and say in that time that it was fenced; the second one works on.
func (w *processes) wakes(sleeper, second *process, within time.Duration) kafkatest.Report {
	w.t.Helper()
	before := w.kafka().ends()
	sleeper.signal(syscall.SIGCONT)
	if code := sleeper.exit(within); code != exitFenced {
		w.t.Errorf("exit code %d\n%s", code, sleeper.log.String())
	}
	if after := w.kafka().ends(); !maps.Equal(before, after) {
		w.t.Errorf("the topics ended at %v, and at %v after the sleeper woke up", before, after)
	}
	w.api.Step(20, 0, 0)
	report := await(w.t, w.c, w.api, w.topics[:2])
	second.signal(syscall.SIGTERM)
	if code := second.exit(stopLimit); code != exitDone {
		w.t.Errorf("the second one's exit code is %d\n%s", code, second.log.String())
	}
	return report
}

// A process that has nothing to write is stopped with SIGSTOP, another one takes
// over, and the sleeper wakes up. It learns that at once, and not at its next cursor,
// which may be ten minutes away.
func TestIdleSleeperIsReplaced(t *testing.T) {
	t.Parallel() // it sleeps
	c := kafkatest.Real(t)
	for _, where := range []string{"between two polls", "in a request"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			idleSleeper(newProcesses(t, c), where == "in a request")
		})
	}
}

func idleSleeper(w *processes, inRequest bool) {
	sleeper := w.start(w.c.Brokers())
	w.await()
	if inRequest {
		w.api.SetFaults(map[simulator.Fault]float64{simulator.Hang: 1})
	}
	w.awaitAPI()
	sleeper.signal(syscall.SIGSTOP)
	w.api.SetFaults(nil)
	second := w.start(w.c.Brokers())
	w.until("the second one takes over", func() bool { return strings.Contains(second.log.String(), "opened") })
	time.Sleep(16 * time.Second) // longer than a busy host is late
	if r := w.wakes(sleeper, second, 15*time.Second); !r.OK() {
		w.t.Error(r)
	}
}

// A crash loop: the process is killed inside its transaction, again and again. Each
// start ends what the one before left open, so the last stable offset keeps moving,
// and readers are never held up for long.
func TestHangingTransaction(t *testing.T) {
	c := kafkatest.Real(t)
	trials := kafkatest.NewTrials(t, c.Backend(), "crash loop, killed inside each transaction")
	starts := kafkatest.Runs(t, 20, 100)
	w := newProcesses(t, c)
	// One request at a time leaves a window or two for each transaction: no start reads all of it.
	w.extra = []string{"API_CONCURRENCY=1"}
	w.api.Generate(5000*starts, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
	var mu sync.Mutex // guards what follows
	var p *process
	ends := 0
	w.proxy.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case f.Answer:
		case f.Key == kmsg.EndTxn.Int16():
			ends++
		case f.Key == kmsg.Produce.Int16() && ends == 3:
			p.signal(syscall.SIGKILL) // and the frame is passed on
		}
	})
	stable := int64(-1)
	for n := range starts {
		mu.Lock()
		ends, p = 0, w.start(w.proxy.Brokers())
		mu.Unlock()
		if code := p.exit(20 * time.Second); code != -1 {
			t.Fatalf("start %d ended by itself with %d\n%s", n, code, p.log.String())
		}
		now := w.kafka().stable()
		if now <= stable {
			t.Errorf("start %d: the last stable offset is %d, and was %d", n, now, stable)
		}
		stable = now
	}
	w.proxy.Observe(nil)
	w.extra = nil
	w.start(w.c.Brokers())
	trials.Add(starts, await(t, w.c, w.api, w.topics[:2]))
	if stable, end := w.kafka().stable(), w.kafka().ends()[w.topics[0]]; stable != end {
		t.Errorf("the last stable offset is %d of %d: a transaction is left open", stable, end)
	}
}
