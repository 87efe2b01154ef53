package txlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// A predecessor died with its transaction open. Open ends that first, and reads
// the state of the last commit: not the one before it, and not the open one.
func TestStaleCursor(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		w.mustCommit(log)
		w.mustCommit(log)
		log.Close()
		dead := w.begin(w.cfg.TransactionalID, "acme/cursor", "not committed")
		began := time.Now()
		w.open(w.cfg).Close()
		if took := time.Since(began); took > txlog.TransactionTimeout/2 {
			t.Errorf("it took %v: did it wait for the transaction's timeout?", took)
		}
		if err := dead.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the predecessor could commit after it was fenced")
		}
		w.reopened()
	})
}

// A neighbour in the partition has a transaction open below our newest commit, so
// the last stable offset shows an older state. Open waits, and never takes that.
func TestStaleCursorBelowANeighbour(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, end := range map[string]kgo.TransactionEndTry{"that commits": kgo.TryCommit, "that aborts": kgo.TryAbort} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, c)
				log := w.open(w.cfg)
				w.mustCommit(log)
				neighbour := w.begin(c.Name("neighbour"), "umbrella/cursor", "1")
				w.mustCommit(log)

				// What is stable now is the state of the first commit.
				old, err := txlog.Peek(t.Context(), w.cfg.Connection, w.cfg.Topic, 0, w.cfg.Keep)
				if err != nil || string(old["acme/cursor"]) != "0" {
					t.Fatalf("Peek returned %q, %v: the transaction hides nothing", old["acme/cursor"], err)
				}

				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if _, err := w.tryOpen(ctx, w.cfg); !errors.Is(err, txlog.ErrUnconfirmed) {
					t.Fatalf("with the neighbour's transaction open, Open returned %v", err)
				}

				proxy, opened := c.Proxy(), make(chan *txlog.Log)
				reading := make(chan struct{}, 100)
				proxy.Observe(func(f kafkatest.Frame) {
					if f.Answer && f.Key == kmsg.ListOffsets.Int16() && proxy.Count(kmsg.InitProducerID.Int16()).Answered > 0 {
						reading <- struct{}{}
					}
				})
				go func() { opened <- w.open(w.through(proxy)) }()
				for range 3 { // start, stable end, end
					wait(t, "the offsets that are asked for after the fence", reading)
				}
				select {
				case <-opened:
					t.Error("Open did not wait for the neighbour")
				default:
				}
				w.end(neighbour, end)
				wait(t, "Open, after the neighbour ended", opened).Close()
				w.reopened()
			})
		}
	})
}

// A newer cursor in an aborted transaction is not the cursor.
func TestAbortedCursor(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		w.mustCommit(log)
		log.Close()
		w.end(w.begin(w.cfg.TransactionalID, "acme/cursor", "aborted"), kgo.TryAbort)
		w.open(w.cfg).Close()
		w.reopened()
	})
}

// A log of transactions never ends in a record that a consumer gets. Open must
// notice the end all the same.
func TestMarkerAtEnd(t *testing.T) {
	abort := func(w *world) {
		w.end(w.begin(w.cfg.TransactionalID, "acme/cursor", "aborted"), kgo.TryAbort)
	}
	tests := []struct {
		name string
		fill func(w *world)
	}{
		{"a state that never held anything", func(*world) {}},
		{"a commit marker", func(w *world) { w.reopened() }},
		{"an abort marker", func(w *world) { w.reopened(); abort(w) }},
		{"nothing but aborted records", func(w *world) { abort(w); abort(w) }},
		{"a transaction the fence aborts", func(w *world) {
			w.reopened()
			w.begin(w.cfg.TransactionalID, "acme/cursor", "not committed")
		}},
		{"markers of a neighbour", func(w *world) {
			w.reopened()
			w.end(w.begin(w.c.Name("neighbour"), "umbrella/cursor", "1"), kgo.TryCommit)
			w.end(w.begin(w.c.Name("neighbour"), "umbrella/cursor", "2"), kgo.TryAbort)
		}},
	}
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w := newWorld(t, c)
				tt.fill(w)
				w.open(w.cfg).Close()
				w.reopened()
			})
		}
	})
}
