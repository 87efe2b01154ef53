package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Offsets says where a partition begins and ends.
type Offsets struct {
	Start  int64 // the oldest record that is still there
	Stable int64 // behind the last record that read_committed can see now
	End    int64 // the high watermark; behind Stable while a transaction is open
}

// ListOffsets returns the offsets of each partition of a topic.
func ListOffsets(ctx context.Context, client *kgo.Client, topic string) (map[int32]Offsets, error) {
	listed, err := list(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	offsets := make(map[int32]Offsets)
	for partition := range listed.end[topic] {
		if offsets[partition], err = listed.lookup(topic, partition); err != nil {
			return nil, err
		}
	}
	return offsets, nil
}

func listPartition(ctx context.Context, client *kgo.Client, topic string, partition int32) (Offsets, error) {
	listed, err := list(ctx, client, topic)
	if err != nil {
		return Offsets{}, err
	}
	return listed.lookup(topic, partition)
}

type listing struct{ start, stable, end kadm.ListedOffsets }

// list asks in the order start, stable, end: whatever moves meanwhile, Stable
// never lies behind End, and a start that retention has passed is found by kgo.
func list(ctx context.Context, client *kgo.Client, topic string) (l listing, err error) {
	admin := kadm.NewClient(client)
	if l.start, err = admin.ListStartOffsets(ctx, topic); err != nil {
		return l, fmt.Errorf("listing the start of %s: %w", topic, err)
	}
	if l.stable, err = admin.ListCommittedOffsets(ctx, topic); err != nil {
		return l, fmt.Errorf("listing the stable end of %s: %w", topic, err)
	}
	if l.end, err = admin.ListEndOffsets(ctx, topic); err != nil {
		return l, fmt.Errorf("listing the end of %s: %w", topic, err)
	}
	return l, nil
}

// lookup checks the error of each partition too: the error of the request is
// that of the transport only, and an offset of -1 looks like an empty log.
func (l listing) lookup(topic string, partition int32) (Offsets, error) {
	var found [3]int64
	for i, listed := range []kadm.ListedOffsets{l.start, l.stable, l.end} {
		offset, ok := listed.Lookup(topic, partition)
		if !ok {
			offset, ok = listed.Lookup(topic, -1) // where kadm puts the error of a topic
		}
		switch {
		case !ok:
			return Offsets{}, fmt.Errorf("listing the offsets of %s, partition %d: %w", topic, partition, kerr.UnknownTopicOrPartition)
		case offset.Err != nil:
			return Offsets{}, fmt.Errorf("listing the offsets of %s, partition %d: %w", topic, partition, offset.Err)
		case offset.Offset < 0:
			return Offsets{}, fmt.Errorf("listing the offsets of %s, partition %d: the broker answered %d", topic, partition, offset.Offset)
		}
		found[i] = offset.Offset
	}
	return Offsets{Start: found[0], Stable: found[1], End: found[2]}, nil
}
