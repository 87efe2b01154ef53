package ops_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// The ways out of a disaster, as docs/operations.md tells them.
func TestDisasters(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		t.Run("the offsets topic is lost, and restored from a copy", func(t *testing.T) {
			w := newRead(t, c, 200, nil)
			w.add("new", 10*time.Minute)
			was := w.ops.Topics.Offsets
			w.connector.Kafka.OffsetsTopic = c.Name("restored")
			w.connector.Kafka.TransactionalID = was
			w.ops.Topics.Offsets, w.ops.IDPrefix = w.connector.Kafka.OffsetsTopic, was
			w.kafka().makeOffsets()
			w.kafka().copyState(was)
			w.wantRefused("is not the one written to so far")
			edit, err := ops.AcceptTopics(t.Context(), w.ops)
			w.mustApply(edit, err)
			w.runUntilEqual(start)
		})
		t.Run("the offsets topic is lost, and there is no copy", func(t *testing.T) {
			w := newRead(t, c, 200, nil)
			w.kafka().remove(w.ops.Topics.Offsets)
			w.wantRefused("there is no cursor of default")
			// A new events topic: nobody sees an event twice who reads that alone.
			w.connector.Kafka.Topic = c.Name("events-2")
			w.ops.Topics.Events = w.connector.Kafka.Topic
			w.runUntilEqual(start)
		})
		t.Run("the events topic is lost", func(t *testing.T) {
			w := newRead(t, c, 200, nil)
			w.add("new", 10*time.Minute)
			w.kafka().remove(w.ops.Topics.Events)
			w.wantRefused("is not the one written to so far")
			edit, err := ops.AcceptTopics(t.Context(), w.ops)
			w.mustApply(edit, err)
			if r := w.repair(auditlog.SecondOf(start), ago(0)); *r.Repaired != 200 {
				t.Errorf("%d repaired, want 200", *r.Repaired)
			}
			w.runUntilEqual(start)
		})
		t.Run("a topic of checkpoints is lost", func(t *testing.T) {
			w := newRead(t, c, 50, func(w *world) {
				w.connector.Kafka.SealTopic = c.Name("seal")
				w.ops.Topics.Seal = w.connector.Kafka.SealTopic
			})
			w.kafka().remove(w.ops.Topics.Seal)
			w.wantRefused("it gets the checkpoints from then on")
			edit, err := ops.AcceptTopics(t.Context(), w.ops)
			w.mustApply(edit, err)
			if does := strings.Join(edit.Does, " "); !strings.Contains(does, "the new topics get what is written from now on") {
				t.Errorf("the command says: %s", does)
			}
			w.add("new", 10*time.Minute)
			w.runUntilEqual(start)
			if len(c.Read(t, w.ops.Topics.Seal, kgo.ReadCommitted())) == 0 {
				t.Error("the new topic got no checkpoint")
			}
		})
		t.Run("both are lost", func(t *testing.T) {
			w := newRead(t, c, 200, nil)
			w.kafka().remove(w.ops.Topics.Offsets)
			w.kafka().remove(w.ops.Topics.Events)
			w.runUntilEqual(start)
		})
	})
}

// remove deletes a topic and waits until it is gone.
func (w inKafka) remove(topic string) {
	w.t.Helper()
	if _, err := w.cluster.Admin().DeleteTopics(w.t.Context(), topic); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the topic is gone", func() bool {
		found, err := w.cluster.Admin().ListTopics(w.t.Context(), topic)
		return err == nil && found.Error() != nil
	})
}

// wantRefused fails unless a start is refused with the words.
func (w *world) wantRefused(words string) {
	w.t.Helper()
	if err := w.runToEnd(); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), words) {
		w.t.Errorf("the start ended with %v, want a refusal that says %q", err, words)
	}
}

// makeOffsets makes the offsets topic as the connector would.
func (w inKafka) makeOffsets() {
	w.cluster.CreateTopic(w.ops.Topics.Offsets, 16, map[string]string{"cleanup.policy": "compact"})
}

// copyState copies the offsets topic, partition by partition, as a copy would have
// been made that somebody restores.
func (w inKafka) copyState(from string) {
	w.t.Helper()
	client := w.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, r := range w.cluster.Read(w.t, from, kgo.ReadCommitted()) {
		again := &kgo.Record{Topic: w.ops.Topics.Offsets, Partition: r.Partition, Key: r.Key, Value: r.Value}
		if err := client.ProduceSync(w.t.Context(), again).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}
