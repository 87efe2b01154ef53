package connector_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The offsets topic is compacted as far as it goes: of each key the last record is
// left, of old transactions the markers, or nothing. A start reads the same state from
// it, and goes on: nothing is read again, and nothing is refused.
func TestCompactedToTheLastRecord(t *testing.T) {
	t.Parallel() // it waits for the broker
	t.Run("inprocess", func(t *testing.T) {
		w := newQuickWorld(t, kafkatest.InProcess(t), simulator.Config{})
		w.kafka().ensureOffsets()
		compacted(w, func() { w.cluster.Fake().Compact() })
	})
	t.Run("kafka", func(t *testing.T) {
		c := kafkatest.Real(t, kafkatest.Properties(map[string]string{"log.cleaner.backoff.ms": "500"}))
		w := newQuickWorld(t, c, simulator.Config{})
		c.CreateTopic(w.cfg.Kafka.OffsetsTopic, 1, map[string]string{
			"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.001",
			"max.compaction.lag.ms": "1000", "delete.retention.ms": "0",
		})
		compacted(w, func() {})
		w.kafka().awaitLastRecords()
		i := w.start()
		i.awaitReady()
		w.burst(3, 3)
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		if n := i.count(); n != 3 {
			t.Errorf("a start from the last record of each key wrote %d events, want the 3 that are new", n)
		}
	})
}

func compacted(w *world, compact func()) {
	w.t.Helper()
	w.cfg.Lookback, w.cfg.DeepLookback = time.Minute, 0
	w.since = auditlog.SecondOf(time.Now().Add(-time.Hour))
	cursors := func() (n int) {
		for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
			if string(r.Key) == auditlog.CursorKey("default") {
				n++
			}
		}
		return n
	}
	for round := range 3 {
		i := w.start()
		for range 10 {
			w.burst(3, 3)
			w.awaitEqual(20 * time.Second)
		}
		w.must(i.stop())
		wrote := i.commitsOK()
		compact()
		if round == 0 {
			continue // the cleaner of a real broker needs new records, and time
		}
		eventually(w.t, 30*time.Second, "fewer cursors are left than were written", func() bool { return cursors() < wrote })
	}
	i := w.start()
	i.awaitReady()
	w.burst(3, 3)
	w.awaitEqual(20 * time.Second)
	w.must(i.stop())
}

// awaitLastRecords waits until the broker has cleaned all that was written so far: of
// each key one record is left, and no tombstone. What is written last is never cleaned,
// and the cleaner needs something new each time, so a key of nobody's comes behind.
func (w inKafka) awaitLastRecords() {
	w.t.Helper()
	const behind = "behind"
	client := w.cluster.Client()
	defer client.Close()
	var state string
	defer func() { w.t.Log(state) }()
	eventually(w.t, 60*time.Second, "one record of each key is left, and no tombstone", func() bool {
		r := &kgo.Record{Topic: w.cfg.Kafka.OffsetsTopic, Key: []byte(behind), Value: []byte("{}")}
		w.must(client.ProduceSync(w.t.Context(), r).FirstErr())
		keys, records, tombstones := map[string]int{}, 0, 0
		for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
			if string(r.Key) == behind {
				continue
			}
			records++
			keys[string(r.Key)]++
			if r.Value == nil {
				tombstones++
			}
		}
		state = fmt.Sprintf("%d records of %d keys, %d tombstones", records, len(keys), tombstones)
		time.Sleep(500 * time.Millisecond)
		return keys[auditlog.CursorKey("default")] == 1 && records == len(keys) && tombstones == 0
	})
}
