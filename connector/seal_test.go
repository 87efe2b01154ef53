package connector_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// runs lets the connector write so many events more, and stops it.
func runs(w *world, events int) {
	w.t.Helper()
	i := w.start()
	i.awaitReady()
	time.Sleep(time.Minute)
	w.burst(events, 5)
	time.Sleep(2 * time.Minute)
	w.must(i.stop())
}

// numbers are those of the events in the order of their offsets; empty for one that has
// none.
func numbers(w *world) (all []string) {
	w.t.Helper()
	for _, r := range w.kafka().read(w.cfg.Kafka.Topic) {
		number := ""
		for _, h := range r.Headers {
			if h.Key == "audit_seq" {
				number = string(h.Value)
			}
		}
		all = append(all, number)
	}
	return all
}

// wantSeal fails unless the cursor says so of the seal, and the checkpoints that are left
// are the newest and that of a day.
func wantSeal(w *world, size uint64, began int64) {
	w.t.Helper()
	is := w.cursor().Seal
	switch {
	case is == nil:
		w.t.Fatal("nothing is sealed")
	case is.Size != size || !slices.Equal(is.Began["events"], []int64{began}):
		w.t.Errorf("%d records are sealed, from offsets %v on; want %d from %d", is.Size, is.Began["events"], size, began)
	}
	var keys []string
	for key, value := range w.kafka().state() {
		if strings.HasPrefix(key, "checkpoint/") && value != nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if len(keys) != 2 || keys[0] != "checkpoint/default" {
		w.t.Errorf("checkpoints %v, want the newest and that of a day", keys)
	}
	c, _, err := seal.Verifier{}.OpenCheckpoint(w.kafka().state()["checkpoint/default"])
	if err != nil || c.Size != size || !slices.Equal(c.Began.Offsets["events"], []int64{began}) {
		w.t.Errorf("%v: the newest checkpoint has size %d and began %v", err, c.Size, c.Began)
	}
}

// The seal begins where it is turned on, and a start goes on with it; turned off it is
// gone with its checkpoints, and turned on again it is another one, from number 0.
func TestSealIsTurnedOnAndOff(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Kafka.Seal = false
		runs(w, 3)
		if w.cursor().Seal != nil {
			t.Error("it is sealed")
		}
		w.cfg.Kafka.Seal = true
		began := endOf(w)
		runs(w, 2)
		wantSeal(w, 2, began)
		runs(w, 2)
		wantSeal(w, 4, began)
		checkSeal(w)
		w.cfg.Kafka.Seal = false
		runs(w, 1)
		for key, value := range w.kafka().state() {
			if strings.HasPrefix(key, "checkpoint/") && value != nil {
				t.Errorf("%s is left", key)
			}
		}
		w.cfg.Kafka.Seal = true
		began = endOf(w)
		runs(w, 2)
		wantSeal(w, 2, began)
		if got, want := numbers(w), []string{"", "", "", "0", "1", "2", "3", "", "0", "1"}; !slices.Equal(got, want) {
			t.Errorf("numbers %q, want %q", got, want)
		}
	})
}

// end is where the events topic ends now.
func endOf(w *world) int64 { w.t.Helper(); return w.kafka().ends()[w.cfg.Kafka.Topic+"/0"] }

// A release that does not know the seal goes on from a cursor that has one, and writes
// it without; the next one that knows begins another one, and says from where.
func TestSealOfAnOlderRelease(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		runs(w, 3)
		var cursor map[string]json.RawMessage
		w.must(json.Unmarshal(w.kafka().state()["cursor/default"], &cursor))
		delete(cursor, "seal")
		without, err := json.Marshal(cursor)
		w.must(err)
		w.kafka().put("cursor/default", without)
		w.kafka().put("checkpoint/default/2001-02-03", w.kafka().state()["checkpoint/default"]) // of a day long ago
		began := endOf(w)
		runs(w, 2)
		wantSeal(w, 2, began)
	})
}

// A reset writes everything again, and what was sealed stays sealed. A topic that was
// made again has a seal of its own.
func TestSealAfterReset(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.backfill(time.Now())
		runs(w, 3)
		reset := func() {
			reset := window.Reset("default", nil, auditlog.SecondOf(time.Now()))
			reset.Seal = w.cursor().Seal
			value, err := reset.Encode()
			w.must(err)
			for _, key := range w.kafka().seenKeys() {
				w.kafka().put(key, nil)
			}
			w.kafka().put("cursor/default", value)
		}
		reset()
		runs(w, 2)
		wantSeal(w, 8, 0)
		checkSeal(w)
		reset()
		w.kafka().remake(w.cfg.Kafka.Topic, 1)
		runs(w, 1)
		wantSeal(w, 6, 0)
	})
}

// With a topic for checkpoints each goes there too. While keys change, two sign.
func TestCheckpointsAreSignedAndPublished(t *testing.T) {
	old, oldPublic, _ := seal.Keygen("acme-2025")
	current, currentPublic, _ := seal.Keygen("acme-2026")
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Kafka.SealTopic = "seals"
		w.cfg.SealKey = connector.SecretValue(old + " " + current)
		w.cfg.Kafka.Headers = []connector.Header{{Name: "team", Value: "risk"}}
		runs(w, 3)
		var written []string
		for _, r := range w.cluster.Read(t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
			if string(r.Key) == "checkpoint/default" {
				written = append(written, string(r.Value))
			}
		}
		var published []string
		for _, r := range w.kafka().read("seals") {
			published = append(published, string(r.Value))
			for _, public := range []string{oldPublic, currentPublic} {
				knows, err := seal.ParseVerifier(public)
				w.must(err)
				if _, signature, err := knows.OpenCheckpoint(r.Value); err != nil || signature != seal.WellSigned {
					t.Errorf("%s: %v, signature %v", public, err, signature)
				}
			}
		}
		if len(published) < 2 || !slices.Equal(published, written) {
			t.Errorf("%d checkpoints are published, and %d were written", len(published), len(written))
		}
		records := w.kafka().read(w.cfg.Kafka.Topic)
		last := records[len(records)-1].Headers
		if n := len(last); last[n-2].Key != "audit_seq" || last[n-1].Key != "team" {
			t.Errorf("headers %v", last)
		}
	})
}

// Dead letters are leaves, in one sequence with the events; copies are not.
func TestDeadLettersAreSealed(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Kafka.JSONTopic = "copies"
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(time.Now()), []byte(`{"type":"no.id","effective_at":`+time.Now().Format("20060102")+`}`))
		runs(w, 3)
		wantSeal(w, 4, 0)
		checkSeal(w)
		records := append(w.kafka().read(w.cfg.Kafka.Topic), w.kafka().letters()...)
		if wrong := kafkatest.CheckNumbers(records); len(wrong) > 0 || len(records) != 4 {
			t.Errorf("%d records: %q", len(records), wrong)
		}
		for _, r := range w.kafka().read("copies") {
			for _, h := range r.Headers {
				if h.Key == "audit_seq" {
					t.Error("a copy has a number")
				}
			}
		}
	})
}
