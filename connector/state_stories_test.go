package connector_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// The stories of a state that is damaged, lost, or another one's: a start refuses
// it with the remedy, writes nothing, and never silently starts over.

// refusals are all the states of contract §6 that need a decision. Each is made
// of a world in which the connector ran and was stopped, or of a fresh one.
var refusals = map[string]struct {
	fresh  bool           // the connector did not run before
	before func(w *world) // what it ran with, if not with the usual
	make   func(w *world)
	remedy []string // what the error tells to do
}{
	"a cursor that is no JSON": {
		make:   func(w *world) { w.kafka().put("cursor/default", []byte(`{"version":1,`)) },
		remedy: []string{"cannot be read", "`cursor reset`"},
	},
	"a cursor that lacks what it must have": {
		make:   func(w *world) { w.kafka().put("cursor/default", []byte(`{"version":1,"organization":"default"}`)) },
		remedy: []string{"cannot be read", "`cursor reset`"},
	},
	"a cursor of a newer version": {
		make:   func(w *world) { w.kafka().put("cursor/default", []byte(`{"version":99,"whatever":[]}`)) },
		remedy: []string{"version 99", "run that one"},
	},
	"a cursor copied from another name": {
		make: func(w *world) {
			w.kafka().put("cursor/default", []byte(`{"version":1,"organization":"other","start_anew":true}`))
		},
		remedy: []string{"written for other", "`cursor reset`"},
	},
	"seen ids without a cursor": {
		make:   func(w *world) { w.kafka().put("cursor/default", nil) },
		remedy: []string{"seen ids of default, and no cursor", "`cursor reset`"},
	},
	"a record of seen ids that was deleted": {
		make:   func(w *world) { w.kafka().put(w.kafka().seenKeys()[0], nil) },
		remedy: []string{"records of seen ids of default", "1 are gone", "`cursor set --live-from`", "`verify --repair`"},
	},
	"an offsets topic whose beginning was deleted": {
		make: func(w *world) {
			w.kafka().emptyBefore(w.cfg.Kafka.OffsetsTopic, func() {
				w.burst(5, 5)
				i := w.start()
				w.awaitEqual(20 * time.Second)
				w.must(i.stop())
			})
		},
		remedy: []string{"records of seen ids of default", "are gone", "`cursor set --live-from`", "`verify --repair`"},
	},
	"a seal that cannot be read": {
		make: func(w *world) {
			cursor := w.cursor()
			cursor.Seal.Range = nil
			value, err := cursor.Encode()
			w.must(err)
			w.kafka().put("cursor/default", value)
		},
		remedy: []string{"the seal in the cursor of default", "KAFKA_SEAL=off"},
	},
	"a record of seen ids that is no JSON": {
		make:   func(w *world) { w.kafka().put("seen/default/2026-01-01T00:00:00Z", []byte("x")) },
		remedy: []string{"2026-01-01", "`cursor reset`"},
	},
	"a record of seen ids of a newer version": {
		make: func(w *world) {
			w.kafka().put("seen/default/2026-01-01T00:00:00Z", []byte(`{"version":99,"ids":["a"]}`))
		},
		remedy: []string{"version 99", "run that one"},
	},
	"a record of seen ids under a key of another form": {
		make: func(w *world) {
			w.kafka().put("seen/default/2026-01-01T00:00:30Z/x", []byte(`{"version":1,"ids":["a"]}`))
		},
		remedy: []string{"2026-01-01T00:00:30Z/x", "`cursor reset`"},
	},
	"a key of another organization than the cursor's": {
		make:   func(w *world) { w.api = simulator.New(simulator.Config{Organization: "org-b"}) },
		remedy: []string{"org-a", "org-b", "another ORGANIZATION_NAME"},
	},
	"an organization that is read under another name": {
		make:   func(w *world) { w.cfg.Organizations[0].Name = "renamed" },
		remedy: []string{"org-a is read already", "ORGANIZATION_NAME=default", "`cursor reset`"},
	},
	"an organization whose cursor may be an unreadable one under another name": {
		make: func(w *world) {
			w.kafka().put("cursor/default", []byte(`{"version":99,"api_organization":"org-a"}`))
			w.cfg.Organizations[0].Name = "renamed"
		},
		remedy: []string{"cursor/default", "may be the cursor of org-a", "version 99", "`cursor reset`"},
	},
	"a cursor in another partition than its own": {
		make:   func(w *world) { w.kafka().addPartitions() },
		remedy: []string{"somebody added partitions", "`cursor reset`"},
	},
	"an offsets topic that is not compacted": {
		fresh: true,
		make: func(w *world) {
			w.cluster.CreateTopic(w.cfg.Kafka.OffsetsTopic, 1, map[string]string{"cleanup.policy": "delete"})
		},
		remedy: []string{"cleanup.policy=delete", "kafka-configs.sh"},
	},
	"an offsets topic that is compacted and deleted": {
		make: func(w *world) {
			w.kafka().alter(w.cfg.Kafka.OffsetsTopic, "cleanup.policy", "compact,delete")
		},
		remedy: []string{"compact alone", "kafka-configs.sh"},
	},
	"an events topic that was made again": {
		make:   func(w *world) { w.kafka().remake(w.cfg.Kafka.Topic, 1) },
		remedy: []string{"the events topic is not the one", "`cursor set --accept-topics`", "`verify --repair`"},
	},
	"a dead letters' topic that was made again": {
		make:   func(w *world) { w.kafka().remake(w.cfg.Kafka.DLQTopic, 1) },
		remedy: []string{"the dlq topic is not the one", "`cursor set --accept-topics`"},
	},
	"a JSON topic that was made again": {
		before: func(w *world) { w.cfg.Kafka.JSONTopic = w.cfg.Kafka.Topic + ".json" },
		make:   func(w *world) { w.kafka().remake(w.cfg.Kafka.JSONTopic, 1) },
		remedy: []string{"the json topic is not the one", "`cursor set --accept-topics`"},
	},
	"an offsets topic that was made again": {
		make:   func(w *world) { w.kafka().remake(w.cfg.Kafka.OffsetsTopic, 16) },
		remedy: []string{"there is no cursor", "new events topic", "`cursor reset`"},
	},
	"an offsets topic that was emptied": {
		make:   func(w *world) { w.kafka().empty(w.cfg.Kafka.OffsetsTopic) },
		remedy: []string{"there is no cursor", "new events topic", "`cursor reset`"},
	},
	"values framed in another way than before": {
		make: func(w *world) {
			registry := srfake.New()
			w.t.Cleanup(registry.Close)
			w.cfg.Registry = connector.Registry{URL: registry.URL(), AutoRegister: true}
		},
		remedy: []string{"framed as single-object", "SCHEMA_REGISTRY_URL as it was", "`cursor set --accept-topics`"},
	},
	"a registry that was restored without its ids": {
		before: func(w *world) {
			registry := srfake.New()
			w.t.Cleanup(registry.Close)
			w.cfg.Registry = connector.Registry{URL: registry.URL(), AutoRegister: true}
		},
		make: func(w *world) {
			restored := srfake.New()
			w.t.Cleanup(restored.Close)
			restored.SeedSchema("other-value", 1, 1, sr.Schema{Schema: `"string"`, Type: sr.TypeAvro}) // which our values say
			w.cfg.Registry.URL = restored.URL()
		},
		remedy: []string{"carry the schema id 1", "restore the registry with the ids it had", "`cursor set --accept-topics`"},
	},
	"a topic that is missing and may not be made": {
		fresh:  true,
		make:   func(w *world) { w.cfg.Kafka.CreateTopics = false },
		remedy: []string{"kafka-topics.sh", "--create --topic events", "--config cleanup.policy=compact"},
	},
	"history older than the topic keeps event times": {
		fresh: true,
		make: func(w *world) {
			w.cfg.Kafka.Timestamp = connector.TimestampEvent
			w.cfg.Kafka.Retention = 24 * time.Hour
			w.backfill(time.Now().Add(-48 * time.Hour))
		},
		remedy: []string{"retention.ms", "KAFKA_TIMESTAMP=ingest", "BACKFILL_START_TIME"},
	},
	"an earlier start than the topic keeps event times": {
		make: func(w *world) {
			w.cfg.Kafka.Timestamp = connector.TimestampEvent
			w.kafka().alter(w.cfg.Kafka.Topic, "retention.ms", fmt.Sprint((7 * 24 * time.Hour).Milliseconds()))
			w.backfill(time.Now().Add(-8 * 24 * time.Hour))
		},
		remedy: []string{"retention.ms", "KAFKA_TIMESTAMP=ingest", "BACKFILL_START_TIME"},
	},
}

