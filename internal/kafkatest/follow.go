package kafkatest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Arrival is a record as a read_committed consumer got it.
type Arrival struct {
	Topic, Key string
	// At is when the consumer had it.
	At time.Time
}

// Follow hands over every committed record of the topics, from their beginning
// and as they arrive, until ctx ends. The topics must be there.
func (c *Cluster) Follow(ctx context.Context, topics []string, take func(Arrival)) error {
	client, err := kgo.NewClient(append(c.clientOptions(),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		at := time.Now()
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("following %s, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			take(Arrival{Topic: r.Topic, Key: string(r.Key), At: at})
		})
	}
}

// CompareIDs is Compare for topics that are too large to be held: it looks at the
// keys of committed records alone, so nothing is ever Different or Unreadable.
func (c *Cluster) CompareIDs(ctx context.Context, truth iter.Seq[string], topic string) (Report, error) {
	found := map[string]int{}
	for id := range truth {
		found[id] = 0
	}
	r := Report{API: len(found)}
	err := readerOf(c).scan(ctx, topic, kgo.ReadCommitted(), func(record *kgo.Record) {
		r.Topic++
		id := string(record.Key)
		if _, wanted := found[id]; !wanted {
			r.Extra = append(r.Extra, id)
			return
		}
		found[id]++
	})
	for id, n := range found {
		switch {
		case n == 0:
			r.Missing = append(r.Missing, id)
		case n > 1:
			r.Doubled = append(r.Doubled, id)
		}
	}
	for _, list := range [][]string{r.Missing, r.Doubled, r.Extra} {
		slices.Sort(list)
	}
	return r, err
}
