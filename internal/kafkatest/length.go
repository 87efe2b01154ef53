package kafkatest

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Length asks how long topics are, again and again over the same connections.
// Topics are counted together, markers as well as records, and one that is not
// there yet has nothing.
type Length struct{ admin *kadm.Client }

// Length returns a Length. The caller closes it.
func (c *Cluster) Length() (*Length, error) {
	client, err := kgo.NewClient(c.clientOptions()...)
	if err != nil {
		return nil, err
	}
	return &Length{kadm.NewClient(client)}, nil
}

// Close ends the connections.
func (l *Length) Close() { l.admin.Close() }

// Committed counts up to the last stable offset: what a read_committed consumer
// could have.
func (l *Length) Committed(ctx context.Context, topics ...string) (int64, error) {
	return sum(l.admin.ListCommittedOffsets(ctx, topics...))
}

// Written counts up to the high watermark: what is in the log, decided or not.
func (l *Length) Written(ctx context.Context, topics ...string) (int64, error) {
	return sum(l.admin.ListEndOffsets(ctx, topics...))
}

func sum(offsets kadm.ListedOffsets, err error) (total int64, _ error) {
	offsets.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			total += o.Offset
		}
	})
	return total, err
}
