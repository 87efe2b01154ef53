package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/membership"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// settleTime is how long after a fence the group may still tell that a partition
// was lost: its session timeout of six seconds, a heartbeat, and some. If nothing comes in
// that time, the one that fenced us is not of this group.
const settleTime = 9 * time.Second

// workInGroup works for those organizations whose partition of the offsets topic the
// consumer group assigns to this instance, and stands by for the others. It
// returns when ctx ends.
//
// The group makes takeovers quick, and no more than that. That only one instance writes is
// the fence's doing, at the start of each session: for some seconds two may both believe
// that a partition is theirs.
func (c *Connector) workInGroup(ctx context.Context, orgs []*organization, t *team) {
	for _, o := range orgs {
		o.shared = true
		o.telemetry.Leading(o.name, false)
		o.telemetry.Ready(o.name, "starting: joining consumer group "+c.cfg.Kafka.GroupID)
	}
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := c.takePart(ctx, orgs, t)
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrRefused) {
			t.fail(err)
			return
		}
		pause := backoff(attempt, kafka.Patience(err))
		for _, o := range orgs {
			o.telemetry.Ready(o.name, err.Error())
		}
		c.cfg.Logger.Error("taking part in the consumer group failed", "error", err, "backoff", pause.Round(time.Millisecond))
		if wait(ctx, pause) != nil {
			return
		}
	}
}

// takePart joins the group and stays in it until ctx ends.
func (c *Connector) takePart(ctx context.Context, orgs []*organization, t *team) error {
	// The partitions of the offsets topic are counted first: they are what is shared. An
	// organization has the same one everywhere, the hash of its name, so instances agree
	// without talking. If somebody adds partitions, a start refuses it (checkPartition).
	topics, err := orgs[0].prepareTopics(ctx)
	if err != nil {
		return err
	}
	partitions := topics[target.Offsets].Partitions
	by := newStandby(orgs)
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { by.watch(watching, partitions) }) // until it is waited for
	defer wg.Wait()
	defer stop()
	return membership.Run(ctx, membership.Config{
		Connection: c.target("", c.cfg.Logger).Connection,
		Group:      c.cfg.Kafka.GroupID,
		Topic:      c.cfg.Kafka.OffsetsTopic,
		Logger:     c.cfg.Logger,
		State:      by.tell,
	}, func(ctx context.Context, partition int32) {
		done := make(chan struct{})
		mine := 0
		for _, o := range orgs {
			if txlog.Partition(o.name, partitions) != partition {
				continue
			}
			mine++
			// Ends with ctx, when the partition is lost; waited for below. The next owner may fence
			// before that: then the commit under way fails as a whole, and it reads which way.
			go func() {
				t.began(o.name)
				by.work(o, func() error {
					err := o.own(ctx)
					t.ended(o.name, err)
					return err
				})
				done <- struct{}{}
			}()
		}
		// The partition is only given back when all have stopped, within the promised eight
		// seconds. So the next owner finds a last cursor, and not a transaction to abort.
		for range mine {
			<-done
		}
	})
}

// standby reports on the organizations that this instance stands by for. They are ready
// only while it is a member of the group: an instance that is not can take nothing over.
type standby struct {
	mu      sync.Mutex
	waiting map[*organization]bool // false: at work, or ended
	reason  string                 // why this instance is no member any more; empty if it is one
}

func newStandby(orgs []*organization) *standby {
	by := &standby{waiting: map[*organization]bool{}}
	for _, o := range orgs {
		by.waiting[o] = true
	}
	return by
}

// all says of every organization whether it waits.
func (b *standby) all() map[*organization]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.waiting)
}

// tell notes whether this instance is a member of the group.
func (b *standby) tell(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reason = ""
	if reason != nil {
		b.reason = fmt.Sprintf("not in the consumer group: %v: %s", reason, kafka.Explain(reason))
	}
	for o, waits := range b.waiting {
		if waits {
			o.telemetry.Ready(o.name, b.reason)
		}
	}
}

// work works for an organization, which reports by itself meanwhile, and from then on
// too if it ended with an error: an organization that is refused needs a decision, and
// must not look like one that waits its turn.
func (b *standby) work(o *organization, own func() error) {
	b.mu.Lock()
	b.waiting[o] = false
	b.mu.Unlock()
	if own() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[o] = true
	o.telemetry.Ready(o.name, b.reason)
}

// own works for an organization while its partition is ours. To be fenced by the
// instance that has it now is no mistake: the group may say a little later that we lost it.
func (o *organization) own(ctx context.Context) error {
	o.log.Info("this instance works for the organization now")
	err := o.run(ctx)
	// Fenced without the group's word: wait for it. If it comes, we stand by. If it does not,
	// the other one was started outside of the group, by mistake, and the error stays.
	if errors.Is(err, ErrFenced) && wait(ctx, settleTime) != nil {
		err = nil
	}
	if err == nil {
		o.log.Info("this instance stands by for the organization")
	}
	return err
}