func TestDamagedCursorTopic(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, refused := range refusals {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // mostly they wait for the broker
				w := newQuickWorld(t, again(t, c), simulator.Config{Organization: "org-a"})
				if refused.before != nil {
					refused.before(w)
				}
				if !refused.fresh {
					w.burst(5, 5)
					i := w.start()
					w.awaitEqual(20 * time.Second)
					w.must(i.stop())
				}
				refused.make(w)
				w.burst(5, 5)
				w.kafka().awaitMarkers() // they are part of the ends
				before := w.kafka().ends()
				i := w.start()
				err := i.end(20 * time.Second)
				if !errors.Is(err, connector.ErrRefused) {
					t.Fatalf("it ended with %v", err)
				}
				for _, want := range refused.remedy {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error does not tell %q: %v", want, err)
					}
				}
				if reason := i.reason(); reason == "" || !strings.Contains(err.Error(), reason) {
					t.Errorf("it is not ready because %q, and ended with %v", reason, err)
				}
				for topic, end := range w.kafka().ends() {
					if end != before[topic] {
						t.Errorf("%s ends at %d, and ended at %d before: something was written", topic, end, before[topic])
					}
				}
			})
		}
	})
}

// again returns a cluster of the same kind for a parallel subtest, which must not
// fail the test above it.
func again(t *testing.T, c *kafkatest.Cluster) *kafkatest.Cluster {
	if c.Real() {
		return kafkatest.SharedReal(t)
	}
	return kafkatest.InProcess(t)
}

