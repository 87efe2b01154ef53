package txlog_test

import (
	"fmt"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// From Kafka 4.0 on each transaction takes an epoch, and a producer has 32,767 of them:
// then it gets another producer id, in the middle of the work. The long form goes past
// that, the short one begins it.
func TestEpochsRunOut(t *testing.T) {
	c := kafkatest.SharedReal(t)
	commits := kafkatest.Runs(t, 50, 33_500)
	w := newWorld(t, c)
	w.cfg.Topics = []string{w.events}
	log, _, err := txlog.Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	before := producerOf(t, c, w.cfg.TransactionalID)
	for n := range commits {
		if err := log.Commit(t.Context(), nil, []txlog.Change{{Key: "acme/cursor", Value: fmt.Append(nil, n)}}); err != nil {
			t.Fatalf("transaction %d: %v", n, err)
		}
	}
	after := producerOf(t, c, w.cfg.TransactionalID)
	t.Logf("%d transactions; the producer id was %d, and is %d", commits, before, after)
	if commits > 32_767 && !before40(c) && before == after {
		t.Error("it is the same producer still: the epochs did not run out")
	}
	log.Close()
	log, state, err := txlog.Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	if got, want := string(state["acme/cursor"]), fmt.Sprint(commits-1); got != want {
		t.Errorf("the cursor is %s, want %s", got, want)
	}
	if ended := log.Ended(); len(ended) > 0 {
		t.Errorf("a transaction hung: %v", ended)
	}
}

func producerOf(t *testing.T, c *kafkatest.Cluster, id string) int64 {
	t.Helper()
	described, err := c.Admin().DescribeTransactions(t.Context(), id)
	if err != nil || described[id].Err != nil {
		t.Fatal(err, described[id].Err)
	}
	return described[id].ProducerID
}
