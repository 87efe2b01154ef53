package ops_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// tailed returns what Tail prints, line by line.
func (w *world) tailed(opts ops.TailOptions) ([]string, error) {
	var out strings.Builder
	err := ops.Tail(w.t.Context(), w.ops, opts, &out)
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), err
}

func TestTail(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 3})
		w.connector.Kafka.Partitions = 3
		now := time.Now()
		w.api.Generate(300, auditlog.SecondOf(now.Add(-48*time.Hour)), auditlog.SecondOf(now.Add(-time.Hour)))
		w.backfill(now.Add(-72 * time.Hour))
		w.runUntilEqual(now.Add(-72 * time.Hour))

		t.Run("json", func(t *testing.T) {
			lines, err := w.tailed(ops.TailOptions{Lines: 1000, Format: ops.FormatJSON})
			if err != nil || len(lines) != 300 {
				t.Fatalf("%d lines, want 300; %v", len(lines), err)
			}
			for _, line := range lines {
				var got struct {
					ID          string    `json:"id"`
					EffectiveAt time.Time `json:"effective_at"`
					Raw         string    `json:"raw_event"`
					Scopes      []string  `json:"scopes"`
				}
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatal(err)
				}
				want, ok := w.api.Event(got.ID)
				if !ok || string(want.Raw) != got.Raw || !want.EffectiveAt.Time().Equal(got.EffectiveAt) || got.Scopes == nil {
					t.Fatalf("not the event of the API: %s", line)
				}
				if !strings.Contains(line, `"effective_at":"`+want.EffectiveAt.String()+`"`) {
					t.Fatalf("effective_at is not RFC 3339 in UTC: %s", line)
				}
			}
		})
		t.Run("the newest alone, as received", func(t *testing.T) {
			all, _ := w.tailed(ops.TailOptions{Lines: 1000, Format: ops.FormatRaw})
			lines, err := w.tailed(ops.TailOptions{Lines: 7, Format: ops.FormatRaw})
			if err != nil || !slices.Equal(lines, all[len(all)-7:]) {
				t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
			}
		})
		t.Run("ocsf", func(t *testing.T) {
			lines, err := w.tailed(ops.TailOptions{Lines: 3, Format: "ocsf"})
			if err != nil || len(lines) != 3 || !strings.Contains(lines[0], `"class_uid":`) {
				t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
			}
		})
		t.Run("follow", func(t *testing.T) { testFollow(t, w) })
		t.Run("what is no event is told and passed over", func(t *testing.T) {
			junk := &kgo.Record{Topic: w.ops.Topics.Events, Value: []byte("junk")}
			if err := c.Client().ProduceSync(t.Context(), junk).FirstErr(); err != nil {
				t.Fatal(err)
			}
			lines, err := w.tailed(ops.TailOptions{Lines: 5, Format: ops.FormatRaw})
			if err == nil || !strings.Contains(err.Error(), "1 records") || len(lines) != 4 {
				t.Errorf("%d lines, %v", len(lines), err)
			}
		})
	})
}

func testFollow(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &lockedBuffer{}
	done := make(chan error, 1)
	go func() { done <- ops.Tail(ctx, w.ops, ops.TailOptions{Follow: true, Format: ops.FormatRaw}, out) }()
	stop := w.start()
	eventually(t, "new events are printed", func() bool {
		w.api.Step(1, 0, 0)
		return strings.Count(out.String(), "\n") >= 3
	})
	for line := range strings.Lines(out.String()) {
		var got struct{ ID string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if ev, ok := w.api.Event(got.ID); !ok || time.Since(ev.EffectiveAt.Time()) > 30*time.Minute {
			t.Errorf("not a new event: %s", line)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped, it returned %v", err)
	}
}
