package txlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// giveUp commits, and ends the context as soon as the request of the key leaves,
// so that the client's own retries end with StopGrace.
func (w *world) giveUp(log *txlog.Log, p *kafkatest.Proxy, key kmsg.Key) error {
	w.tb.Helper()
	return w.giveUpAt(log, p, func(f kafkatest.Frame) bool { return f.Key == key.Int16() })
}

// giveUpAt is giveUp, at the frame that is said.
func (w *world) giveUpAt(log *txlog.Log, p *kafkatest.Proxy, at func(kafkatest.Frame) bool) error {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(w.tb.Context())
	defer cancel()
	p.Observe(func(f kafkatest.Frame) {
		if at(f) {
			cancel()
		}
	})
	defer p.Observe(nil)
	return w.commit(ctx, log)
}

// The end of a transaction got no answer. Commit cannot know whether it happened;
// the state that the next Open reads says it, and says it for good.
func TestUnknownCommit(t *testing.T) {
	endTxn := kmsg.EndTxn.Int16()
	tests := []struct {
		name     string
		mode     kafkatest.Mode
		happened bool
	}{
		{"the request is cut off", kafkatest.CutBefore, false},
		{"the request is cut in the middle", kafkatest.CutInside, false},
		{"the request is lost", kafkatest.SwallowRequest, false},
		{"the answer is cut off", kafkatest.CutAfterApplied, true},
		{"the answer is cut in the middle", kafkatest.CutInAnswer, true},
		{"the answer is lost", kafkatest.SwallowAnswer, true},
	}
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		outcomes := map[bool]int{}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w := newWorld(t, c)
				w.cfg.StopGrace = 300 * time.Millisecond
				proxy := c.Proxy()
				log := w.open(w.through(proxy))
				w.mustCommit(log)
				// Every one: the client gets over a single cut by itself.
				proxy.Add(kafkatest.Fault{Key: endTxn, Nth: kafkatest.EveryRequest, Mode: tt.mode})
				// What is to have happened is answered: otherwise the next fence could overtake it.
				at := func(f kafkatest.Frame) bool { return f.Key == endTxn && f.Answer == tt.happened }
				if err := w.giveUpAt(log, proxy, at); !errors.Is(err, txlog.ErrUnconfirmed) {
					t.Fatalf("Commit returned %v", err)
				}
				proxy.Clear()
				log = w.open(w.through(proxy))
				outcomes[w.happened()]++
				if w.happened() != tt.happened {
					t.Errorf("it happened: %v, want %v", w.happened(), tt.happened)
				}
				w.mustCommit(log)
				log.Close()
				w.reopened()
			})
		}
		if outcomes[true] == 0 || outcomes[false] == 0 {
			t.Errorf("of the unknown commits %d happened and %d did not; both must be seen", outcomes[true], outcomes[false])
		}
	})
}

// The end of a transaction that was given up reaches the broker when a successor is
// inside its own. It must not end that one.
func TestStragglerOfAnEarlierWriter(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) { straggler(t, c, kmsg.EndTxn) })
	t.Run("inprocess as 3.6", func(t *testing.T) { straggler(t, asOld(t), kmsg.EndTxn) })
}

// A produce that was given up reaches the broker when its transaction is aborted,
// and a successor inside its own. It must not add to that one.
func TestLateProduce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) { straggler(t, c, kmsg.Produce) })
	t.Run("inprocess as 3.6", func(t *testing.T) { straggler(t, asOld(t), kmsg.Produce) })
}

func straggler(t *testing.T, c *kafkatest.Cluster, key kmsg.Key) {
	w := newWorld(t, c)
	w.cfg.StopGrace = 100 * time.Millisecond
	proxy, next := c.Proxy(), c.Proxy()
	log := w.open(w.through(proxy))
	w.mustCommit(log)
	sent := proxy.Count(key.Int16()).Applied
	proxy.Add(
		kafkatest.Fault{Key: key.Int16(), Mode: kafkatest.CutThenApply, Delay: time.Second},
		kafkatest.Fault{Key: key.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.CutBefore})
	if err := w.giveUp(log, proxy, key); err == nil {
		t.Fatal("Commit returned nil")
	}
	successor := w.open(w.through(next))
	h := holdNext(t, next, kmsg.EndTxn)
	done := make(chan error)
	go func() { done <- w.commit(context.Background(), successor) }()
	wait(t, "the successor's transaction", h.Held)
	eventually(t, "the straggler", func() bool { return proxy.Count(key.Int16()).Applied > sent })
	proxy.Close() // waits until the broker has answered it
	h.Release()
	if err := wait(t, "the successor's commit", done); err != nil {
		t.Errorf("the successor's commit: %v", err)
	}
	successor.Close()
	w.reopened()
}

// asOld returns a broker that speaks as 3.6 does, before KIP-890.
func asOld(t *testing.T) *kafkatest.Cluster {
	return kafkatest.InProcess(t, kafkatest.Fake(kfake.MaxVersions(kversion.V3_6_0())))
}
