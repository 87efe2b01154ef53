package txlog_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// A stop that comes during a commit, or before it, does not cost its outcome on a
// broker that answers.
func TestCommitOutlivesItsContext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		proxy := c.Proxy()
		log := w.open(w.through(proxy))
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
			if err := w.giveUp(log, proxy, key); err != nil {
				t.Errorf("stopped at %s: %v", key.Name(), err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.commit(ended, log); err != nil {
			t.Errorf("stopped before it began: %v", err)
		}
		log.Close()
		w.reopened()
	})
}

// On a broker that is silent, a stop takes StopGrace and no more. To the letter in
// virtual time; a real broker's machine may be slow.
func TestStopGraceIsHonoured(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
				if took := stopAtSilence(t, c, key); took > silentGrace+10*time.Millisecond {
					t.Errorf("the commit took %v", took)
				}
			})
		})
	}
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
			t.Run(key.Name(), func(t *testing.T) { stopAtSilence(t, c, key) })
		}
	})
}

const silentGrace = 300 * time.Millisecond

// stopAtSilence stops a commit whose request of the key is not answered, and
// returns how long it took.
func stopAtSilence(t *testing.T, c *kafkatest.Cluster, key kmsg.Key) (took time.Duration) {
	w := newWorld(t, c)
	w.cfg.StopGrace = silentGrace
	proxy := c.Proxy()
	log := w.open(w.through(proxy))
	w.mustCommit(log)
	w.awaitMarkers() // or the next transaction waits for them
	proxy.Add(kafkatest.Fault{Key: key.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
	var stopped time.Time
	first := sync.OnceFunc(func() { stopped = time.Now() })
	err := w.giveUpAt(log, proxy, func(f kafkatest.Frame) bool {
		if f.Key == key.Int16() {
			first()
		}
		return f.Key == key.Int16()
	})
	if took = time.Since(stopped); took < silentGrace {
		t.Errorf("the commit took %v", took)
	}
	if !errors.Is(err, txlog.ErrUnconfirmed) || !errors.Is(err, context.Canceled) {
		t.Errorf("Commit returned %v", err)
	}
	wantFinished(t, log)
	w.reopened()
	return took
}

// Nothing of a log outlives it: not of one that was closed, of one that failed
// inside a transaction, nor of an Open that failed.
func TestCloseLeavesNothingBehind(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c)
	w.cfg.StopGrace = 100 * time.Millisecond
	w.reopened() // the cluster's own clients are there from here on
	before := goleak.IgnoreCurrent()
	proxy := c.Proxy()
	for _, fault := range []kafkatest.Fault{
		{},
		{Key: kmsg.Produce.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest},
		{Key: kmsg.EndTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.CutBefore},
		{Key: kmsg.InitProducerID.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer},
		{Key: kmsg.Fetch.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest},
	} {
		proxy.Clear()
		patience := time.Minute
		if fault.Mode != "" {
			proxy.Add(fault)
			patience = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		// Not by w.open, whose oracle leaves clients that end with the test.
		if log, _, err := txlog.Open(ctx, w.through(proxy)); err == nil {
			err = log.Commit(ctx, nil, []txlog.Change{{Key: "umbrella/x", Value: []byte("x")}})
			if (err == nil) != (fault.Mode == "") {
				t.Errorf("%s of %d: Commit returned %v", fault.Mode, fault.Key, err)
			}
			log.Close()
			log.Close()
		}
		cancel()
	}
	proxy.Close()
	goleak.VerifyNone(t, before)
}

// kgo would go on for ever without a word. We end it, and say where to look: in the
// shipped time in a bubble, in a shorter one on both brokers.
func TestProduceThatIsNeverAcknowledged(t *testing.T) {
	want := func(t *testing.T, err error, took, wait time.Duration) {
		t.Helper()
		if !errors.Is(err, txlog.ErrUnconfirmed) || !strings.Contains(err.Error(), "min.insync.replicas") {
			t.Errorf("Commit returned %v", err)
		}
		if took < wait {
			t.Errorf("it took %v, want %v", took, wait)
		}
	}
	t.Run("as shipped", func(t *testing.T) {
		inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
			w := newWorld(t, c)
			log := w.open(w.cfg)
			fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.cfg.Topic, Err: kerr.NotEnoughReplicas, Count: -1})
			began := time.Now()
			err := w.commit(t.Context(), log)
			// With the wait for the end less than TransactionTimeout, see produceWait.
			took := time.Since(began)
			want(t, err, took, 25*time.Second)
			if took > 27*time.Second {
				t.Errorf("it took %v", took)
			}
			fault.Remove()
			w.reopened()
		})
	})
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		const wait = 500 * time.Millisecond
		proxy := c.Proxy()
		log := w.open(txlog.Hasty(w.through(proxy), 0, wait))
		proxy.Add(kafkatest.Fault{Key: kmsg.Produce.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer})
		began := time.Now()
		err := w.commit(t.Context(), log)
		want(t, err, time.Since(began), wait)
		w.reopened()
	})
}
