package kafkatest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// writeKeys ends one transaction with a record of each key in it.
func writeKeys(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, keys ...string) {
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := client.ProduceSync(t.Context(), kgo.KeyStringRecord(key, "value")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

func TestCompareIDs(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, client := writer(c, 1)
		writeKeys(t, client, kgo.TryCommit, "a", "b", "x")
		writeKeys(t, client, kgo.TryAbort, "c")
		writeKeys(t, client, kgo.TryCommit, "b", "d")
		r, err := c.CompareIDs(t.Context(), slices.Values([]string{"a", "b", "c", "d"}), topic)
		if err != nil {
			t.Fatal(err)
		}
		want := kafkatest.Report{API: 4, Topic: 5, Missing: []string{"c"}, Doubled: []string{"b"}, Extra: []string{"x"}}
		if got := fmt.Sprintf("%+v", r); got != fmt.Sprintf("%+v", want) {
			t.Errorf("%s, want %+v", got, want)
		}
	})
}

// What is committed arrives, from the beginning and as it comes; what was aborted
// never does.
func TestFollow(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, client := writer(c, 1)
		writeKeys(t, client, kgo.TryCommit, "before")
		arrivals := make(chan kafkatest.Arrival, 10)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Follow(ctx, []string{topic}, func(a kafkatest.Arrival) { arrivals <- a }) }()
		expect := func(key string, since time.Time) {
			t.Helper()
			select {
			case a := <-arrivals:
				if a.Key != key || a.Topic != topic || a.At.Before(since) {
					t.Errorf("%+v arrived, want %s after %v", a, key, since)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s does not arrive", key)
			}
		}
		expect("before", time.Time{})
		since := time.Now()
		writeKeys(t, client, kgo.TryAbort, "aborted")
		writeKeys(t, client, kgo.TryCommit, "after")
		expect("after", since)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// An open transaction is written and not committed; each that ended has a marker.
func TestLength(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, client := writer(c, 1)
		length, err := c.Length()
		if err != nil {
			t.Fatal(err)
		}
		defer length.Close()
		expect := func(name string, of func(context.Context, ...string) (int64, error), want int64) {
			t.Helper()
			for deadline := time.Now().Add(30 * time.Second); ; {
				got, err := of(t.Context(), topic, "no-such-topic")
				if got == want && err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: %d, %v; want %d", name, got, err, want)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		writeKeys(t, client, kgo.TryCommit, "a", "b")
		expect("committed", length.Committed, 3)
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.KeyStringRecord("c", "")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		expect("written", length.Written, 4)
		expect("committed", length.Committed, 3)
	})
}
