package txlog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Once a successor is open, the old log's commit fails and none of it is seen,
// wherever it stood at that moment.
func TestZombieWriter(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		t.Run("between two transactions", func(t *testing.T) {
			w := newWorld(t, c)
			zombie := w.open(w.cfg)
			w.mustCommit(zombie)
			successor := w.open(w.cfg)
			wantFenced(t, w.commit(t.Context(), zombie))
			w.mustCommit(successor) // it is not disturbed
			wantFinished(t, zombie)
			w.reopened()
		})
		t.Run("before its first transaction", func(t *testing.T) {
			w := newWorld(t, c)
			zombie := w.open(w.cfg)
			successor := w.open(w.cfg)
			w.mustCommit(successor)
			wantFenced(t, w.commit(t.Context(), zombie))
			w.mustCommit(successor)
			w.reopened()
		})
		// Stopped inside its transaction, and continued when the successor is open.
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
			t.Run("at its "+key.Name()+" request", func(t *testing.T) {
				w := newWorld(t, c)
				proxy := c.Proxy()
				zombie := w.open(w.through(proxy))
				w.mustCommit(zombie)
				h := holdAll(t, proxy, key)
				done := make(chan error)
				go func() { done <- w.commit(context.Background(), zombie) }()
				wait(t, "the zombie to stop", h.Held)
				successor := w.open(w.cfg)
				h.Release()
				wantFenced(t, wait(t, "the zombie's commit", done))
				w.mustCommit(successor)
				successor.Close()
				w.reopened()
			})
		}
	})
}

func wantFenced(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, txlog.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	if e, ok := errors.AsType[*txlog.Error](err); !ok || e.Class() != kafka.ClassFenced {
		t.Errorf("the error is not of class fenced: %v", err)
	}
}

// wantFinished holds the log to its word after a failed commit.
func wantFinished(t *testing.T, log *txlog.Log) {
	t.Helper()
	err := log.Commit(t.Context(), nil, []txlog.Change{{Key: "acme/cursor", Value: []byte("too late")}})
	if !errors.Is(err, txlog.ErrUnconfirmed) {
		t.Errorf("a finished log's Commit returned %v", err)
	}
	log.Close()
	log.Close()
}

// A writer that is silent for longer than its transaction's timeout is aborted by
// the broker. It must notice at its commit, and an Open goes on.
func TestTransactionOutlivesItsTimeout(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		t.Parallel() // real brokers look for such transactions every ten seconds
		w := newWorld(t, c)
		proxy := c.Proxy()
		log := w.open(txlog.Hasty(w.through(proxy), 5e9, 0))
		w.mustCommit(log)
		// The broker looks about as late as the client asks again, which would commit.
		h := holdAll(t, proxy, kmsg.EndTxn)
		done := make(chan error)
		go func() { done <- w.commit(context.Background(), log) }()
		wait(t, "the commit to stop", h.Held)
		admin := kadm.NewClient(c.Client())
		var last kadm.DescribedTransaction
		defer func() {
			if t.Failed() {
				t.Logf("the transaction is reported as %+v", last)
			}
		}()
		eventually(t, "the broker to abort the transaction", func() bool {
			found, err := admin.DescribeTransactions(t.Context(), w.cfg.TransactionalID)
			if err != nil {
				t.Fatal(err)
			}
			// Brokers before 4.0 fence the epoch first (PrepareEpochFence), and the state of
			// the transaction before this one may still be told.
			last = found[w.cfg.TransactionalID]
			if last.Err != nil || last.State == "" {
				return false
			}
			switch last.State {
			case "Ongoing", "PrepareAbort", "PrepareEpochFence", "PrepareCommit", "CompleteCommit":
				return false
			}
			return true
		})
		h.Release()
		wantFenced(t, wait(t, "the commit", done))
		w.reopened()
	})
}
