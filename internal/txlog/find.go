package txlog

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// Hanging is a transaction that hangs in a partition, as it can be seen without fencing
// any instance.
type Hanging struct {
	kafka.OpenTransaction
	TransactionalID string // whose it is; empty if no coordinator knows, or says so
}

// Hidden is a partition in which this user has no right to see what is open.
type Hidden struct {
	kafka.Partition
	Stable int64 // its last stable offset; while it stays, what is open is the same
}

// OutlastsNeighbours is longer than a neighbour's transaction stays open after its
// writer is gone: its timeout, and the broker's sweep.
const OutlastsNeighbours = TransactionTimeout + 20*time.Second

// Hang is what Hangs found.
type Hang struct {
	Hanging []Hanging
	// Hidden are partitions whose last stable offset stays behind for a reason that we
	// may not see: the right READ on the topic is missing.
	Hidden []Hidden
	// Stable says that nothing is open in any partition, and that each of them answered.
	Stable bool
}

// Hangs looks for transactions that hang in the topics. It fences and disturbs no
// instance.
//
// It looks at the partitions, then at the coordinators, then at the partitions again:
// what is open both times from the same offset on, and was not open for its
// coordinator in between, will never end by itself.
func Hangs(ctx context.Context, client *kgo.Client, topics ...string) (Hang, error) {
	partitions, err := kafka.Partitions(ctx, client, topics...)
	if err != nil {
		return Hang{}, err
	}
	behind, all, err := unstable(ctx, client, partitions)
	if err != nil || len(behind) == 0 {
		return Hang{Stable: all && err == nil}, err
	}
	before, hidden, err := kafka.OpenTransactions(ctx, client, behind)
	if err != nil {
		return Hang{}, err
	}
	var found Hang
	ends, err := kafka.Ends(ctx, client, hidden, false)
	if err != nil && len(hidden) > 0 {
		return Hang{}, err
	}
	suspects, err := abandoned(ctx, client, before)
	if err != nil {
		return Hang{}, err
	}
	if len(suspects)+len(hidden) == 0 {
		return Hang{}, nil
	}
	if len(hidden) > 0 {
		// Only time shows whether it goes on.
		if err := pause.For(ctx, 2*time.Second); err != nil {
			return Hang{}, err
		}
		stable, err := kafka.Ends(ctx, client, hidden, true)
		if err != nil {
			return Hang{}, err
		}
		for _, p := range hidden {
			if at, told := stable[p]; told && at < ends[p] {
				if open, err := kafka.AnyOpenIn(ctx, client, p, ""); err != nil || !open {
					found.Hidden = append(found.Hidden, Hidden{p, at})
				}
			}
		}
	}
	after, _, err := kafka.OpenTransactions(ctx, client, behind)
	if err != nil {
		return Hang{}, err
	}
	for _, s := range suspects {
		same := func(t kafka.OpenTransaction) bool {
			return t.Partition == s.Partition && t.Producer == s.Producer && t.Start == s.Start
		}
		if slices.ContainsFunc(after, same) {
			found.Hanging = append(found.Hanging, s)
		}
	}
	return found, nil
}

// unstable returns the partitions in which something is open. One without a leader says
// nothing, and is left out: all is false then.
func unstable(ctx context.Context, client *kgo.Client, partitions []kafka.Partition) (behind []kafka.Partition, all bool, err error) {
	if len(partitions) == 0 {
		return nil, true, nil
	}
	stable, err := kafka.Ends(ctx, client, partitions, true)
	if err != nil {
		return nil, false, err
	}
	ends, err := kafka.Ends(ctx, client, partitions, false)
	if err != nil {
		return nil, false, err
	}
	all = len(stable) == len(partitions) && len(ends) == len(partitions)
	for _, p := range partitions {
		at, told := stable[p]
		if end, there := ends[p]; told && there && at < end {
			behind = append(behind, p)
		}
	}
	return behind, all, nil
}

// abandoned returns those that no coordinator has open.
func abandoned(ctx context.Context, client *kgo.Client, open []kafka.OpenTransaction) ([]Hanging, error) {
	if len(open) == 0 {
		return nil, nil
	}
	producers := make([]int64, len(open))
	for i, t := range open {
		producers[i] = t.Producer
	}
	known, err := kafka.CoordinatedOf(ctx, client, producers...)
	if err != nil {
		return nil, err
	}
	var out []Hanging
	for _, t := range open {
		id, is := ownerOf(known, t.Producer)
		switch {
		case is && known[id].Open():
		case !is && time.Since(t.LastWrite) < maxTransaction:
			// Of a neighbour whose transactional id we may not see, perhaps.
		default:
			out = append(out, Hanging{OpenTransaction: t, TransactionalID: id})
		}
	}
	return out, nil
}

func ownerOf(known map[string]kafka.Coordinated, producer int64) (id string, is bool) {
	for id, c := range known {
		if c.Producer == producer {
			return id, true
		}
	}
	return "", false
}
