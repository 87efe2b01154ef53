package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicPartitionBytes is what a read of a whole topic fetches of each partition at once, at
// least. All of its partitions together fetch no more than a Reader does, where that allows.
const topicPartitionBytes = 64 << 10

// ReadTopic passes the committed records of the first partitions of a topic to fn. part chooses
// which offsets are read, by what each partition has now. Records of one partition come in their
// order. An error of fn ends it as it is.
//
// It asks for all partitions together. A client for each took a hundred organizations that
// started for the first time four times as long, and sixteen times the connections. Each
// broker has a fetch of its own under way: with one for all, a broker that has nothing more
// would keep the others waiting for as long as it waits for records.
//
// ctx must end some time, as for Reader.ReadTo.
func ReadTopic(ctx context.Context, conn Connection, topic string, partitions int32, part func(partition int32, now Offsets) Span, fn func(*kgo.Record) error) error {
	client, err := readerClient(ctx, conn, max(topicPartitionBytes, fetchMaxBytes/max(1, partitions)), false)
	if err != nil {
		return err
	}
	defer client.Close()
	offsets, err := ListOffsets(ctx, client, topic)
	if err != nil {
		return err
	}
	left, from := map[int32]Span{}, map[int32]kgo.Offset{}
	for p := range partitions {
		o, ok := offsets[p]
		if !ok {
			return fmt.Errorf("listing the offsets of %s, partition %d: %w", topic, p, kerr.UnknownTopicOrPartition)
		}
		if s := part(p, o); s.Next < s.End {
			left[p], from[p] = s, kgo.NewOffset().At(s.Next)
		}
	}
	if len(left) == 0 {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return readSpans(ctx, client, topic, left, fn)
}

// Span is what is to be read of a partition: the offsets [Next, End).
type Span struct{ Next, End int64 }

// readSpans passes what is left of the partitions, until nothing is.
func readSpans(ctx context.Context, client *kgo.Client, topic string, left map[int32]Span, fn func(*kgo.Record) error) error {
	var last error // why the brokers did not answer, if they said
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		for r := range fetches.RecordsAll() {
			s, ok := left[r.Partition]
			if !ok {
				continue // it was read to its end
			}
			if r.Offset < s.End && !r.Attrs.IsControl() {
				if err := fn(r); err != nil {
					return err
				}
			}
			// Compaction leaves gaps: a record may lie far behind the end, and then nothing
			// before it is left.
			if s.Next = r.Offset + 1; s.Next >= s.End {
				delete(left, r.Partition)
				client.PauseFetchPartitions(map[string][]int32{topic: {r.Partition}}) // or it is fetched on
				continue
			}
			left[r.Partition] = s
		}
		for p, s := range left {
			if ctx.Err() != nil {
				return &ReadError{Topic: topic, Partition: p, Position: s.Next, End: s.End, Err: errors.Join(context.Cause(ctx), last)}
			}
		}
		// As in Reader.ReadTo: what kgo tries again by itself is only remembered.
		for _, fetch := range fetches.Errors() {
			s, wanted := left[fetch.Partition]
			if !wanted && fetch.Topic == topic {
				continue // it was read to its end
			}
			if last = fetch.Err; !kerr.IsRetriable(last) {
				return &ReadError{Topic: topic, Partition: fetch.Partition, Position: s.Next, End: s.End, Err: last}
			}
		}
	}
	return nil
}
