package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readPatience is longer than most transactions may stay open, so that a read
// outlasts one that a killed process left behind only if its timeout is short.
const readPatience = 90 * time.Second

// Read returns the records of every partition of the topic up to the high
// watermark of this moment, each partition in order. Markers are read past, not
// returned. With kgo.ReadCommitted it waits for open transactions to end.
func (c *Cluster) Read(t testing.TB, topic string, isolation kgo.IsolationLevel) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readPatience)
	defer cancel()
	var records []*kgo.Record
	err := readerOf(c).scan(ctx, topic, isolation, func(r *kgo.Record) { records = append(records, r) })
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Aborted counts the records of the topics that no committed transaction has.
func Aborted(t testing.TB, c *Cluster, topics ...string) (n int) {
	t.Helper()
	for _, topic := range topics {
		n += len(c.Read(t, topic, kgo.ReadUncommitted())) - len(c.Read(t, topic, kgo.ReadCommitted()))
	}
	return n
}

// reader reads topics, with clients of its own.
type reader struct{ options []kgo.Opt }

func readerOf(c *Cluster) reader { return reader{c.clientOptions()} }

// scan hands over what Read returns, one record after the other.
func (r reader) scan(ctx context.Context, topic string, isolation kgo.IsolationLevel, take func(*kgo.Record)) error {
	starts, ends, err := r.bounds(ctx, topic)
	if err != nil {
		return err
	}
	// next is the offset still to come, of the partitions that are not done.
	next := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	for p, end := range ends {
		if starts[p] < end {
			next[p], from[p] = starts[p], kgo.NewOffset().At(starts[p])
		}
	}
	if len(next) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(slices.Clone(r.options),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(isolation),
		// A log of transactions ends in a marker, which is not delivered. Without
		// this a loop that counts records would wait for it for ever.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(next) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("reading %s: still at offsets %v of %v: %w: is a transaction open?", topic, next, ends, context.Cause(ctx))
		}
		for _, e := range fetches.Errors() {
			if kerr.IsRetriable(e.Err) {
				continue // a leader that moves, for example
			}
			return fmt.Errorf("reading %s, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			end := ends[record.Partition]
			if record.Offset < end && !record.Attrs.IsControl() {
				take(record)
			}
			if next[record.Partition] = record.Offset + 1; record.Offset+1 >= end {
				delete(next, record.Partition)
			}
		})
	}
	return nil
}

// bounds returns where each partition of the topic begins and ends. A broker that
// has just come back may not take connections yet, so it asks again for a while.
func (r reader) bounds(ctx context.Context, topic string) (starts, ends map[int32]int64, err error) {
	for deadline := time.Now().Add(20 * time.Second); ; {
		starts, ends, err = r.boundsNow(ctx, topic)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			return starts, ends, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (r reader) boundsNow(ctx context.Context, topic string) (starts, ends map[int32]int64, err error) {
	client, err := kgo.NewClient(r.options...)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	// The high watermark, not the last stable offset: that one stops short of
	// what was committed behind another producer's open transaction.
	for _, list := range []struct {
		of   func(context.Context, ...string) (kadm.ListedOffsets, error)
		into *map[int32]int64
	}{{admin.ListStartOffsets, &starts}, {admin.ListEndOffsets, &ends}} {
		offsets, err := list.of(ctx, topic)
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("asking for the offsets of %s: %w", topic, err)
		}
		*list.into = map[int32]int64{}
		offsets.Each(func(o kadm.ListedOffset) { (*list.into)[o.Partition] = o.Offset })
	}
	return starts, ends, nil
}
