package ops_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// truncate deletes what is before an offset in a partition, as retention does, or
// somebody.
func (w inKafka) truncate(topic string, partition int32, at int64) {
	w.t.Helper()
	upTo := kadm.Offsets{}
	upTo.Add(kadm.Offset{Topic: topic, Partition: partition, At: at})
	done, err := w.kafka().admin().DeleteRecords(w.t.Context(), upTo)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// empty deletes all that a partition holds.
func (w inKafka) empty(topic string, partition int32) {
	w.t.Helper()
	ends, err := w.kafka().admin().ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	w.kafka().truncate(topic, partition, end.Offset)
}

// wantExpired fails unless a repair writes nothing, and calls just these expired.
func (w *world) wantExpired(ids []string) {
	w.t.Helper()
	r := w.repair(auditlog.SecondOf(start), ago(0))
	slices.Sort(ids)
	slices.Sort(r.Expired) // as it is not, since time decides
	wantLists(w.t, r, map[string][]string{"Expired": ids})
	if *r.Repaired != 0 {
		w.t.Errorf("%d were written again, that consumers have had", *r.Repaired)
	}
}

// What the topic has deleted is expired, and never written again: also where an
// operator deleted it, perhaps to erase it, and no retention is set.
func TestVerifyAfterRetention(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 200, nil)
		gone := []string{w.add("late", 20*days)}
		for _, r := range c.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()) {
			if r.Offset < 50 {
				gone = append(gone, string(r.Key))
			}
		}
		w.kafka().truncate(w.ops.Topics.Events, 0, 50)
		w.wantExpired(gone)
	})
}

// An event's key does not say in which partition it was before partitions were added,
// so what one of them has deleted counts for all.
func TestExpiryAfterPartitionsWereAdded(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 200, nil)
	var gone []string
	for _, r := range w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()) {
		if r.Offset < 150 {
			gone = append(gone, string(r.Key))
		}
	}
	w.kafka().truncate(w.ops.Topics.Events, 0, 150)
	if _, err := w.kafka().admin().UpdatePartitions(t.Context(), 4, w.ops.Topics.Events); err != nil {
		t.Fatal(err)
	}
	w.wantExpired(gone)
}

// A partition that lost all it held tells no time: then nothing that the topic lacks
// is written, whatever the other ones hold.
func TestExpiryOfAnEmptyPartition(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 100, func(w *world) { w.connector.Kafka.Partitions = 2 })
	gone := []string{w.add("late", 20*days)}
	for _, r := range w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()) {
		if r.Partition == 1 {
			gone = append(gone, string(r.Key))
		}
	}
	w.kafka().empty(w.ops.Topics.Events, 1)
	w.wantExpired(gone)
	if !strings.Contains(w.log.String(), "holds nothing that shows since when") {
		t.Error("no warning says that a verification can find nothing missing any more")
	}
}

// With KAFKA_TIMESTAMP=event the oldest record that is left may have an old time, or
// none that can be read; what was written before it is gone all the same.
func TestExpiryWithTheTimeOfEvents(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 100, func(w *world) {
		w.connector.Kafka.Timestamp, w.ops.EventTime = connector.TimestampEvent, true
	})
	records := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())
	var keys []string
	for _, r := range records {
		keys = append(keys, string(r.Key))
	}
	keys = slices.Insert(keys, 60, w.add("late", 5*days)) // later than the oldest one left
	w.kafka().truncate(w.ops.Topics.Events, 0, records[60].Offset)
	w.wantExpired(slices.Clone(keys[:61]))

	w.kafka().produce(&kgo.Record{Topic: w.ops.Topics.Events, Key: []byte("?"), Value: []byte("?"), Headers: records[60].Headers, Timestamp: start})
	all := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())
	w.kafka().truncate(w.ops.Topics.Events, 0, all[len(all)-1].Offset)
	w.wantExpired(keys)
}

// A dead letter that the retention of its own topic has deleted was delivered, and is
// not written again; a late event is, since it never was one.
func TestExpiryOfDeadLetters(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 50, func(w *world) {
		w.api.AddRaw(auditlog.ScopeOrganization, ago(10*days), []byte(`{"id":"no-time","type":"x"}`))
		w.api.AddRaw(auditlog.ScopeOrganization, ago(11*days), []byte(`{"id":"bad","type":"x`+"\xff"+`","effective_at":`+unix(11*days)+`}`))
	})
	w.add("late", 20*days)
	w.kafka().empty(w.ops.Topics.DLQ, 0)
	r := w.repair(auditlog.SecondOf(start), ago(0))
	wantLists(t, r, map[string][]string{"Expired": {"bad", "no-time"}})
	if *r.Repaired != 1 {
		t.Errorf("%d repaired, want the late event alone", *r.Repaired)
	}
	if letters := w.cluster.Read(t, w.ops.Topics.DLQ, kgo.ReadCommitted()); len(letters) > 0 {
		t.Errorf("%d dead letters were written again", len(letters))
	}
}

// What the connector remembers to have written was there, whatever its time says: an
// event that the API dates forward was written long before its time.
func TestExpiryOfWhatIsRemembered(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 5})
	w.api.Generate(50, auditlog.SecondOf(start.Add(time.Hour)), ago(time.Hour))
	w.api.Add(simulator.Event{ID: "forward", EffectiveAt: ago(-3 * time.Hour)})
	w.backfill(start)
	w.runUntilEqual(start)
	events := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())
	var gone []string
	for _, r := range events {
		gone = append(gone, string(r.Key))
	}
	w.kafka().empty(w.ops.Topics.Events, 0)
	r, err := ops.Repair(t.Context(), w.ops, auditlog.SecondOf(start), ago(-4*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(gone)
	slices.Sort(r.Expired)
	wantLists(t, r, map[string][]string{"Expired": gone})
	if *r.Repaired != 0 {
		t.Errorf("%d were written again", *r.Repaired)
	}
}
