package txlog_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// inBubble runs the test in virtual time, where minutes of waiting cost nothing,
// with the in-process broker.
func inBubble(t *testing.T, test func(t *testing.T, c *kafkatest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork))))
	})
}

// answer is an error that brokers answer with.
type answer struct {
	key   kmsg.Key
	err   *kerr.Error
	times int // -1: for ever
}

func (a answer) String() string {
	name := a.key.Name() + " " + a.err.Message
	switch a.times {
	case 1:
		return name
	case -1:
		return name + " for ever"
	default:
		return name + " a few times"
	}
}

// What the client can wait out is no error of ours.
func TestAnswersThatPass(t *testing.T) {
	for _, a := range []answer{
		{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable, 5},
		{kmsg.InitProducerID, kerr.ConcurrentTransactions, 5}, // the predecessor's markers are being written
		{kmsg.InitProducerID, kerr.CoordinatorLoadInProgress, 5},
		{kmsg.InitProducerID, kerr.NotCoordinator, 5},
		{kmsg.ListOffsets, kerr.NotLeaderForPartition, 2},
		{kmsg.Fetch, kerr.NotLeaderForPartition, 2},
		{kmsg.Produce, kerr.ConcurrentTransactions, 5}, // our own markers are being written
		{kmsg.Produce, kerr.NotLeaderForPartition, 5},
		{kmsg.Produce, kerr.NotEnoughReplicas, 5},
		{kmsg.Produce, kerr.NotEnoughReplicasAfterAppend, 2}, // applied
		{kmsg.Produce, kerr.RequestTimedOut, 2},              // applied
		{kmsg.EndTxn, kerr.CoordinatorNotAvailable, 5},
		{kmsg.EndTxn, kerr.CoordinatorLoadInProgress, 5},
		{kmsg.EndTxn, kerr.NotCoordinator, 5},
		{kmsg.EndTxn, kerr.ConcurrentTransactions, 5},
	} {
		t.Run(a.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
				w := newWorld(t, c)
				w.reopened()
				fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{a.key}, Err: a.err, Count: a.times})
				log := w.open(w.cfg)
				w.mustCommit(log)
				if fault.Hits() != a.times {
					t.Errorf("it was given %d times, want %d", fault.Hits(), a.times)
				}
				log.Close()
				w.reopened()
			})
		})
	}
}

// What an Open cannot wait out ends it, in time.
func TestAnswersThatEndAnOpen(t *testing.T) {
	for _, a := range []answer{
		{kmsg.Metadata, kerr.TopicAuthorizationFailed, -1},
		{kmsg.ListOffsets, kerr.TopicAuthorizationFailed, -1},
		{kmsg.Fetch, kerr.TopicAuthorizationFailed, -1},
		{kmsg.FindCoordinator, kerr.TransactionalIDAuthorizationFailed, -1},
		{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable, -1},
		{kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed, -1},
		{kmsg.InitProducerID, kerr.InvalidTransactionTimeout, -1},
		{kmsg.InitProducerID, kerr.ConcurrentTransactions, -1},
		{kmsg.InitProducerID, kerr.ProducerFenced, -1}, // a race of two that open
	} {
		t.Run(a.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
				w := newWorld(t, c)
				w.reopened()
				fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{a.key}, Err: a.err, Count: a.times})
				began := time.Now()
				_, err := w.tryOpen(t.Context(), w.cfg)
				a.wantError(t, err, fault)
				if took := time.Since(began); took > 3*time.Minute+10*time.Second {
					t.Errorf("it took %v", took)
				}
				fault.Remove()
				w.reopened()
			})
		})
	}
}

// What a Commit cannot wait out ends it, in time, and the log with it. An Open
// goes on from there.
func TestAnswersThatEndACommit(t *testing.T) {
	for _, a := range []answer{
		{kmsg.Produce, kerr.NotEnoughReplicas, -1},
		{kmsg.Produce, kerr.ConcurrentTransactions, -1},
		{kmsg.Produce, kerr.InvalidTxnState, 1},
		{kmsg.Produce, kerr.InvalidProducerEpoch, 1},
		{kmsg.Produce, kerr.ProducerFenced, 1},
		{kmsg.Produce, kerr.TransactionAbortable, 1},
		{kmsg.Produce, kerr.InvalidProducerIDMapping, 1},
		{kmsg.Produce, kerr.OutOfOrderSequenceNumber, 1},
		{kmsg.Produce, kerr.MessageTooLarge, 1},
		{kmsg.Produce, kerr.TopicAuthorizationFailed, 1},
		{kmsg.Produce, kerr.ClusterAuthorizationFailed, 1},
		{kmsg.Produce, kerr.KafkaStorageError, -1},
		{kmsg.EndTxn, kerr.CoordinatorNotAvailable, -1},
		{kmsg.EndTxn, kerr.ConcurrentTransactions, -1},
		{kmsg.EndTxn, kerr.InvalidTxnState, 1},
		{kmsg.EndTxn, kerr.InvalidProducerEpoch, 1},
		{kmsg.EndTxn, kerr.ProducerFenced, 1},
		{kmsg.EndTxn, kerr.TransactionAbortable, 1},
		{kmsg.EndTxn, kerr.InvalidProducerIDMapping, 1},
		{kmsg.EndTxn, kerr.TransactionalIDAuthorizationFailed, 1},
		{kmsg.EndTxn, kerr.UnknownServerError, 1},
		{kmsg.EndTxn, kerr.RequestTimedOut, 1}, // applied
	} {
		t.Run(a.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
				w := newWorld(t, c)
				proxy := c.Proxy()
				log := w.open(w.through(proxy))
				w.mustCommit(log)
				fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{a.key}, Err: a.err, Count: a.times})
				began := time.Now()
				err := w.commit(context.Background(), log)
				a.wantError(t, err, fault)
				if took := time.Since(began); took > 80*time.Second { // 45 s, then 30 s
					t.Errorf("it took %v", took)
				}
				synctest.Wait() // what was sent at the same instant has passed
				var requests atomic.Int64
				proxy.Observe(func(f kafkatest.Frame) {
					if !f.Answer {
						requests.Add(1)
					}
				})
				wantFinished(t, log)
				synctest.Wait()
				if n := requests.Load(); n > 0 {
					t.Errorf("%d requests were sent after the failure", n)
				}
				fault.Remove()
				w.reopened()
			})
		})
	}
}

// wantError checks the kind, the class and the words of an error against the
// answer that caused it.
func (a answer) wantError(t *testing.T, err error, fault *kfake.FaultHandle) {
	t.Helper()
	if fault.Hits() == 0 {
		t.Error("it was never given")
	}
	want := txlog.ErrUnconfirmed
	if kafka.Classify(a.err) == kafka.ClassFenced {
		want = txlog.ErrFenced
	}
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want one that wraps %q", err, want)
	}
	if a.times == 1 && !errors.Is(err, a.err) {
		t.Errorf("the cause is lost: %v", err)
	}
	if !strings.Contains(err.Error(), kafka.Explain(err)) {
		t.Errorf("it does not say what to do: %v", err)
	}
}
