package ops_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// A result is one record in the partition of the organization's state, and `cursor show`
// tells it. It is written while another writer has a transaction open there, and the state
// is read as before.
func TestRecord(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 50, nil)
		if r := w.cursor(); r.Verified != nil {
			t.Errorf("%+v before anything was recorded", r.Verified)
		}
		w.late(3)
		from, to := auditlog.SecondOf(start), ago(0)
		bad := w.verify(from, to)
		end := w.open(w.cursor().Partition)
		w.record(bad) // waits for no transaction
		end()
		r := w.cursor()
		want := &auditlog.Verified{
			From: from, To: to, At: r.Verified.At, By: "verify", Host: r.Verified.Host, Scopes: auditlog.Scopes(),
			Counts: map[string]int{
				"api": 53, "topic": 50, "dead_lettered": 0, "missing": 3, "doubled": 0, "extra": 0, "different": 0,
				"left_to_connector": 0, "stalled": 0, "not_covered": 0, "expired": 0, "unreadable": 0,
			},
			LateSeconds: r.Verified.LateSeconds,
		}
		if diff := cmp.Diff(want, r.Verified); diff != "" {
			t.Errorf("what is recorded differs (-want +got):\n%s", diff)
		}
		if late := r.Verified.LateSeconds; late < 2*86400 || late > 60*86400 {
			t.Errorf("the oldest was %d s late", late)
		}
		var text bytes.Buffer
		must(t, r.Print(&text))
		if want := "53 in the API, 3 faults, 3 of them missing\n"; !strings.Contains(text.String(), want) {
			t.Errorf("%s\nwant %s", &text, want)
		}

		w.record(w.repair(from, to))
		text.Reset()
		must(t, w.cursor().Print(&text))
		if want := "53 in the API, the topic held what it should, 3 repaired\n"; !strings.Contains(text.String(), want) {
			t.Errorf("%s\nwant %s", &text, want)
		}
		// It is in the partition of the state, under its key, and the state is as it was.
		for _, record := range w.cluster.Read(t, w.ops.Topics.Offsets, kgo.ReadCommitted()) {
			if string(record.Key) == "verified/default" && record.Partition != r.Partition {
				t.Errorf("it is in partition %d, and the state in %d", record.Partition, r.Partition)
			}
		}
		w.runUntilEqual(start)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open leaves a transaction open in a partition of the offsets topic, until the function
// that it returns is called.
func (w *world) open(partition int32) (end func()) {
	w.t.Helper()
	client := w.cluster.Client(kgo.TransactionalID(w.cluster.Name("other")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(w.t, client.BeginTransaction())
	record := &kgo.Record{Topic: w.ops.Topics.Offsets, Partition: partition, Key: []byte("cursor/other"), Value: []byte("{}")}
	must(w.t, client.ProduceSync(w.t.Context(), record).FirstErr())
	return func() {
		must(w.t, client.EndTransaction(w.t.Context(), kgo.TryAbort))
		w.kafka().awaitMarkers()
	}
}

func (w *world) record(r *ops.Report) {
	w.t.Helper()
	_, err := ops.Record(w.t.Context(), w.ops, r, "verify")
	must(w.t, err)
}
