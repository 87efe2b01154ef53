package txlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Peek sees what is committed, does not wait for what is not, and leaves the
// writer alone, even inside its transaction.
func TestPeek(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		w.mustCommit(log)
		w.mustCommit(log)
		w.awaitMarkers() // Peek reads what is stable
		w.begin(c.Name("neighbour"), "acme/cursor", "not committed")
		got, err := txlog.Peek(t.Context(), w.cfg.Connection, w.cfg.Topic, 0, w.cfg.Keep)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{"acme/cursor": []byte("1"), "acme/seen/0": []byte("0"), "acme/seen/1": []byte("1")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		w.mustCommit(log)
	})
}

// Holds finds a header in any partition, and not one of an aborted transaction.
func TestHolds(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w, copies := newWorld(t, c), c.Name("copies")
		c.CreateTopic(copies, 3, nil)
		records := func(writer string) (all []kafka.Message) {
			for _, key := range []string{"a", "b", "c", "d"} {
				all = append(all, kafka.Message{Topic: copies, Key: []byte(key), Value: []byte("x"),
					Headers: kafka.FixedHeaders(kafka.Header{Key: "other", Value: []byte(key)}, kafka.Header{Key: "writer", Value: []byte(writer)})})
			}
			return all
		}
		log := w.open(w.cfg)
		if err := w.commit(t.Context(), log, records("acme")...); err != nil {
			t.Fatal(err)
		}
		if err := w.commit(t.Context(), log, append(records("umbrella"), kafka.Message{Topic: c.Name("missing")})...); err == nil {
			t.Fatal("a commit to a missing topic succeeded")
		}
		w.reopened()
		for _, tt := range []struct {
			key, value string
			want       bool
		}{{"writer", "acme", true}, {"other", "d", true}, {"writer", "umbrella", false}, {"Writer", "acme", false}} {
			got, err := txlog.NewSearch(tt.key).Holds(t.Context(), w.cfg.Connection, kafka.Topic{Name: copies, Partitions: 3}, tt.value)
			if err != nil || got != tt.want {
				t.Errorf("Holds %s=%s: %v, %v; want %v", tt.key, tt.value, got, err, tt.want)
			}
		}
	})
}