// What is refused before the fence harms nobody: the one who runs goes on.
func TestRefusedStartFencesNobody(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		running := w.start()
		running.awaitReady()
		for _, value := range []string{`{"version":99}`, `{"version":1`} {
			w.kafka().put("cursor/default", []byte(value))
			w.host = "host-2"
			if err := w.start().end(20 * time.Second); !errors.Is(err, connector.ErrRefused) {
				t.Fatalf("with the cursor %s it ended with %v", value, err)
			}
			w.burst(3, 3)
			w.awaitEqual(20 * time.Second)
		}
		// With the cursor of the one who runs, and a mistyped topic.
		good := w.cfg.Kafka.Topic
		w.cfg.Kafka.Topic = c.Name("mistyped")
		if err := w.start().end(20 * time.Second); !errors.Is(err, connector.ErrRefused) {
			t.Fatalf("with another topic it ended with %v", err)
		}
		w.cfg.Kafka.Topic = good
		w.burst(3, 3)
		w.awaitEqual(20 * time.Second)
		// With more partitions, where the cursor is in another than its own.
		w.kafka().addPartitions()
		if err := w.start().end(20 * time.Second); !errors.Is(err, connector.ErrRefused) {
			t.Fatalf("with more partitions it ended with %v", err)
		}
		w.burst(3, 3)
		w.awaitEqual(20 * time.Second)
		if err := running.stop(); err != nil {
			t.Errorf("the one who ran ended with %v", err)
		}
	})
}

