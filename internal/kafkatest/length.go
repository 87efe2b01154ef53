package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"

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

// AwaitMarkers waits until the transactions that were committed are over for
// read_committed consumers too: a broker answers the end of a transaction before it
// writes its markers, and a read up to the last stable offset in between finds the
// state before.
func (c *Cluster) AwaitMarkers(t testing.TB, topics ...string) {
	t.Helper()
	length, err := c.Length()
	if err != nil {
		t.Fatal(err)
	}
	defer length.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), readPatience, errors.New("a transaction is open"))
	defer cancel()
	for {
		committed, err := length.Committed(ctx, topics...)
		if err != nil {
			t.Fatalf("waiting for markers: %v", err)
		}
		written, err := length.Written(ctx, topics...)
		if err != nil {
			t.Fatalf("waiting for markers: %v", err)
		}
		if committed == written {
			return
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("waiting for markers in %v, at %d of %d: %v", topics, committed, written, err)
		}
	}
}

func sum(offsets kadm.ListedOffsets, err error) (total int64, _ error) {
	offsets.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			total += o.Offset
		}
	})
	return total, err
}
