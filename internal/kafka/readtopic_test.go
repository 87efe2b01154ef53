package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// stable and end choose what is read of a partition: from its start, up to one of its ends.
func stable(_ int32, o kafka.Offsets) kafka.Span { return kafka.Span{Next: o.Start, End: o.Stable} }
func end(_ int32, o kafka.Offsets) kafka.Span    { return kafka.Span{Next: o.Start, End: o.End} }

// A topic is read whole and in the order of each partition, by one client: without what
// was aborted, and without what is open.
func TestReadTopic(t *testing.T) {
	broker := cluster(t, kfake.SeedTopics(4, topic))
	l := log{t, connection(broker)}
	put := func(id string, values map[int32][]string) *kgo.Client {
		cl := client(t, l.conn, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		must(t, cl.BeginTransaction())
		for p, all := range values {
			for _, v := range all {
				must(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: []byte(v)}).FirstErr())
			}
		}
		return cl
	}
	must(t, put("a", map[int32][]string{0: {"a0", "b0"}, 2: {"a2"}}).EndTransaction(t.Context(), kgo.TryCommit))
	must(t, put("b", map[int32][]string{0: {"no"}, 1: {"no"}, 2: {"no"}}).EndTransaction(t.Context(), kgo.TryAbort))
	must(t, put("c", map[int32][]string{2: {"b2"}}).EndTransaction(t.Context(), kgo.TryCommit))
	open := put("d", map[int32][]string{0: {"c0"}})
	var requests int
	broker.ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		requests++
		return nil, nil, false
	})
	read := func(ctx context.Context, part func(int32, kafka.Offsets) kafka.Span) (map[int32][]string, error) {
		got := map[int32][]string{}
		err := kafka.ReadTopic(ctx, l.conn, topic, 4, part, func(r *kgo.Record) error {
			got[r.Partition] = append(got[r.Partition], string(r.Value))
			return nil
		})
		return got, err
	}
	got, err := read(deadline(t, time.Minute), stable)
	must(t, err)
	want := map[int32][]string{0: {"a0", "b0"}, 2: {"a2", "b2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The beginnings, the stable ends and the ends: three requests for all four partitions.
	if requests != 3 {
		t.Errorf("%d requests for offsets", requests)
	}

	// What is open holds it up, until ctx ends.
	ctx, cancel := context.WithCancel(deadline(t, time.Minute))
	defer cancel()
	passed := 0
	err = kafka.ReadTopic(ctx, l.conn, topic, 4, end, func(*kgo.Record) error {
		if passed++; passed == 4 {
			cancel()
		}
		return nil
	})
	if _, ok := errors.AsType[*kafka.ReadError](err); !ok || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want a ReadError", err)
	}
	must(t, open.EndTransaction(t.Context(), kgo.TryCommit))
	got, err = read(deadline(t, time.Minute), end)
	must(t, err)
	want[0] = append(want[0], "c0")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadTopicEndsWithItsErrors(t *testing.T) {
	l := newLog(t)
	l.commit("a", "b")
	enough := errors.New("enough")
	read := func(topic string, partitions int32) error {
		return kafka.ReadTopic(deadline(t, time.Minute), l.conn, topic, partitions, end, func(*kgo.Record) error { return enough })
	}
	if err := read(topic, 1); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	for _, err := range []error{read("missing", 1), read(topic, 2)} {
		if kafka.Classify(err) != kafka.ClassTopic {
			t.Errorf("%s, %v", kafka.Classify(err), err)
		}
	}
}

// With several brokers, one whose partitions are read to their end keeps no other waiting:
// it would for five seconds, at each of some thirty fetches.
func TestReadTopicOfSeveralBrokers(t *testing.T) {
	broker := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, topic))
	conn := connection(broker)
	cl := client(t, conn, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	put := func(partition int32, records, size int) {
		for range records {
			must(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: make([]byte, size)}).FirstErr())
		}
	}
	for p := range int32(6) {
		put(p, 1, 10)
	}
	put(4, 64, 50_000)
	read := 0
	must(t, kafka.ReadTopic(deadline(t, time.Minute), conn, topic, 6, end, func(*kgo.Record) error { read++; return nil }))
	if read != 70 {
		t.Errorf("%d records, want 70", read)
	}
}