// TestTornState lets a neighbour's open transaction hold the last stable offset inside
// a committed transaction of ours: its tombstones can be seen, and its cursor, which
// counts what they leave, cannot. The state is good, and nobody refuses it, whether the
// neighbour ends soon or only after the fence.
func TestTornState(t *testing.T) {
	for name, open := range map[string]time.Duration{"soon": 3 * time.Second, "after the fence": 40 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.since = auditlog.SecondOf(time.Now())
				i := w.start()
				i.awaitReady()
				w.burst(20, 50)
				w.awaitEqual(time.Minute)
				w.must(i.stop())
				cursor, topic := w.cursor(), w.cfg.Kafka.OffsetsTopic
				partition := txlog.Partition("default", kafka.OffsetsPartitions)
				writer := func(id string) *kgo.Client {
					return w.cluster.Client(kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute),
						kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
				}
				produce := func(cl *kgo.Client, key string, value []byte) {
					w.must(cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value}).FirstErr())
				}
				ours, neighbour := writer(topic+"/default"), writer("neighbour")
				w.must(ours.BeginTransaction())
				tombstones := 0
				for _, r := range w.cluster.Read(t, topic, kgo.ReadCommitted()) {
					if strings.HasPrefix(string(r.Key), "seen/") {
						produce(ours, string(r.Key), nil)
						tombstones++
					}
				}
				if cursor.SeenRecords == 0 || tombstones == 0 {
					t.Fatalf("%d records of seen ids, and the cursor counts %d", tombstones, cursor.SeenRecords)
				}
				w.must(neighbour.BeginTransaction())
				produce(neighbour, "cursor/neighbour", []byte("{}"))
				cursor.SeenRecords, cursor.Floor = 0, auditlog.SecondOf(time.Now().Add(time.Minute))
				value, err := cursor.Encode()
				w.must(err)
				produce(ours, "cursor/default", value)
				w.must(ours.EndTransaction(t.Context(), kgo.TryCommit))
				i = w.start()
				time.Sleep(open)
				if i.ready() {
					t.Error("it is ready before the neighbour's transaction has ended")
				}
				w.must(neighbour.EndTransaction(t.Context(), kgo.TryAbort))
				i.awaitReady()
				w.must(i.stop())
			})
		})
	}
}

// A lost state does not come back by a second start, nor by the settings of a first one.
func TestUnreadableIsNotMissing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		w.burst(5, 5)
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		w.kafka().put("cursor/default", []byte("\x00"))
		for _, start := range []*connector.BackfillStart{w.cfg.Organizations[0].BackfillStart, {Earliest: true}, nil} {
			w.cfg.Organizations[0].BackfillStart = start
			if err := w.start().end(20 * time.Second); !errors.Is(err, connector.ErrRefused) {
				t.Errorf("with start %v it ended with %v", start, err)
			}
		}
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
	})
}

// One organization under two names in one process is read under one of them.
func TestSameOrganizationUnderTwoNames(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for range 3 { // both are first runs, at the same time
			w := newQuickWorld(t, c, simulator.Config{Organization: "org-a"})
			w.burst(20, 20)
			second := w.cfg.Organizations[0]
			second.Name = "second"
			w.cfg.Organizations = append(w.cfg.Organizations, second)
			i := w.start()
			w.awaitEqual(20 * time.Second)
			eventually(t, 20*time.Second, "one is refused", func() bool {
				return strings.Contains(i.reasonOf("default")+i.reasonOf("second"), "org-a is read already")
			})
			w.burst(5, 5)
			w.awaitEqual(20 * time.Second)
			w.must(i.stop())
		}
	})
}

// Two processes first start one organization under two names at the same moment:
// both look before either has written its cursor. One of them reads it, once.
func TestSameOrganizationUnderTwoNamesAtOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{Organization: "org-a"})
		w.kafka().ensureOffsets()
		w.burst(20, 20)
		var both sync.WaitGroup
		both.Add(2)
		start := func(name string) *instance {
			w.cfg.Organizations = slices.Clone(w.cfg.Organizations)
			w.cfg.Organizations[0].Name = name
			w.proxy = c.Proxy()
			var first sync.Once
			w.proxy.Observe(func(f kafkatest.Frame) {
				if f.Key == kmsg.EndTxn.Int16() && !f.Answer {
					first.Do(func() { both.Done(); both.Wait() })
				}
			})
			return w.start()
		}
		one, two := start("one"), start("two")
		w.awaitEqual(30 * time.Second)
		// Both withdraw, and look again after a while that is drawn, until they differ.
		eventually(t, 3*time.Minute, "one is refused", func() bool {
			return strings.Contains(one.reason()+two.reason(), "org-a is read already")
		})
		w.burst(5, 5)
		w.awaitEqual(20 * time.Second)
		refused := 0
		for _, i := range []*instance{one, two} {
			if err := i.stop(); errors.Is(err, connector.ErrRefused) {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d of two were refused", refused)
		}
	})
}

