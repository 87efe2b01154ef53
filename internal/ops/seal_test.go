package ops_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

func sealedReport(w *world, opts ops.SealedOptions) *ops.SealedReport {
	w.t.Helper()
	w.kafka().awaitMarkers()
	r, err := ops.Sealed(w.t.Context(), w.ops, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// endSeal has the connector end its seal. The next start with w.connector begins another.
func endSeal(t *testing.T, w *world) {
	t.Helper()
	w.connector.Kafka.Seal = false
	stop := w.start()
	eventually(t, "the seal has ended", func() bool {
		cursor, err := ops.Cursor(t.Context(), w.ops)
		return err == nil && cursor.Seal == nil
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.connector.Kafka.Seal = true
}

// What the connector and a repair sealed is whole, an event of each is proven, and the
// proof stands alone.
func TestSealedIsWhole(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		private, public, err := seal.Keygen("acme")
		if err != nil {
			t.Fatal(err)
		}
		knows, err := seal.ParseVerifier(public)
		if err != nil {
			t.Fatal(err)
		}
		w := newRead(t, c, 300, func(w *world) {
			w.connector.SealKey = connector.SecretValue(private)
			w.ops.SealKey = w.connector.SealKey.Read
			w.connector.Kafka.Partitions = 3
		})
		w.late(30)
		if r := w.repair(auditlog.SecondOf(earlier), ago(0)); *r.Repaired != 30 {
			t.Fatalf("%d repaired, want 30", *r.Repaired)
		}
		r := sealedReport(w, ops.SealedOptions{Verifier: knows})
		if !r.OK() || len(r.Trees) != 2 || r.Trees[0].Size != 300 || r.Trees[1].Size != 30 || r.Trees[0].From != 0 || r.Signatures != "checked" {
			t.Errorf("found %+v in %+v, signatures %s; want 300 and 30 records, whole", r.Findings, r.Trees, r.Signatures)
		}
		numbers := map[string][]string{}
		for _, record := range c.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()) {
			for _, h := range record.Headers {
				if strings.HasSuffix(h.Key, "_seq") {
					numbers[h.Key] = append(numbers[h.Key], string(h.Value))
					if len(numbers[h.Key]) == 7 {
						proof := sealedReport(w, ops.SealedOptions{Verifier: knows, Prove: string(record.Key)}).Proof
						wantProven(t, proof, knows, record)
					}
				}
			}
		}
		for header, all := range numbers {
			slices.Sort(all)
			if n := len(slices.Compact(all)); n != map[string]int{seal.Header: 300, seal.RepairHeader: 30}[header] {
				t.Errorf("%d numbers in %s", n, header)
			}
		}
		if r := sealedReport(w, ops.SealedOptions{}); !r.OK() || r.Signatures != "not_checked" {
			t.Errorf("without a key: %+v, signatures %s", r.Findings, r.Signatures)
		}
	})
}

func wantProven(t *testing.T, text []byte, knows seal.Verifier, record *kgo.Record) {
	t.Helper()
	proof, err := seal.ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	_, signature, err := proof.Check(knows)
	if err != nil || signature != seal.WellSigned || !bytes.Equal(proof.Leaf.Key, record.Key) || !bytes.Equal(proof.Leaf.Value, record.Value) {
		t.Errorf("the proof of %s: %v, signature %v", record.Key, err, signature)
	}
}

// Repairs belong to the seal under way: where that one begins again, in other topics or
// in the same, so do their numbers, and what is left of the earlier one is not missing.
func TestRepairsOfAnEarlierSeal(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 100, nil)
	w.late(10)
	if r := w.repair(auditlog.SecondOf(earlier), ago(0)); *r.Repaired != 10 {
		t.Fatalf("%d repaired, want 10", *r.Repaired)
	}
	for _, again := range []struct {
		how string
		do  func()
	}{
		{"after it was off", func() { endSeal(t, w) }},
		{"in another topic", func() {
			w.connector.Kafka.Topic = w.cluster.Name("another")
			w.ops.Topics.Events = w.connector.Kafka.Topic
			w.cluster.CreateTopic(w.ops.Topics.Events, 1, nil)
			edit, err := ops.AcceptTopics(t.Context(), w.ops)
			if err == nil {
				err = edit.Apply(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
	} {
		time.Sleep(time.Second) // seals are known apart by the second in which they began
		again.do()
		stop := w.start()
		eventually(t, "another seal has begun", func() bool {
			r, err := ops.Sealed(t.Context(), w.ops, ops.SealedOptions{})
			return err == nil && r.OK() && len(r.Trees) == 1 && r.Trees[0].Size < 100
		})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		w.late(7)
		repaired := *w.repair(auditlog.SecondOf(earlier), ago(0)).Repaired
		if repaired < 7 {
			t.Fatalf("%s: %d repaired, want at least 7", again.how, repaired)
		}
		if r := sealedReport(w, ops.SealedOptions{}); !r.OK() || len(r.Trees) != 2 || r.Trees[1].Size != uint64(repaired) {
			t.Errorf("%s: found %+v in %+v, want %d records of repairs", again.how, r.Findings, r.Trees, repaired)
		}
	}
}

// What an earlier seal's repairs left excuses nothing in the one under way, and where the
// newest checkpoint is gone, the next repair does not remove the others with it.
func TestCheckpointsOfRepairsAreRemoved(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 100, nil)
	w.late(10)
	w.repair(auditlog.SecondOf(earlier), ago(0))
	offsets := w.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	newest := auditlog.RepairCheckpointKey("default")
	var last, day *kgo.Record
	for _, r := range w.cluster.Read(t, w.ops.Topics.Offsets, kgo.ReadCommitted()) {
		switch key := string(r.Key); {
		case key == newest:
			last = r
		case strings.HasPrefix(key, newest):
			day = r
		}
	}
	put := func(of *kgo.Record, value []byte) {
		if err := offsets.ProduceSync(t.Context(), &kgo.Record{Topic: of.Topic, Partition: of.Partition, Key: of.Key, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(when string) {
		t.Helper()
		if _, err := ops.Repair(t.Context(), w.ops, auditlog.SecondOf(earlier), ago(0)); err == nil || !strings.Contains(err.Error(), "the newest one is gone") {
			t.Errorf("a repair without the newest checkpoint%s says %v", when, err)
		}
	}
	put(last, nil)
	w.late(7)
	refused("")
	put(day, []byte("no checkpoint"))
	refused(", and with an older one that nobody can read,")
	put(last, last.Value)
	put(day, day.Value)
	w.repair(auditlog.SecondOf(earlier), ago(0))

	time.Sleep(time.Second) // seals are known apart by the second in which they began
	endSeal(t, w)
	stop := w.start()
	eventually(t, "another seal has begun", func() bool {
		r, err := ops.Sealed(t.Context(), w.ops, ops.SealedOptions{})
		return err == nil && r.OK() && len(r.Trees) == 1
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var forged *kgo.Record
	for _, r := range w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()) {
		if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == seal.RepairHeader }) {
			forged = r
		}
	}
	copied := &kgo.Record{Topic: forged.Topic, Partition: forged.Partition, Key: []byte("audit_log-forged"), Value: forged.Value, Headers: forged.Headers}
	if err := offsets.ProduceSync(t.Context(), copied).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if r := sealedReport(w, ops.SealedOptions{}); r.OK() || len(r.Findings) != 1 || r.Findings[0].Kind != "inserted" {
		t.Errorf("with a record that was put in: %+v in %+v", r.Findings, r.Trees)
	}
}
