package txlog_test

import (
	"context"
	"errors"
	"strings"
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

// On a broker that is silent, a stop takes StopGrace and no more.
func TestStopGraceIsHonoured(t *testing.T) {
	const grace = 300 * time.Millisecond
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
			t.Run(key.Name(), func(t *testing.T) {
				w := newWorld(t, c)
				w.cfg.StopGrace = grace
				proxy := c.Proxy()
				log := w.open(w.through(proxy))
				w.mustCommit(log)
				proxy.Add(kafkatest.Fault{Key: key.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
				began := time.Now()
				err := w.giveUp(log, proxy, key)
				if took := time.Since(began); took < grace || took > grace+2*time.Second {
					t.Errorf("the commit took %v", took)
				}
				if !errors.Is(err, txlog.ErrUnconfirmed) || !errors.Is(err, context.Canceled) {
					t.Errorf("Commit returned %v", err)
				}
				wantFinished(t, log)
				w.reopened()
			})
		}
	})
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
		proxy.Add(fault)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
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

// kgo would go on for ever, in silence. We end it, and say where to look: in the
// shipped time in a bubble, in a shorter one on both brokers.
func TestProduceThatIsNeverAcknowledged(t *testing.T) {
	want := func(t *testing.T, err error, took, wait time.Duration) {
		t.Helper()
		if !errors.Is(err, txlog.ErrUnconfirmed) || !strings.Contains(err.Error(), "min.insync.replicas") {
			t.Errorf("Commit returned %v", err)
		}
		if took < wait || took > wait+2*time.Second {
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
			want(t, err, time.Since(began), 25*time.Second)
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
