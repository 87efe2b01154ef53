package txlog_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Before 4.0 a client says beforehand which partitions it will write to, and the
// broker asks the coordinator whether it did (KIP-890). Here that request is lost,
// and the client thinks that it was not: a real broker refuses the records.
func TestTransactionAbortable(t *testing.T) {
	t.Parallel() // it starts a broker of its own
	c := kafkatest.Real(t)
	withOldTransactions(t, c)
	w := newWorld(t, c)
	proxy := c.Proxy()
	log := w.open(w.through(proxy))
	w.mustCommit(log)
	// Without this the producer still has a transaction open there, and no broker is asked.
	w.awaitMarkers()

	var mu sync.Mutex // guards answers
	var answers []error
	proxy.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, f.ProduceErrors()...)
	})
	proxy.Add(kafkatest.Fault{Key: kmsg.AddPartitionsToTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.ForgeAnswer})
	err := w.commit(t.Context(), log)
	proxy.Clear()
	mu.Lock()
	defer mu.Unlock()
	if proxy.Struck(kafkatest.ForgeAnswer) == 0 || !slices.Contains(answers, error(kerr.TransactionAbortable)) {
		t.Fatalf("%d answers were forged, and the broker answered %v", proxy.Struck(kafkatest.ForgeAnswer), answers)
	}
	if !errors.Is(err, txlog.ErrUnconfirmed) || !errors.Is(err, kerr.TransactionAbortable) ||
		!strings.Contains(err.Error(), "the broker asks for the transaction to be aborted") {
		t.Errorf("Commit returned %v", err)
	}
	if patience := kafka.Patience(err); patience != 10*time.Second {
		t.Errorf("the next try may wait for %v", patience)
	}
	wantFinished(t, log)
	w.reopened()
	if w.batches[1] != absent {
		t.Errorf("the batch is %s", w.batches[1])
	}
}

// withOldTransactions sets a cluster of 4.0 or later to the transactions of before,
// as one is that was upgraded and not told to use the new ones.
func withOldTransactions(t *testing.T, c *kafkatest.Cluster) {
	t.Helper()
	if before40(c) {
		return
	}
	const feature, old, downgrade = "transaction.version", 1, 2
	updated, err := c.Admin().UpdateFeatures(t.Context(), false,
		kadm.FeatureUpdate{Feature: feature, MaxVersionLevel: old, UpgradeType: downgrade})
	if err = errors.Join(err, updated.Error()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker to use the old transactions", func() bool {
		request := kmsg.NewPtrApiVersionsRequest()
		request.ClientSoftwareName, request.ClientSoftwareVersion = "test", "1"
		response, err := request.RequestWith(t.Context(), c.Client())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(response.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
			return f.Name == feature && f.MaxVersionLevel == old
		})
	})
}

// awaitMarkers waits until what was committed is stable.
func (w *world) awaitMarkers() {
	w.tb.Helper()
	w.c.AwaitMarkers(w.tb, w.events, w.cfg.Topic)
}