// A refused organization stops alone; the process ends when none is left.
func TestRefusedOrganizationStopsAlone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		w.kafka().ensureOffsets()
		w.kafka().putFor("bad", "cursor/bad", []byte("x"))
		bad := w.cfg.Organizations[0]
		bad.Name = "bad"
		w.cfg.Organizations = append(w.cfg.Organizations, bad)
		w.burst(5, 5)
		i := w.start()
		w.awaitEqual(20 * time.Second)
		eventually(t, 20*time.Second, "the reason is told", func() bool { return strings.Contains(i.reasonOf("bad"), "cursor/bad") })
		w.burst(5, 5)
		w.awaitEqual(20 * time.Second)
		if reason := i.reasonOf("default"); reason != "" {
			t.Errorf("the other one is not ready: %s", reason)
		}
		if err := i.stop(); err != nil {
			t.Errorf("stopped while one was at work, it ended with %v", err)
		}

		w.kafka().put("cursor/default", []byte("x"))
		if err := w.start().end(20 * time.Second); !errors.Is(err, connector.ErrRefused) {
			t.Errorf("with all refused it ended with %v", err)
		}
	})
}

// Foreign keys in the offsets topic are ignored, and warned of once.
func TestForeignKeys(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		var log logLines
		w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.burst(5, 5)
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		for n := range 3 {
			w.kafka().put(fmt.Sprintf("somebody/%d", n), []byte("else's"))
		}
		w.kafka().put("", []byte("without a key"))
		w.kafka().put("cursor/neighbour", []byte("not ours to read"))
		w.kafka().put("seen/neighbour/x", []byte("nor this"))
		i = w.start()
		i.awaitReady()
		if fake := c.Fake(); fake != nil { // then it has to open once more
			fake.ControlKey(kmsg.EndTxn.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				answer := req.ResponseKind().(*kmsg.EndTxnResponse)
				answer.ErrorCode = kerr.UnknownServerError.Code
				return answer, nil, true
			})
		}
		w.burst(5, 5)
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		if c.Fake() != nil && i.commits["unconfirmed"] == 0 {
			t.Error("no commit failed")
		}
		if n := strings.Count(log.String(), "records that are not ours"); n != 1 {
			t.Errorf("warned %d times:\n%s", n, log.String())
		}
	})
}

// What follows are the edges of start, floor, lookback and history.

// Without a start, what took effect before the first run is not read, whenever it
// shows up; what takes effect from that second on is.
func TestFirstRunWithoutHistoryEmitsNothingOld(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		now := time.Now()
		w.since = auditlog.SecondOf(now)
		for k := -120; k <= 5; k++ {
			w.add(now.Add(time.Duration(k)*time.Second), 0)
		}
		w.add(now.Add(-time.Second), 5*time.Minute)
		w.add(now, 5*time.Minute)
		i := w.start()
		time.Sleep(2 * time.Hour)
		if r := w.report(); !r.OK() || r.Topic != 7 {
			t.Error(r)
		}
		w.must(i.stop())
	})
}

