package txlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Peek returns the state in a partition as it is committed now. It fences no instance
// and writes nothing, so it may be old by the time it returns.
func Peek(ctx context.Context, conn kafka.Connection, topic string, partition int32, wanted func(key string) bool) (map[string][]byte, error) {
	return peek(ctx, conn, topic, partition, wanted, stable)
}

// Settled is Peek, and waits for what is being written at this moment.
func Settled(ctx context.Context, conn kafka.Connection, topic string, partition int32, wanted func(key string) bool) (map[string][]byte, error) {
	return peek(ctx, conn, topic, partition, wanted, highWatermark)
}

func peek(ctx context.Context, conn kafka.Connection, topic string, partition int32, wanted func(key string) bool, to end) (map[string][]byte, error) {
	state := map[string][]byte{}
	err := read(ctx, conn, topic, partition, to, func(r *kgo.Record) error {
		keep(state, wanted, r)
		return nil
	})
	if err != nil {
		return nil, kafka.Explained("reading the state", err)
	}
	return state, nil
}

// PeekAll is Peek for each of the topic's partitions.
func PeekAll(ctx context.Context, conn kafka.Connection, topic string, partitions int32, wanted func(key string) bool) ([]map[string][]byte, error) {
	return peekAll(ctx, conn, topic, partitions, wanted, stable)
}

// SettledAll is PeekAll, and waits for what is being written at this moment. Of two
// writers that each commit and then call it, at least one sees what the other wrote.
func SettledAll(ctx context.Context, conn kafka.Connection, topic string, partitions int32, wanted func(key string) bool) ([]map[string][]byte, error) {
	return peekAll(ctx, conn, topic, partitions, wanted, highWatermark)
}

func peekAll(ctx context.Context, conn kafka.Connection, topic string, partitions int32, wanted func(key string) bool, to end) ([]map[string][]byte, error) {
	all := make([]map[string][]byte, partitions)
	for p := range all {
		all[p] = map[string][]byte{}
	}
	part := func(_ int32, now kafka.Offsets) kafka.Span { return kafka.Span{Next: now.Start, End: to(now)} }
	err := readAll(ctx, conn, topic, partitions, part, func(r *kgo.Record) error {
		keep(all[r.Partition], wanted, r)
		return nil
	})
	if err != nil {
		return nil, kafka.Explained("reading the state", err)
	}
	return all, nil
}

// end is the offset up to which a partition is read.
type end func(kafka.Offsets) int64

// stable is the end of what is decided: beyond it a transaction may be open.
func stable(o kafka.Offsets) int64 { return o.Stable }

// highWatermark is the end of all there is. A read up to it waits for the
// transactions that are open.
func highWatermark(o kafka.Offsets) int64 { return o.End }

// stallWait is how long a read of a topic may go without a record. It is longer than a
// transaction can stay open, its timeout and the broker's sweep, so that a read up to
// the high watermark fails only where nothing moves.
const stallWait = 90 * time.Second

// read passes what is committed in a partition to fn.
func read(ctx context.Context, conn kafka.Connection, topic string, partition int32, to end, fn func(*kgo.Record) error) error {
	where := fmt.Sprintf("%s, partition %d", topic, partition)
	return unlessStalled(ctx, where, fn, func(ctx context.Context, fn func(*kgo.Record) error) error {
		reader, err := kafka.NewReader(ctx, conn, topic, partition, kafka.LogStart)
		if err != nil {
			return err
		}
		defer reader.Close()
		offsets, err := reader.Offsets(ctx)
		if err != nil {
			return err
		}
		return reader.ReadTo(ctx, to(offsets), fn)
	})
}

// readAll is read for a part of each of a topic's partitions.
func readAll(ctx context.Context, conn kafka.Connection, topic string, partitions int32, part func(int32, kafka.Offsets) kafka.Span, fn func(*kgo.Record) error) error {
	return unlessStalled(ctx, topic, fn, func(ctx context.Context, fn func(*kgo.Record) error) error {
		return kafka.ReadTopic(ctx, conn, topic, partitions, part, fn)
	})
}

// unlessStalled reads, and ends it where nothing comes for stallWait.
func unlessStalled(ctx context.Context, where string, fn func(*kgo.Record) error, read func(context.Context, func(*kgo.Record) error) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := func() {
		cancel(fmt.Errorf("nothing came from %s for %v, and a transaction may be open there: %w",
			where, stallWait, context.DeadlineExceeded))
	}
	watch := time.AfterFunc(stallWait, stall)
	defer watch.Stop()
	err := read(ctx, func(r *kgo.Record) error {
		watch.Reset(stallWait)
		return fn(r)
	})
	if _, ok := errors.AsType[*kafka.ReadError](err); ok {
		return err // it has the cause, and says in which partition
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
