package txlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// world is the log of one owner, and the truth about it: what became of each
// commit. Its one oracle is check, which every open runs.
type world struct {
	tb      testing.TB
	c       *kafkatest.Cluster
	cfg     txlog.Config
	events  string
	batches []outcome // by number, in the order of the commits
}

// outcome is what is known of a batch.
type outcome string

const (
	confirmed   outcome = "confirmed"
	unconfirmed outcome = "unconfirmed" // all of it or nothing; the next open says which
	absent      outcome = "absent"      // an open did not find it, so it must never appear
)

// newWorld makes the topics: of events with two partitions, of the state with one.
func newWorld(tb testing.TB, c *kafkatest.Cluster) *world {
	tb.Helper()
	w := &world{tb: tb, c: c, events: c.Name("events")}
	// Without this, real Kafka soon deletes what carries the time of an old event.
	c.CreateTopic(w.events, 2, map[string]string{"retention.ms": "-1"})
	w.cfg = txlog.Config{
		Connection:      kafka.Connection{Brokers: c.Brokers(), ClientID: "test", Dial: c.Dial},
		TransactionalID: c.Name("writer"),
		Topic:           c.Name("offsets"),
		Keep:            func(key string) bool { return strings.HasPrefix(key, "acme/") },
		StopGrace:       8 * time.Second,
		Logger:          slog.New(slog.DiscardHandler),
	}
	c.CreateTopic(w.cfg.Topic, 1, map[string]string{"cleanup.policy": "compact"})
	return w
}

// through returns the settings of a writer whose connections go through the proxy.
func (w *world) through(p *kafkatest.Proxy) txlog.Config {
	cfg := w.cfg
	cfg.Connection.Dial = p.Dial
	return cfg
}

// records returns the events of a batch. Their number differs, their keys spread
// over both partitions.
func (w *world) records(batch int) []kafka.Message {
	records := make([]kafka.Message, 2+batch%3)
	for i := range records {
		id := fmt.Sprintf("event %d.%d", batch, i)
		records[i] = kafka.Message{Topic: w.events, Key: []byte(id), Value: []byte(id)}
	}
	return records
}

// changes returns what a batch does to the state: it always moves the cursor, and
// every third batch removes a key that one before it wrote.
func changes(batch int) []txlog.Change {
	value := fmt.Append(nil, batch)
	all := []txlog.Change{{Key: "acme/cursor", Value: value}, {Key: fmt.Sprintf("acme/seen/%d", batch%4), Value: value}}
	if batch%3 == 2 {
		all = append(all, txlog.Change{Key: fmt.Sprintf("acme/seen/%d", (batch-1)%4)})
	}
	return all
}

// commit writes the next batch, with the records on top, and notes its outcome.
func (w *world) commit(ctx context.Context, log *txlog.Log, more ...kafka.Message) error {
	w.tb.Helper()
	batch := len(w.batches)
	w.batches = append(w.batches, unconfirmed)
	err := log.Commit(ctx, append(w.records(batch), more...), changes(batch))
	if err == nil {
		w.batches[batch] = confirmed
		return nil
	}
	wantOneKind(w.tb, err)
	return err
}

func wantOneKind(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, txlog.ErrFenced) == errors.Is(err, txlog.ErrUnconfirmed) {
		tb.Errorf("%v wraps not exactly one of ErrFenced and ErrUnconfirmed", err)
	}
}

func (w *world) mustCommit(log *txlog.Log) {
	w.tb.Helper()
	if err := w.commit(w.tb.Context(), log); err != nil {
		w.tb.Fatalf("committing on a healthy broker: %v", err)
	}
}

// open opens the log as cfg says, and compares what it reads with the truth.
func (w *world) open(cfg txlog.Config) *txlog.Log {
	w.tb.Helper()
	// Below the three minutes that Open gives itself: a test that hangs says where.
	ctx, cancel := context.WithTimeout(w.tb.Context(), time.Minute)
	defer cancel()
	log, err := w.tryOpen(ctx, cfg)
	if err != nil {
		w.tb.Fatalf("opening on a healthy broker: %v", err)
	}
	return log
}

// tryOpen is open where it may fail.
func (w *world) tryOpen(ctx context.Context, cfg txlog.Config) (*txlog.Log, error) {
	w.tb.Helper()
	log, state, err := txlog.Open(ctx, cfg)
	if err != nil {
		wantOneKind(w.tb, err)
		return nil, err
	}
	w.tb.Cleanup(log.Close)
	w.check(state)
	return log, nil
}

// check is the oracle. What read_committed consumers see of the events, and the
// state that an Open has just read, must be what was confirmed, and of each
// unconfirmed batch all or nothing, the same in both.
func (w *world) check(state map[string][]byte) {
	w.tb.Helper()
	seen := map[string]int{}
	for _, r := range w.c.Read(w.tb, w.events, kgo.ReadCommitted()) {
		seen[string(r.Value)]++
	}
	want := map[string][]byte{}
	for batch, was := range w.batches {
		records, found := w.records(batch), 0
		for _, r := range records {
			if n := seen[string(r.Value)]; n > 1 {
				w.tb.Errorf("%s is in the topic %d times", r.Value, n)
			} else {
				found += n
			}
			delete(seen, string(r.Value))
		}
		switch {
		case found == len(records):
			if was == absent {
				w.tb.Errorf("batch %d had not happened, and appeared", batch)
			}
			w.batches[batch] = confirmed
			for _, c := range changes(batch) {
				if want[c.Key] = c.Value; c.Value == nil {
					delete(want, c.Key)
				}
			}
		case found > 0:
			w.tb.Errorf("%d of %d events of batch %d (%s) are in the topic", found, len(records), batch, was)
		case was == confirmed:
			w.tb.Errorf("batch %d was confirmed, and is not in the topic", batch)
		default:
			w.batches[batch] = absent
		}
	}
	for value, n := range seen {
		w.tb.Errorf("%q is in the topic %d times, and nobody wrote it", value, n)
	}
	if diff := cmp.Diff(want, state); diff != "" {
		w.tb.Errorf("the state is not that of the batches in the topic (-want +got):\n%s", diff)
	}
}

// reopened closes the case: after whatever the test did, a fresh writer opens,
// commits, and the next one finds it.
func (w *world) reopened() {
	w.tb.Helper()
	log := w.open(w.cfg)
	w.mustCommit(log)
	log.Close()
	w.open(w.cfg).Close()
}

// happened reports whether the last batch did, by what an open found.
func (w *world) happened() bool { return w.batches[len(w.batches)-1] == confirmed }
