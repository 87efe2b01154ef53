package ops_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func ago(d time.Duration) auditlog.Second { return auditlog.SecondOf(time.Now().Add(-d)) }

// mustApply applies the edit, waits until a read of what is stable shows it, and
// returns what it says.
func (w *world) mustApply(edit *ops.Edit, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := edit.Apply(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.kafka().awaitMarkers()
	return strings.Join(edit.Does, "\n")
}

func TestCursorOfARunningConnector(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c, simulator.Config{Seed: 1, Organization: "org-123", Latency: 20 * time.Millisecond})
	if _, err := ops.Cursor(t.Context(), w.ops); err == nil || !strings.Contains(err.Error(), "topic") {
		t.Errorf("without topics: %v", err)
	}
	w.api.Generate(20_000, ago(60*24*time.Hour), ago(time.Hour))
	w.backfill(time.Now().Add(-90 * 24 * time.Hour))
	w.connector.APIConcurrency = 1
	stop := w.start()
	var r ops.CursorReport
	eventually(t, "some of the history is read", func() (read bool) {
		var err error
		r, err = ops.Cursor(t.Context(), w.ops)
		return err == nil && r.HistorySeconds != nil
	})
	if r.APIOrganization != "org-123" || len(r.Openers) != 1 || r.HistoryTo < ago(25*time.Hour) || *r.HistorySeconds < 0 || *r.HistorySeconds > 3600 {
		t.Errorf("%+v, history takes %d s", r, *r.HistorySeconds)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"org-123", "history left", "done in about", "tenant events", "seen ids", "opened by"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("to look disturbed the connector: %v", err)
	}
}

// The earliest start is reported as such, and as a time in a command to copy.
func TestEarliestStartIsTold(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 1})
	w.api.Generate(20, ago(20*time.Hour), ago(2*time.Hour))
	w.connector.Organizations[0].BackfillStart = &connector.BackfillStart{Earliest: true}
	w.runUntilEqual(time.Unix(0, 0))
	var text strings.Builder
	if err := w.cursor().Print(&text); err != nil || !regexp.MustCompile(`(?m)^start +earliest$`).MatchString(text.String()) {
		t.Errorf("%v\n%s", err, &text)
	}
	edit, err := ops.SkipTo(t.Context(), w.ops, ago(0))
	if err != nil {
		t.Fatal(err)
	}
	if did := strings.Join(edit.Does, "\n"); !strings.Contains(did, "verify --from 1970-01-01T00:00:00Z --to") {
		t.Errorf("no command to copy:\n%s", did)
	}
}

func TestSkipToFencesAndSkips(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 2})
		w.api.Generate(500, ago(20*time.Hour), ago(2*time.Hour))
		since := time.Now().Add(-48 * time.Hour)
		w.backfill(since)
		w.runUntilEqual(since)
		before := w.cursor()
		if before.SeenIDs == 0 {
			t.Fatal("nothing is remembered, so nothing can be forgotten")
		}
		w.api.Generate(40, ago(50*time.Minute), ago(30*time.Minute))           // nobody has read these
		w.api.SetFaults(map[simulator.Fault]float64{simulator.ServerError: 1}) // nor will
		connected := w.run()
		eventually(t, "it has opened the log", func() bool { return strings.Contains(w.log.String(), "the API gives no list yet") })
		to := ago(20 * time.Minute)
		edit, err := ops.SkipTo(t.Context(), w.ops, to)
		if err != nil {
			t.Fatal(err)
		}
		if did := w.cursor(); did.Floor != before.Floor {
			t.Error("to plan an edit moved the floor")
		}
		w.mustApply(edit, nil)
		w.api.SetFaults(nil)
		w.api.Step(1, 0, 0) // which it tries to write
		eventually(t, "it is fenced", func() bool {
			select {
			case <-connected.done:
				return true
			default:
				return false
			}
		})
		if err := connected.stop(); !errors.Is(err, connector.ErrFenced) {
			t.Errorf("the connector ended with %v", err)
		}
		after := w.cursor()
		if after.Start != before.Start || after.Floor != to || after.HistoryTo != 0 || after.SeenIDs != 0 {
			t.Errorf("start %v, floor %v (want %v), history to %v, %d ids", after.Start, after.Floor, to, after.HistoryTo, after.SeenIDs)
		}
		stop := w.start()
		w.api.Step(5, 0, 0)
		eventually(t, "new events are written", func() bool { return len(w.report(time.Now().Add(-5*time.Minute)).Missing) == 0 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if r := w.report(since); len(r.Doubled)+len(r.Extra)+len(r.Different) > 0 || len(r.Missing) > 40 {
			t.Errorf("after skipping: %s", r)
		}
	})
}