// Lookbacks may be made larger and smaller between starts: nothing is doubled, and
// what is late by the larger one is found once it has grown into effect.
func TestChangedLookbacksDoubleNothing(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = 20 * time.Minute
		began := time.Now()
		w.backfill(began.Add(-10 * 24 * time.Hour))
		w.api.Generate(500, w.since, auditlog.SecondOf(began))
		for _, lookback := range []struct{ live, deep time.Duration }{
			{10 * time.Minute, 24 * time.Hour},
			{6 * time.Hour, 7 * 24 * time.Hour},
			{10 * time.Minute, 0},
			{time.Hour, 48 * time.Hour},
		} {
			w.cfg.Lookback, w.cfg.DeepLookback = lookback.live, lookback.deep
			late := lookback.live * 9 / 10
			i := w.start()
			i.awaitReady()
			for range 13 {
				w.api.Step(5, 0.3, min(late, time.Hour))
				time.Sleep(2 * time.Hour)
			}
			w.add(time.Now().Add(-late), 0)
			time.Sleep(time.Hour)
			w.must(i.stop())
			if r := w.report(); !r.OK() {
				t.Errorf("with lookbacks %v: %v", lookback, r)
			}
		}
	})
}

// An earlier start adds just what is before; a later or unset one changes nothing.
func TestMovedStart(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = 5 * time.Minute
		began := time.Now()
		day := func(n int) time.Time { return began.Add(-time.Duration(n) * 24 * time.Hour) }
		w.api.Generate(1000, auditlog.SecondOf(day(30)), auditlog.SecondOf(began))
		for _, start := range []struct {
			from *connector.BackfillStart
			days int // from which the topic is equal then
		}{
			{&connector.BackfillStart{At: day(5)}, 5},
			{&connector.BackfillStart{At: day(2)}, 5},
			{&connector.BackfillStart{At: day(12)}, 12},
			{nil, 12},
			{&connector.BackfillStart{At: day(12).Add(time.Second)}, 12},
			{&connector.BackfillStart{At: day(12).Add(-time.Second)}, 12},
			{&connector.BackfillStart{Earliest: true}, 31},
		} {
			w.cfg.Organizations[0].BackfillStart = start.from
			i := w.start()
			time.Sleep(time.Hour)
			w.api.Step(3, 0, 0)
			time.Sleep(6 * time.Minute)
			w.must(i.stop())
			w.since = auditlog.SecondOf(day(start.days))
			if start.from != nil && !start.from.Earliest && start.from.At.Before(w.since.Time()) {
				w.since = auditlog.SecondOf(start.from.At)
			}
			if r := w.report(); !r.OK() {
				t.Errorf("start %v: %v", start.from, r)
			}
		}
	})
}

// Turned on for the first time later, the tenant scope brings its history; turned
// off and on, it goes on from where it was. Events of both scopes stay single.
func TestTenantScopeTurnedOnLater(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = 15 * time.Minute
		began := time.Now()
		w.backfill(began.Add(-10 * 24 * time.Hour))
		w.api.Generate(500, w.since, auditlog.SecondOf(began))
		both := func() {
			now := auditlog.SecondOf(time.Now())
			w.addEvent(simulator.Event{EffectiveAt: now, Scopes: []auditlog.Scope{auditlog.ScopeTenant}})
			w.addEvent(simulator.Event{EffectiveAt: now, Scopes: auditlog.Scopes()})
		}
		for n, tenant := range []connector.TenantEvents{
			connector.TenantOff, connector.TenantOff, connector.TenantAuto, connector.TenantOff, connector.TenantOn,
		} {
			w.cfg.Organizations[0].TenantEvents = tenant
			i := w.start()
			i.awaitReady()
			// A deep walk of the tenant scope alone may be the first to find an event that
			// both list: polls are rare here. It is the organization's all the same.
			for range 13 {
				both()
				time.Sleep(2 * time.Hour)
			}
			w.must(i.stop())
			r := w.report()
			if len(r.Doubled)+len(r.Extra)+len(r.Different) > 0 {
				t.Fatalf("run %d: %v", n, r)
			}
			if off := tenant == connector.TenantOff; off != (len(r.Missing) > 0) {
				t.Errorf("run %d, tenant events %s: %v", n, tenant, r)
			}
		}
	})
}

