package txlog

import (
	"context"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Follower looks at the state in a partition again and again, and reads each time
// only what is new. It fences no instance and writes nothing. It must be closed.
type Follower struct {
	reader *kafka.Reader
	wanted func(key string) bool
	state  map[string][]byte
}

// Follow returns a follower that has read nothing yet, and begins at the offset from, or
// at kafka.LogStart. It ends with ctx.
func Follow(ctx context.Context, conn kafka.Connection, topic string, partition int32, from int64, wanted func(key string) bool) (*Follower, error) {
	reader, err := kafka.NewReader(ctx, conn, topic, partition, from)
	if err != nil {
		return nil, err
	}
	return &Follower{reader, wanted, map[string][]byte{}}, nil
}

// Look returns the state as it is committed now. ctx must have a deadline. After an
// error the follower can go on.
func (f *Follower) Look(ctx context.Context) (map[string][]byte, error) {
	offsets, err := f.reader.Offsets(ctx)
	if err == nil {
		err = f.reader.ReadTo(ctx, offsets.Stable, func(r *kgo.Record) error { keep(f.state, f.wanted, r); return nil })
	}
	if err != nil {
		return nil, kafka.Explained("looking at the state", err)
	}
	return maps.Clone(f.state), nil
}

// Position returns the offset from which the next look goes on.
func (f *Follower) Position() int64 { return f.reader.Position() }

// Close ends the follower's connections.
func (f *Follower) Close() { f.reader.Close() }