// To skip a part of what was missed keeps the ids that the rest of it may meet, by the
// lookbacks of the settings.
func TestSkipToKeepsIDsByTheSettings(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 2})
	since := time.Now().Add(-23 * time.Hour)
	w.api.Generate(50, ago(20*time.Hour), ago(2*time.Hour))
	w.backfill(since)
	w.runUntilEqual(since)
	was := w.cursor()
	missed := was.Clone()
	for scope, pos := range missed.Scopes {
		pos.History = []auditlog.Range{{From: was.Floor, To: ago(10 * time.Minute), HoldsFloor: true}}
		missed.Scopes[scope] = pos
	}
	value, err := missed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.kafka().produceState(was.Partition, "cursor/default", value)
	w.ops.Lookback, w.ops.DeepLookback = 10*time.Minute, 24*time.Hour
	edit, err := ops.SkipTo(t.Context(), w.ops, ago(30*time.Minute))
	w.mustApply(edit, err)
	if got := w.cursor().SeenIDs; was.SeenIDs == 0 || got != was.SeenIDs {
		t.Errorf("%d ids of the last 20 hours are known, of %d", got, was.SeenIDs)
	}
}

// Where ids are gone, a time is a way out only if nothing was written with it.
func TestSkipWhereSeenIDsWereDeleted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 2})
		since := time.Now().Add(-24 * time.Hour)
		w.api.Generate(50, ago(20*time.Hour), ago(2*time.Hour))
		w.backfill(since)
		w.runUntilEqual(since)
		was := w.cursor()
		if was.SeenRecords == 0 {
			t.Fatal("nothing is remembered")
		}
		state := w.cluster.Read(t, w.ops.Topics.Offsets, kgo.ReadCommitted())
		at := slices.IndexFunc(state, func(r *kgo.Record) bool { return strings.HasPrefix(string(r.Key), "seen/") && r.Value != nil })
		w.kafka().produceState(was.Partition, string(state[at].Key), nil)
		if err := w.runToEnd(); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "1 are gone") {
			t.Fatalf("not refused for what is gone: %v", err)
		}
		if _, err := ops.SkipTo(t.Context(), w.ops, auditlog.SecondOf(time.Now())); err == nil || !strings.Contains(err.Error(), "might be written again") {
			t.Errorf("the time of the last writing is not refused: %v", err)
		}

		old := was.Cursor // as it would be an hour later
		old.WrittenAt = ago(time.Hour)
		value, err := old.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.kafka().produceState(was.Partition, "cursor/default", value)
		edit, err := ops.SkipTo(t.Context(), w.ops, auditlog.SecondOf(time.Now()))
		w.mustApply(edit, err)
		for range 2 {
			stop := w.start()
			w.api.Step(5, 0, 0)
			eventually(t, "new events are written", func() bool { return w.report(since).OK() })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestEditsAreRefused(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c, simulator.Config{Seed: 2})
	w.api.Generate(50, ago(20*time.Hour), ago(2*time.Hour))
	w.backfill(time.Now().Add(-24 * time.Hour))
	w.runUntilEqual(time.Now().Add(-24 * time.Hour))
	before := w.cursor()
	for name, plan := range map[string]func(context.Context) (*ops.Edit, error){
		"backwards":     func(ctx context.Context) (*ops.Edit, error) { return ops.SkipTo(ctx, w.ops, ago(30*24*time.Hour)) },
		"beyond now":    func(ctx context.Context) (*ops.Edit, error) { return ops.SkipTo(ctx, w.ops, ago(-time.Hour)) },
		"nothing moved": func(ctx context.Context) (*ops.Edit, error) { return ops.AcceptTopics(ctx, w.ops) },
		"another framing": func(ctx context.Context) (*ops.Edit, error) {
			framed := w.ops
			framed.Registry.URL = "http://127.0.0.1:1"
			return ops.AcceptTopics(ctx, framed)
		},
		"nobody's": func(ctx context.Context) (*ops.Edit, error) {
			other := w.ops
			other.Organization = "nobody"
			return ops.SkipTo(ctx, other, ago(0))
		},
	} {
		if _, err := plan(t.Context()); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if after := w.cursor(); after.WrittenAt != before.WrittenAt || after.Floor != before.Floor {
		t.Error("what was refused was written")
	}
}

// An edit that a starting connector overtakes does nothing.
func TestEditIsFenced(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c, simulator.Config{Seed: 2})
	w.runUntilEqual(time.Now())
	proxy := c.Proxy()
	slow := w.ops
	slow.Connection.Dial = proxy.Dial
	edit, err := ops.Reset(t.Context(), slow)
	if err != nil {
		t.Fatal(err)
	}
	opened := strings.Count(w.log.String(), "msg=opened")
	var begun sync.Once
	proxy.Observe(func(f kafkatest.Frame) {
		if f.Answer || f.Key != kmsg.AddPartitionsToTxn.Int16() && f.Key != kmsg.Produce.Int16() {
			return
		}
		begun.Do(func() {
			w.start()
			eventually(t, "the connector is open", func() bool { return strings.Count(w.log.String(), "msg=opened") > opened })
		})
	})
	if err := edit.Apply(t.Context()); !errors.Is(err, ops.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	if w.cursor().StartAnew {
		t.Error("it was reset all the same")
	}
}

func TestAcceptTopics(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 2})
		w.api.Generate(50, ago(20*time.Hour), ago(2*time.Hour))
		since := time.Now().Add(-24 * time.Hour)
		w.backfill(since)
		w.runUntilEqual(since)
		w.connector.Kafka.Topic = c.Name("renamed")
		w.ops.Topics.Events = w.connector.Kafka.Topic
		if err := w.runToEnd(); !errors.Is(err, connector.ErrRefused) {
			t.Fatalf("another topic was not refused: %v", err)
		}
		edit, err := ops.AcceptTopics(t.Context(), w.ops)
		if did := w.mustApply(edit, err); !strings.Contains(did, w.ops.Topics.Events) {
			t.Errorf("it does not say which topic:\n%s", did)
		}
		stop := w.start()
		w.api.Step(3, 0, 0)
		eventually(t, "events go to the new topic", func() bool { return len(w.report(time.Now().Add(-time.Hour)).Missing) == 0 })
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// runToEnd runs the connector until it ends by itself.
func (w *world) runToEnd() error {
	w.t.Helper()
	c, err := connector.New(w.connector)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	return c.Run(ctx)
}