// Events in every second around the start, the floor and the ends of history, of
// the first run and of catching up, and late ones exactly at the floor.
func TestEdgesOfFloorAndHistory(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = time.Minute
		began := time.Now()
		w.backfill(began.Add(-30 * 24 * time.Hour))
		around := func(at time.Time) {
			for k := -3; k <= 3; k++ {
				w.add(at.Add(time.Duration(k)*time.Second), 0)
			}
		}
		around(w.since.Time())
		around(began.Add(-24 * time.Hour))
		around(began.Add(-10 * time.Minute))
		around(began)
		i := w.start()
		time.Sleep(3 * time.Hour)
		w.add(w.cursor().Floor.Time(), 0) // shows up late, exactly there
		time.Sleep(time.Hour)
		w.must(i.stop())
		if r := w.report(); !r.OK() {
			t.Fatal(r)
		}

		floor := w.cursor().Floor.Time()
		time.Sleep(5 * time.Hour)
		w.add(floor, 0)
		w.add(floor.Add(time.Second), 0)
		around(time.Now().Add(-10 * time.Minute)) // where catching up ends
		w.burst(1500, 7)                          // more than a poll reads
		i = w.start()
		time.Sleep(2 * time.Hour)
		w.must(i.stop())
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
	})
}

// History that was read once is not asked of the topic again: with event times a
// start may be older by now than what the topic keeps.
func TestRetentionEatsBackfillOnlyWhereHistoryIsLeft(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = 6 * time.Hour
		w.cfg.Kafka.Timestamp = connector.TimestampEvent
		w.cfg.Kafka.Retention = 10 * 24 * time.Hour
		began := time.Now()
		w.backfill(began.Add(-8 * 24 * time.Hour))
		w.api.Generate(500, w.since, auditlog.SecondOf(began))
		i := w.start()
		time.Sleep(3 * 24 * time.Hour)
		w.must(i.stop())
		i = w.start()
		time.Sleep(10 * time.Minute)
		select {
		case <-i.done:
			t.Fatalf("it ended with %v", i.err)
		default:
		}
		w.must(i.stop())
		// More than the topic keeps is refused, with the setting that asked for it.
		w.cfg.Organizations[0].BackfillSetting = "ORGANIZATIONS_1_BACKFILL_START_TIME"
		w.backfill(time.Now().Add(-20 * 24 * time.Hour))
		i = w.start()
		<-i.done
		if !errors.Is(i.err, connector.ErrRefused) || !strings.Contains(i.err.Error(), "ask for less with ORGANIZATIONS_1_BACKFILL_START_TIME") {
			t.Errorf("it ended with %v", i.err)
		}
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// put writes a record where the organization's state is, as somebody else would.
func (w inKafka) put(key string, value []byte) { w.kafka().putFor("default", key, value) }

func (w inKafka) putFor(organization, key string, value []byte) {
	w.t.Helper()
	details, err := w.cluster.Admin().ListTopics(w.t.Context(), w.cfg.Kafka.OffsetsTopic)
	w.must(err)
	r := &kgo.Record{
		Topic: w.cfg.Kafka.OffsetsTopic, Key: []byte(key), Value: value,
		Partition: txlog.Partition(organization, int32(len(details[w.cfg.Kafka.OffsetsTopic].Partitions))),
	}
	w.must(w.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(w.t.Context(), r).FirstErr())
}

// seenKeys are the keys of the records of seen ids that stand in the offsets topic.
func (w inKafka) seenKeys() []string {
	stands := map[string]bool{}
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		if strings.HasPrefix(string(r.Key), "seen/") {
			stands[string(r.Key)] = r.Value != nil
		}
	}
	maps.DeleteFunc(stands, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(stands))
}

// ensureOffsets makes the offsets topic as the connector would.
func (w inKafka) ensureOffsets() {
	w.cluster.CreateTopic(w.cfg.Kafka.OffsetsTopic, 16, map[string]string{"cleanup.policy": "compact"})
}

