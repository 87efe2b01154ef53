package window_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Whatever ids an API makes up, each record of them is one that the offsets topic
// is sure to take, and all of them are remembered once.
func TestRecordsOfSeenIDsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"x", "<", "\x00", "\\", "é", "\u2028", "\U0001F600"})
		long := rapid.IntRange(0, 300).Draw(t, "length")
		var events []auditlog.Event
		for range rapid.IntRange(1, 1500).Draw(t, "events") {
			name := strings.Repeat(text.Draw(t, "text"), long)
			events = append(events, auditlog.Event{ID: name + rapid.StringN(0, 20, 40).Draw(t, "id"), EffectiveAt: 1_700_000_000, Timed: true})
		}
		s := &window.State{Seen: window.NewSeenIDs()}
		step := s.Stage(window.Batch{Events: events})
		for _, part := range step.Remember {
			value, err := auditlog.EncodeSeen(part.Names)
			if err != nil {
				t.Fatal(err)
			}
			if len(value) > 260_000 || len(part.Names) > 1000 {
				t.Fatalf("%d ids in %d bytes", len(part.Names), len(value))
			}
		}
		s.Advance(step)
		if s.Seen.Len() != len(step.Write) || s.Seen.Records() != len(step.Remember) || step.Cursor.SeenRecords != len(step.Remember) {
			t.Fatalf("%d ids of %d in %d records of %d", s.Seen.Len(), len(step.Write), s.Seen.Records(), len(step.Remember))
		}
	})
}