func TestReset(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		since := time.Now().Add(-48 * time.Hour)
		broken := func(key, value string) func(w *world) {
			return func(w *world) {
				w.kafka().produceState(w.cursor().Partition, key, []byte(value))
			}
		}
		for name, breaks := range map[string]func(w *world){
			"a good cursor":        func(*world) {},
			"an unreadable cursor": broken("cursor/default", "{"),
			"a newer cursor":       broken("cursor/default", `{"version": 99}`),
			"unreadable ids":       broken("seen/default/2026-01-01T00:00:00Z", "?"),
			"no cursor any more": func(w *world) {
				w.kafka().produceState(w.cursor().Partition, "cursor/default", nil)
			},
			"a cursor in another partition": func(w *world) {
				answer, err := w.cluster.Admin().UpdatePartitions(w.t.Context(), 19, w.ops.Topics.Offsets)
				if err != nil || answer.Error() != nil {
					w.t.Fatal(err, answer.Error())
				}
				// The answer is the controller's; brokers say so a moment later.
				eventually(w.t, "the brokers to have the partitions", func() bool {
					topics, err := w.cluster.Admin().ListTopics(w.t.Context(), w.ops.Topics.Offsets)
					return err == nil && len(topics[w.ops.Topics.Offsets].Partitions) == 19
				})
			},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, c, simulator.Config{Seed: 2})
				w.api.Generate(30, ago(20*time.Hour), ago(2*time.Hour))
				w.backfill(since)
				w.runUntilEqual(since)
				breaks(w)
				if name != "a good cursor" {
					if err := w.runToEnd(); !errors.Is(err, connector.ErrRefused) {
						t.Fatalf("the broken state was not refused: %v", err)
					}
				}
				edit, err := ops.Reset(t.Context(), w.ops)
				if did := w.mustApply(edit, err); !strings.Contains(did, "emits again") {
					t.Errorf("it does not say what follows:\n%s", did)
				}
				if r := w.cursor(); !r.StartAnew || r.SeenIDs != 0 {
					t.Errorf("after the reset: %+v", r)
				}
				again := w.run()
				eventually(t, "all is emitted again", func() bool {
					select {
					case <-again.done:
						t.Fatalf("it ended by itself: %v", again.stop())
					default:
					}
					return len(w.report(since).Doubled) == 30
				})
				if err := again.stop(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// produceState writes a record of state as somebody else would.
func (w inKafka) produceState(partition int32, key string, value []byte) {
	w.t.Helper()
	client := w.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	record := &kgo.Record{Topic: w.ops.Topics.Offsets, Partition: partition, Key: []byte(key), Value: value}
	if err := client.ProduceSync(w.t.Context(), record).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// History that holds nothing is over when it is read, and the cursor command says so
// at once: not when a quiet log next writes its cursor.
func TestCursorWhenAnEmptyHistoryIsRead(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 1})
	w.backfill(time.Now().Add(-90 * days))
	stop := w.start()
	eventually(t, "no history is left", func() bool {
		r, err := ops.Cursor(t.Context(), w.ops)
		return err == nil && r.Floor != 0 && r.HistoryTo == 0
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Where partitions were added, the cursor is there and not where it belongs: that is
// no organization that was never read.
func TestCursorInAnotherPartition(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c, simulator.Config{Seed: 1})
	since := time.Now().Add(-time.Hour)
	w.runUntilEqual(since)
	if _, err := c.Admin().UpdatePartitions(t.Context(), 24, w.ops.Topics.Offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Cursor(t.Context(), w.ops); err == nil || !strings.Contains(err.Error(), "belongs in") {
		t.Errorf("it says: %v", err)
	}
}
