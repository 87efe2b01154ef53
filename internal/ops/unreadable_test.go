package ops_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// A registry that lost its ids: the events are there under their keys, so none of them
// is missing; but nobody can read them, so the topic is not whole, and nothing is
// repaired blindly.
func TestVerifyAfterARegistryLostItsIDs(t *testing.T) {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	w := newRead(t, kafkatest.InProcess(t), 100, func(w *world) {
		w.connector.Registry.URL, w.connector.Registry.AutoRegister = registry.URL(), true
		w.ops.Registry.URL, w.ops.Registry.Subject, w.ops.Registry.AutoRegister = registry.URL(), w.ops.Topics.Events+"-value", true
	})
	if r := w.verify(auditlog.SecondOf(start), ago(0)); !r.OK(true) || len(r.Unreadable) != 0 {
		t.Fatalf("while it is whole: %+v", r)
	}
	other := srfake.New()
	t.Cleanup(other.Close)
	for i := range 3 { // others were first, so the ids are of other schemas, or of none
		other.SeedSchema("other-value", i+1, i+1, sr.Schema{Type: sr.TypeAvro, Schema: fmt.Sprintf(`{"type":"fixed","name":"f%d","size":4}`, i)})
	}
	w.ops.Registry.URL = other.URL()
	w.add("late", 20*days)
	r := w.verify(auditlog.SecondOf(start), ago(0))
	wantLists(t, r, map[string][]string{"Missing": {"late"}})
	if len(r.Unreadable) != 100 || r.Topic != 100 || r.OK(false) {
		t.Errorf("%d unreadable, %d in the topic, OK %v", len(r.Unreadable), r.Topic, r.OK(false))
	}
	// What a repair would write, it would write with an id that is another schema's.
	if _, err := ops.Repair(t.Context(), w.ops, auditlog.SecondOf(start), ago(0)); err == nil || !strings.Contains(err.Error(), "restore the registry with the ids it had") {
		t.Errorf("the repair ended with %v", err)
	}
	if n := len(w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())); n != 100 {
		t.Errorf("the topic has %d events, and had 100", n)
	}
}

// Whatever cannot be read is reported with its place, and counts as there under its key.
func TestVerifyTellsWhatIsUnreadable(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 30, nil)
	w.add("late-20", 20*days)
	w.add("late-21", 21*days)
	w.add("late-22", 22*days)
	w.add("late-23", 23*days)
	of := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())[0]
	newer := bytes.Clone(of.Value)
	newer[5] ^= 1 // another fingerprint
	junk := []*kgo.Record{
		{Key: []byte("late-20"), Value: []byte("no framing"), Headers: of.Headers},
		{Key: []byte("late-21"), Value: newer}, // a copy that lost its headers
		{Key: []byte("other"), Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "ce_source", Value: []byte("/openai/organizations/other")}}},
		{Value: []byte("not ours")},
		{Key: []byte("late-23"), Value: bytes.Replace(of.Value, []byte("default"), []byte("another"), 1), Headers: of.Headers},
	}
	for _, r := range junk {
		r.Topic = w.ops.Topics.Events
		w.kafka().produce(r)
	}
	r := w.repair(auditlog.SecondOf(start), ago(0))
	wantLists(t, r, map[string][]string{})
	var ids []string
	for _, u := range r.Unreadable {
		ids = append(ids, u.ID)
	}
	if *r.Repaired != 1 || !slices.Equal(ids, []string{"late-20", "late-21", "", "late-23"}) || r.OK(false) {
		t.Errorf("%d repaired, unreadable %q, OK %v: want late-22 repaired", *r.Repaired, ids, r.OK(false))
	}

	var text, document bytes.Buffer
	if err := r.Print(&text); err != nil {
		t.Error(err)
	}
	if s := text.String(); !strings.Contains(s, "4 unreadable: ") || !strings.Contains(s, "late-20, partition 0, offset ") ||
		!strings.Contains(s, "without a key, partition 0, ") || strings.Contains(s, "holds what it should") {
		t.Errorf("as text:\n%s", s)
	}
	var got struct{ Unreadable []ops.Unreadable }
	if err := r.WriteJSON(&document); err != nil || json.Unmarshal(document.Bytes(), &got) != nil || len(got.Unreadable) != 4 {
		t.Errorf("%v: as JSON:\n%s", err, &document)
	}
}