// ends returns where each partition of the world's topics ends.
func (w inKafka) ends() map[string]int64 {
	w.t.Helper()
	ends := map[string]int64{}
	for _, topic := range []string{w.cfg.Kafka.Topic, w.cfg.Kafka.DLQTopic, w.cfg.Kafka.OffsetsTopic} {
		if !w.kafka().exists(topic) {
			continue
		}
		offsets, err := w.cluster.Admin().ListEndOffsets(w.t.Context(), topic)
		w.must(errors.Join(err, offsets.Error()))
		offsets.Each(func(o kadm.ListedOffset) { ends[fmt.Sprintf("%s/%d", topic, o.Partition)] = o.Offset })
	}
	return ends
}

// awaitMarkers waits until what was committed is stable.
func (w inKafka) awaitMarkers() {
	w.t.Helper()
	w.cluster.AwaitMarkers(w.t, w.cfg.Kafka.Topic, w.cfg.Kafka.DLQTopic, w.cfg.Kafka.OffsetsTopic)
}

// remake deletes the topic and makes it again, empty.
func (w inKafka) remake(topic string, partitions int32) {
	w.t.Helper()
	admin := w.cluster.Admin()
	described, err := admin.DescribeTopicConfigs(w.t.Context(), topic)
	w.must(err)
	config := map[string]string{}
	for _, c := range described[0].Configs {
		if c.Key == "cleanup.policy" {
			config[c.Key] = c.MaybeValue()
		}
	}
	_, err = admin.DeleteTopic(w.t.Context(), topic)
	w.must(err)
	eventually(w.t, 20*time.Second, "the topic is gone", func() bool { return !w.kafka().exists(topic) })
	w.cluster.CreateTopic(topic, partitions, config)
}

// alter changes a setting of the topic, and waits until the broker tells it so: it
// describes topics from what has reached it.
func (w inKafka) alter(topic, name, value string) {
	w.t.Helper()
	admin := w.cluster.Admin()
	responses, err := admin.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	w.must(err)
	w.must(responses[0].Err)
	eventually(w.t, 20*time.Second, topic+" has "+name+"="+value, func() bool {
		described, err := admin.DescribeTopicConfigs(w.t.Context(), topic)
		w.must(err)
		return slices.ContainsFunc(described[0].Configs, func(c kadm.Config) bool { return c.Key == name && c.MaybeValue() == value })
	})
}

// empty deletes all records of the topic.
func (w inKafka) empty(topic string) { w.kafka().emptyBefore(topic, func() {}) }

// emptyBefore deletes the records that the topic has before what is done, and does
// that. The topic is compacted: Kafka lets nobody delete records while it is.
func (w inKafka) emptyBefore(topic string, do func()) {
	w.t.Helper()
	admin := w.cluster.Admin()
	ends, err := admin.ListEndOffsets(w.t.Context(), topic)
	w.must(err)
	do()
	w.kafka().alter(topic, "cleanup.policy", "delete")
	defer w.kafka().alter(topic, "cleanup.policy", "compact")
	// A broker tells a new policy a moment before its log goes by it.
	eventually(w.t, time.Minute, "records may be deleted", func() bool {
		deleted, err := admin.DeleteRecords(w.t.Context(), ends.Offsets())
		if err = errors.Join(err, deleted.Error()); errors.Is(err, kerr.PolicyViolation) {
			return false
		}
		w.must(err)
		return true
	})
}

// addPartitions adds so many partitions to the offsets topic that the state
// belongs in another one.
func (w inKafka) addPartitions() {
	w.t.Helper()
	const was = 16
	n := int32(was + 1)
	for txlog.Partition("default", n) == txlog.Partition("default", was) {
		n++
	}
	responses, err := w.cluster.Admin().UpdatePartitions(w.t.Context(), int(n), w.cfg.Kafka.OffsetsTopic)
	w.must(errors.Join(err, responses.Error()))
	eventually(w.t, 20*time.Second, "the partitions are there", func() bool {
		details, err := w.cluster.Admin().ListTopics(w.t.Context(), w.cfg.Kafka.OffsetsTopic)
		return err == nil && len(details[w.cfg.Kafka.OffsetsTopic].Partitions) == int(n)
	})
}

// logLines is a log that can be read while it is written.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
