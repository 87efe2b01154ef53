package txlog_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// step is a request that Open or Commit sends. This table is the one place to add
// one; a request that is not in it fails TestFaultMatrix.
type step struct {
	key   kmsg.Key
	old   bool // only brokers before 4.0 are asked
	aside bool // nothing waits for it, and not every broker is asked
	word  bool // it is done without when it fails
}

var steps = []step{
	{key: kmsg.ApiVersions},
	{key: kmsg.Metadata},
	{key: kmsg.ListOffsets},
	{key: kmsg.Fetch},
	{key: kmsg.FindCoordinator},
	{key: kmsg.InitProducerID},
	{key: kmsg.AddPartitionsToTxn, old: true},
	{key: kmsg.Produce},
	{key: kmsg.EndTxn},
	// Looking for transactions that hang.
	{key: kmsg.DescribeTransactions, word: true},
	{key: kmsg.DescribeProducers},
	// The client's own metrics, for brokers that subscribe to them (KIP-714).
	{key: kmsg.GetTelemetrySubscriptions, aside: true},
	{key: kmsg.PushTelemetry, aside: true},
}

// TestFaultMatrix lets every request fail, before it is applied and after: once,
// which the client may get over by itself, and until we give up. Then it tries again,
// then it opens the log again, and the oracle is asked each time.
func TestFaultMatrix(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) { faultMatrix(t, c, before40(c)) })
	t.Run("inprocess as 3.6", func(t *testing.T) {
		faultMatrix(t, asOld(t), true)
	})
}

// before40 reports whether the broker has the transactions of before 4.0, whose
// client says beforehand which partitions it will write to (KIP-890).
func before40(c *kafkatest.Cluster) bool { return strings.HasPrefix(c.Backend(), "kafka-3.") }

func faultMatrix(t *testing.T, c *kafkatest.Cluster, old bool) {
	var (
		mu   sync.Mutex // guards sent
		sent = map[int16]bool{}
	)
	observe := func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		sent[f.Key] = true
	}
	t.Run("cells", func(t *testing.T) {
		for _, s := range steps {
			if s.old && !old {
				continue
			}
			for _, mode := range []kafkatest.Mode{kafkatest.CutBefore, kafkatest.CutAfterApplied} {
				for name, nth := range map[string]int{"once": 1, "until we give up": kafkatest.EveryRequest} {
					t.Run(s.key.Name()+" "+string(mode)+" "+name, func(t *testing.T) {
						t.Parallel() // a cell waits more than it works
						faultCell(t, c, s, kafkatest.Fault{Key: s.key.Int16(), Nth: nth, Mode: mode}, observe)
					})
				}
			}
		}
	})
	for key := range sent {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.key.Int16() == key && (old || !s.old) }) {
			t.Errorf("%s requests are sent, and are not in the table of steps", kmsg.NameForKey(key))
		}
	}
}

func faultCell(t *testing.T, c *kafkatest.Cluster, s step, fault kafkatest.Fault, observe func(kafkatest.Frame)) {
	w := newWorld(t, c)
	w.cfg.StopGrace = 100 * time.Millisecond
	log := w.open(w.cfg)
	w.mustCommit(log) // something to lose
	log.Close()

	proxy := c.Proxy(fault)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// From the first strike: how long it takes to get there says nothing.
	first := cancel // the observer goes on, and the variable is used again
	giveUp := sync.OnceFunc(func() { time.AfterFunc(400*time.Millisecond, first) })
	proxy.Observe(func(f kafkatest.Frame) {
		observe(f)
		if f.Fault.Mode == fault.Mode && fault.Nth == kafkatest.EveryRequest {
			giveUp()
		}
	})
	err := w.attempt(ctx, proxy)
	cancel()
	switch {
	case s.aside:
	case proxy.Struck(fault.Mode) == 0:
		t.Fatal("the fault met no request")
	case err == nil && fault.Nth == kafkatest.EveryRequest && !s.word:
		t.Error("it succeeded though every request failed")
	}

	proxy.Clear()
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.attempt(ctx, proxy); err != nil {
		t.Errorf("the second attempt: %v", err)
	}
	w.reopened()
}

// attempt opens the log through the proxy and commits once.
func (w *world) attempt(ctx context.Context, p *kafkatest.Proxy) error {
	w.tb.Helper()
	log, err := w.tryOpen(ctx, w.through(p))
	if err != nil {
		return err
	}
	defer log.Close()
	return w.commit(ctx, log)
}

// TestRandomFaults cuts one in so many requests of any kind, and opens again
// after each error, for as long as a test may take.
func TestRandomFaults(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		t.Parallel() // it waits more than it works
		w := newWorld(t, c)
		w.cfg.StopGrace = 100 * time.Millisecond
		proxy := c.Proxy()
		seed := uint64(time.Now().UnixNano())
		proxy.Random(seed, 25, kafkatest.Fault{Key: kafkatest.AnyKey})
		failed := 0
		for range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := w.attempt(ctx, proxy); err != nil {
				failed++
			}
			cancel()
		}
		happened := 0
		proxy.Clear()
		w.reopened()
		for _, b := range w.batches {
			if b == confirmed {
				happened++
			}
		}
		t.Logf("seed %d: %d of 40 attempts failed; %d of %d commits happened", seed, failed, happened, len(w.batches))
	})
}
