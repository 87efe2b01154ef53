package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

const topic = "t"

// log is a one-partition topic and the one that fills it.
type log struct {
	t    *testing.T
	conn kafka.Connection
}

func newLog(t *testing.T) log {
	return log{t, connection(cluster(t, kfake.SeedTopics(1, topic)))}
}

// begin writes values in a transaction and leaves it open.
func (l log) begin(id string, values ...string) *kgo.Client {
	l.t.Helper()
	cl := client(l.t, l.conn, kgo.TransactionalID(id))
	must(l.t, cl.BeginTransaction())
	for _, v := range values {
		must(l.t, cl.ProduceSync(l.t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr())
	}
	return cl
}

func (l log) commit(values ...string) {
	l.t.Helper()
	must(l.t, l.begin("commit", values...).EndTransaction(l.t.Context(), kgo.TryCommit))
}

func (l log) abort(values ...string) {
	l.t.Helper()
	must(l.t, l.begin("abort", values...).EndTransaction(l.t.Context(), kgo.TryAbort))
}

func (l log) trim(offset int64) {
	l.t.Helper()
	var to kadm.Offsets
	to.AddOffset(topic, 0, offset, -1)
	_, err := kadm.NewClient(client(l.t, l.conn)).DeleteRecords(l.t.Context(), to)
	must(l.t, err)
}

func (l log) reader(from int64) *kafka.Reader {
	l.t.Helper()
	r, err := kafka.NewReader(l.t.Context(), l.conn, topic, 0, from)
	must(l.t, err)
	l.t.Cleanup(r.Close)
	return r
}

func offsets(t *testing.T, r *kafka.Reader) kafka.Offsets {
	t.Helper()
	o, err := r.Offsets(t.Context())
	must(t, err)
	return o
}

func values(ctx context.Context, r *kafka.Reader, end int64) (got []string, err error) {
	err = r.ReadTo(ctx, end, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		return nil
	})
	return got, err
}

func TestMarkerAtEnd(t *testing.T) {
	tests := []struct {
		name string
		fill func(log)
		from int64
		want []string
	}{
		{"a log that never held anything", func(log) {}, kafka.LogStart, nil},
		{"a commit marker last", func(l log) { l.commit("a", "b") }, kafka.LogStart, []string{"a", "b"}},
		{"an abort marker last", func(l log) { l.commit("a"); l.abort("x", "y") }, kafka.LogStart, []string{"a"}},
		{"nothing but an aborted transaction", func(l log) { l.abort("x") }, kafka.LogStart, nil},
		{"trimmed to its end", func(l log) { l.commit("a"); l.trim(2) }, kafka.LogStart, nil},
		{"trimmed to a marker", func(l log) { l.commit("a"); l.trim(1) }, kafka.LogStart, nil},
		{"trimmed in the middle", func(l log) { l.commit("a"); l.commit("b"); l.trim(2) }, kafka.LogStart, []string{"b"}},
		{"trimmed behind the offset asked for", func(l log) { l.commit("a"); l.commit("b"); l.trim(2) }, 0, []string{"b"}},
		{"from an offset inside", func(l log) { l.commit("a", "b", "c") }, 1, []string{"b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLog(t)
			tt.fill(l)
			r := l.reader(tt.from)
			end := offsets(t, r).End
			got, err := values(deadline(t, 10*time.Second), r, end)
			must(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if r.Position() != end {
				t.Errorf("the reader stands at %d, not at the end %d", r.Position(), end)
			}
		})
	}
}

// A reader that stopped at an end goes on without losing what it had fetched
// behind it, nor passing it twice.
func TestGoesOnWhereItStopped(t *testing.T) {
	l := newLog(t)
	l.commit("a", "b", "c", "d")
	r := l.reader(kafka.LogStart)
	ctx := deadline(t, 10*time.Second)
	for _, step := range []struct {
		end  int64
		want []string
	}{{1, []string{"a"}}, {1, nil}, {0, nil}, {3, []string{"b", "c"}}, {5, []string{"d"}}} {
		got, err := values(ctx, r, step.end)
		must(t, err)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("to %d: %s", step.end, diff)
		}
	}
	l.commit("e")
	got, err := values(ctx, r, offsets(t, r).End)
	must(t, err)
	if diff := cmp.Diff([]string{"e"}, got); diff != "" {
		t.Error(diff)
	}
}

// Another producer's open transaction stops a read to the high watermark; one
// to the last stable offset is over at once. When the other is fenced, the same
// reader goes on.
func TestOpenTransactionHoldsTheReadUp(t *testing.T) {
	l := newLog(t)
	l.commit("a")
	l.begin("other", "x")
	r := l.reader(kafka.LogStart)
	o := offsets(t, r)
	if want := (kafka.Offsets{Start: 0, Stable: 2, End: 3}); o != want {
		t.Fatalf("offsets %+v, want %+v", o, want)
	}
	got, err := values(deadline(t, 10*time.Second), r, o.Stable)
	must(t, err)
	if diff := cmp.Diff([]string{"a"}, got); diff != "" {
		t.Error(diff)
	}

	_, err = values(deadline(t, 300*time.Millisecond), r, o.End)
	stuck, ok := errors.AsType[*kafka.ReadError](err)
	if !ok || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a ReadError of the deadline", err)
	}
	if stuck.Topic != topic || stuck.Position != 2 || stuck.End != 3 {
		t.Errorf("the error says %+v", stuck)
	}

	_, _, err = client(t, l.conn, kgo.TransactionalID("other")).ProducerID(t.Context())
	must(t, err)
	got, err = values(deadline(t, 10*time.Second), r, offsets(t, r).End)
	must(t, err)
	if len(got) != 0 {
		t.Errorf("read %v of an aborted transaction", got)
	}
}

func TestReadEndsWithTheErrorOfItsFunction(t *testing.T) {
	l := newLog(t)
	l.commit("a", "b")
	r := l.reader(kafka.LogStart)
	enough := errors.New("enough")
	err := r.ReadTo(deadline(t, 10*time.Second), 3, func(*kgo.Record) error { return enough })
	if !errors.Is(err, enough) || r.Position() != 1 {
		t.Errorf("got %v at %d", err, r.Position())
	}
}

func TestReadOfNoSuchPartition(t *testing.T) {
	l := newLog(t)
	for _, r := range []struct {
		topic     string
		partition int32
	}{{"missing", 0}, {topic, 7}} {
		reader, err := kafka.NewReader(l.t.Context(), l.conn, r.topic, r.partition, kafka.LogStart)
		must(t, err)
		defer reader.Close()
		err = reader.ReadTo(deadline(t, 10*time.Second), 1, nil)
		if kafka.Classify(err) != kafka.ClassTopic {
			t.Errorf("%v: %s, %v", r, kafka.Classify(err), err)
		}
	}
}

func TestListOffsetsOfAllPartitions(t *testing.T) {
	conn := connection(cluster(t, kfake.SeedTopics(3, topic)))
	got, err := kafka.ListOffsets(t.Context(), client(t, conn), topic)
	must(t, err)
	if diff := cmp.Diff(map[int32]kafka.Offsets{0: {}, 1: {}, 2: {}}, got); diff != "" {
		t.Error(diff)
	}
}
