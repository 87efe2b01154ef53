package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record as a Reader passes it, for the rooms that must not know the
// client's package.
type Record = kgo.Record

// HeaderOf returns the value of the record's first header of that name.
func HeaderOf(r *Record, name string) (value string, ok bool) {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value), true
		}
	}
	return "", false
}

// DescribeTopics is Describe with a client of its own.
func DescribeTopics(ctx context.Context, conn Connection, names ...string) (map[string]Topic, error) {
	client, err := conn.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return Describe(ctx, client, names...)
}

// TopicOffsets is ListOffsets with a client of its own, and the partitions in
// order.
func TopicOffsets(ctx context.Context, conn Connection, topic string) ([]Offsets, error) {
	client, err := conn.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	byPartition, err := ListOffsets(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	offsets := make([]Offsets, len(byPartition))
	for partition, o := range byPartition {
		if int(partition) >= len(offsets) {
			return nil, fmt.Errorf("listing the offsets of %s: partition %d of %d", topic, partition, len(offsets))
		}
		offsets[partition] = o
	}
	return offsets, nil
}
