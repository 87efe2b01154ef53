package kafkatest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

var schema = avro.MustParse(schemas.Latest().Text)

func event(i int) kafkatest.Want {
	return kafkatest.Want{
		ID: fmt.Sprintf("audit_log-%d", i), Scope: "organization", EffectiveAt: int64(1700000000 + i),
		Raw: fmt.Appendf(nil, `{"id": "audit_log-%d"}`, i),
	}
}

func recordOf(t *testing.T, w kafkatest.Want) *kgo.Record {
	t.Helper()
	value, err := schema.AppendSingleObject(nil, map[string]any{
		"id": w.ID, "type": "login.succeeded", "event_scope": w.Scope,
		"effective_at": time.Unix(w.EffectiveAt, 0), "ingested_at": time.Unix(w.EffectiveAt+1, 0),
		"organization": "default", "raw_event": string(w.Raw),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: "events", Key: []byte(w.ID), Value: value}
}

func deadLetter(w kafkatest.Want, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: "dlq", Key: []byte(w.ID), Value: w.Raw,
		Headers: append([]kgo.RecordHeader{{Key: "error", Value: []byte("too_large")}}, headers...),
	}
}

func h(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }

// TestOracleSeesEveryMutation makes a topic that equals the truth, breaks it in
// one way, and expects exactly that to be reported.
func TestOracleSeesEveryMutation(t *testing.T) {
	const n = 10
	nameless := kafkatest.Want{Raw: []byte(`{"object": "no id"}`)}
	large := kafkatest.Want{ID: "audit_log-large", Raw: []byte(`{"much": "too much"}`)}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	change := func(i int, alter func(*kafkatest.Want)) func(*testing.T, []*kgo.Record) []*kgo.Record {
		return func(t *testing.T, records []*kgo.Record) []*kgo.Record {
			w := event(i)
			alter(&w)
			records[i] = recordOf(t, w)
			return records
		}
	}
	equal := kafkatest.Report{API: n + 2, Topic: n + 2, DeadLettered: 2}
	tests := []struct {
		name   string
		mutate func(*testing.T, []*kgo.Record) []*kgo.Record
		want   func(*kafkatest.Report)
	}{
		{"nothing", func(_ *testing.T, r []*kgo.Record) []*kgo.Record { return r }, func(*kafkatest.Report) {}},
		{
			"drop one", func(_ *testing.T, r []*kgo.Record) []*kgo.Record { return slices.Delete(r, 3, 4) },
			func(r *kafkatest.Report) { r.Topic--; r.Missing = []string{"audit_log-3"} },
		},
		{
			"double one", func(_ *testing.T, r []*kgo.Record) []*kgo.Record { return append(r, r[4]) },
			func(r *kafkatest.Report) { r.Topic++; r.Doubled = []string{"audit_log-4"} },
		},
		{
			"change a byte", change(5, func(w *kafkatest.Want) { w.Raw[1] ^= 1 }),
			func(r *kafkatest.Report) { r.Different = []string{"audit_log-5"} },
		},
		{
			"change the scope", change(5, func(w *kafkatest.Want) { w.Scope = "tenant" }),
			func(r *kafkatest.Report) { r.Different = []string{"audit_log-5"} },
		},
		{
			"change the time", change(5, func(w *kafkatest.Want) { w.EffectiveAt++ }),
			func(r *kafkatest.Report) { r.Different = []string{"audit_log-5"} },
		},
		{
			"change the key", func(_ *testing.T, r []*kgo.Record) []*kgo.Record { r[6].Key = []byte("x"); return r },
			func(r *kafkatest.Report) { r.Different = []string{"audit_log-6"} },
		},
		{
			"add a foreign one", func(t *testing.T, r []*kgo.Record) []*kgo.Record { return append(r, recordOf(t, event(99))) },
			func(r *kafkatest.Report) { r.Topic++; r.Extra = []string{"audit_log-99"} },
		},
		{
			"drop a dead letter", func(_ *testing.T, r []*kgo.Record) []*kgo.Record { return r[:n+1] },
			func(r *kafkatest.Report) {
				r.Topic--
				r.DeadLettered--
				r.Missing = []string{"audit_log-large"}
			},
		},
		{
			"an event, and its dead letter too",
			func(_ *testing.T, r []*kgo.Record) []*kgo.Record { return append(r, deadLetter(event(7))) },
			func(r *kafkatest.Report) { r.Topic++; r.DeadLettered++; r.Doubled = []string{"audit_log-7"} },
		},
		{
			"a dead letter of nothing", func(_ *testing.T, r []*kgo.Record) []*kgo.Record {
				return append(r, deadLetter(kafkatest.Want{Raw: []byte("x")}))
			},
			func(r *kafkatest.Report) {
				r.Topic++
				r.DeadLettered++
				r.Extra = []string{"sha256:" + sum([]byte("x"))}
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var truth []kafkatest.Want
			var records []*kgo.Record
			for i := range n {
				truth = append(truth, event(i))
				records = append(records, recordOf(t, event(i)))
			}
			truth = append(truth, nameless, large)
			records = append(records, deadLetter(nameless), deadLetter(large))
			records[n+1].Value = large.Raw[:4]
			records[n+1].Headers = append(records[n+1].Headers, h("truncated", "true"), h("sha256", sum(large.Raw)))

			want := equal
			test.want(&want)
			got := kafkatest.Compare(truth, test.mutate(t, records))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if got.OK() != (test.name == "nothing") {
				t.Errorf("OK is %v: %v", got.OK(), got)
			}
		})
	}
}

