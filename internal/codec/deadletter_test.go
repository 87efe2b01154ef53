package codec_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func TestDeadLetter(t *testing.T) {
	encoder := newEncoder(t, codec.Config{MaxDLQBytes: 10_000, Headers: []kafka.Header{{Key: "env", Value: []byte("prod")}}})
	why := &codec.Undeliverable{Reason: codec.ReasonInvalidUTF8, Detail: "the event is not valid UTF-8"}
	ev := auditlog.Event{ID: "audit_log-1", EffectiveAt: 1_770_979_893, Timed: true, Raw: []byte("{\"x\":\"\xff\"}")}

	m := encoder.DeadLetter(ev, why)
	want := []string{
		"error=invalid_utf8", "error_detail=the event is not valid UTF-8", "source_topic=openai.audit.events",
		"ce_source=/openai/organizations/acme", "effective_at=2026-02-13T10:51:33Z", "env=prod",
	}
	if diff := cmp.Diff(want, headers(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if string(m.Key) != ev.ID || string(m.Value) != string(ev.Raw) {
		t.Errorf("key %q, value %q", m.Key, m.Value)
	}

	ev.ID, ev.Timed = "", false
	m = encoder.DeadLetter(ev, why)
	if m.Key != nil {
		t.Errorf("without an id: key %q", m.Key)
	}
	if diff := cmp.Diff(append(want[:4:4], want[5]), headers(m)); diff != "" {
		t.Errorf("without a time (-want +got):\n%s", diff)
	}
	if m = encoder.DeadLetter(auditlog.Event{}, why); m.Value == nil {
		t.Error("without bytes: the value is null, a tombstone")
	}
}

// TestDeadLetterTooLarge: whatever the event, the letter is one that the topic
// takes, and says what it was cut from.
func TestDeadLetterTooLarge(t *testing.T) {
	const limit = 2000
	encoder := newEncoder(t, codec.Config{MaxDLQBytes: limit, Headers: []kafka.Header{{Key: "env", Value: []byte("prod")}}})
	raw := []byte(`{"id":"a","x":"` + strings.Repeat("x", 5000) + `"}`)
	sum := sha256.Sum256(raw)
	for name, id := range map[string]string{"short id": "a", "long id": strings.Repeat("i", 5000)} {
		t.Run(name, func(t *testing.T) {
			m := encoder.DeadLetter(auditlog.Event{ID: id, Raw: raw}, &codec.Undeliverable{Reason: codec.ReasonTooLarge, Detail: "d"})
			want := []string{
				"error=too_large", "error_detail=d", "source_topic=openai.audit.events", "ce_source=/openai/organizations/acme",
				"truncated=true", "original_bytes=5017", "sha256=" + hex.EncodeToString(sum[:]), "env=prod",
			}
			if diff := cmp.Diff(want, headers(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.Size() != limit || !strings.HasPrefix(string(raw), string(m.Value)) {
				t.Errorf("size %d, value %.40q", m.Size(), m.Value)
			}
			if wantKey := len(id) < 100; wantKey != (m.Key != nil) {
				t.Errorf("key of %d bytes", len(m.Key))
			}
		})
	}
	tiny := newEncoder(t, codec.Config{MaxDLQBytes: 1}).DeadLetter(auditlog.Event{ID: "a", Raw: raw}, &codec.Undeliverable{})
	if tiny.Value == nil || len(tiny.Value) != 0 {
		t.Errorf("without room: value %v, want an empty one", tiny.Value)
	}
}
