package txlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Peek returns the state in a partition as it is committed now. It fences nobody
// and writes nothing, so it may be old by the time it returns.
func Peek(ctx context.Context, conn kafka.Connection, topic string, partition int32, wanted func(key string) bool) (map[string][]byte, error) {
	state := map[string][]byte{}
	err := readStable(ctx, conn, topic, partition, func(r *kgo.Record) error {
		keep(state, wanted, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w: %s", err, kafka.Explain(err))
	}
	return state, nil
}

// PeekAll is Peek for each of the topic's partitions.
func PeekAll(ctx context.Context, conn kafka.Connection, topic string, partitions int32, wanted func(key string) bool) ([]map[string][]byte, error) {
	all := make([]map[string][]byte, partitions)
	for p := range partitions {
		state, err := Peek(ctx, conn, topic, p, wanted)
		if err != nil {
			return nil, err
		}
		all[p] = state
	}
	return all, nil
}

// Holds reports whether the topic holds a committed record with the header. It
// may have to read all of the topic for that.
func Holds(ctx context.Context, conn kafka.Connection, topic string, partitions int32, header Header) (bool, error) {
	for p := range partitions {
		err := readStable(ctx, conn, topic, p, func(r *kgo.Record) error {
			for _, h := range r.Headers {
				if h.Key == header.Key && string(h.Value) == string(header.Value) {
					return errFound
				}
			}
			return nil
		})
		if errors.Is(err, errFound) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("looking through %s: %w: %s", topic, err, kafka.Explain(err))
		}
	}
	return false, nil
}

var errFound = errors.New("found")

func readStable(ctx context.Context, conn kafka.Connection, topic string, partition int32, fn func(*kgo.Record) error) error {
	reader, err := kafka.NewReader(conn, topic, partition, kafka.LogStart)
	if err != nil {
		return err
	}
	defer reader.Close()
	offsets, err := reader.Offsets(ctx)
	if err != nil {
		return err
	}
	return reader.ReadTo(ctx, offsets.Stable, fn)
}