func TestOracleReportsWhatItCannotRead(t *testing.T) {
	got := kafkatest.Compare(nil, []*kgo.Record{
		{Topic: "events", Offset: 7, Value: []byte("text")},
		{Topic: "events", Offset: 8, Value: append(recordOf(t, event(1)).Value, 0)},
	})
	if got.OK() || len(got.Unreadable) != 2 || !strings.Contains(got.String(), "offset 7") {
		t.Errorf("report: %v", got)
	}
}

func TestOracleTakesOneIDInBothScopesForOneEvent(t *testing.T) {
	both := event(1)
	both.Scope = "tenant"
	got := kafkatest.Compare([]kafkatest.Want{both, event(1)}, []*kgo.Record{recordOf(t, event(1))})
	const want = "1 in the API, 1 in the topic, 0 missing, 0 doubled, 0 extra, 0 different"
	if got.String() != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Numbers must begin at 0, unless a partition with them has lost its beginning. Fetches of
// partitions may alternate.
func TestNumbersBegin(t *testing.T) {
	at := func(partition int32, offset int64, organization, header, number string) *kgo.Record {
		return &kgo.Record{Topic: "events", Partition: partition, Offset: offset,
			Headers: []kgo.RecordHeader{h("ce_source", "/openai/organizations/"+organization), h(header, number)}}
	}
	const seq, repair = "audit_seq", "audit_repair_seq"
	for name, c := range map[string]struct {
		records []*kgo.Record
		want    []string
	}{
		"at 0":                               {[]*kgo.Record{at(0, 0, "a", seq, "0"), at(1, 0, "a", seq, "1")}, nil},
		"a beginning that retention deleted": {[]*kgo.Record{at(0, 7, "a", seq, "3"), at(0, 8, "a", seq, "4")}, nil},
		"a beginning that is not there": {[]*kgo.Record{at(0, 0, "a", seq, "1"), at(0, 1, "a", seq, "2")},
			[]string{"audit_seq of /openai/organizations/a begins at 1"}},
		"the same, and partitions alternate": {[]*kgo.Record{at(0, 0, "a", seq, "1"), at(1, 0, "a", seq, "2"), at(0, 1, "a", seq, "3"), at(1, 1, "a", seq, "4")},
			[]string{"audit_seq of /openai/organizations/a begins at 1"}},
		"the same, beside another sequence that lost its beginning": {[]*kgo.Record{at(0, 0, "a", seq, "1"), at(1, 5, "b", seq, "3"), at(1, 6, "b", repair, "2")},
			[]string{"audit_seq of /openai/organizations/a begins at 1"}},
	} {
		if diff := cmp.Diff(c.want, kafkatest.CheckNumbers(c.records)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
