// Package membership says which partitions of a topic are an instance's to work
// for, by a Kafka consumer group that is used for nothing else: no record is
// consumed and no offset committed.
//
// The group decides who works, and is only ever lively, never sure: an instance
// may notice late that it lost a partition. Who may write is decided by fencing
// alone, which the new owner does first.
package membership

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// The times of the group. Brokers allow no session below six seconds unless they are
// told to, and it is most of the time that a takeover after a kill takes. The classic protocol with
// them took 7 s; KIP-848 with the brokers' defaults took 46 s.
const (
	sessionTimeout    = 6 * time.Second
	heartbeatInterval = 1200 * time.Millisecond
	rebalanceTimeout  = 20 * time.Second
	// leaveTimeout bounds the goodbye to brokers that do not answer. Without it the
	// next owner waits for the session to end, as it does after a crash.
	leaveTimeout = time.Second
	// longestSession is above what any broker asks for.
	longestSession = 10 * time.Minute
)

// Config says which group.
type Config struct {
	Connection kafka.Connection
	Group      string
	Topic      string
	Logger     *slog.Logger
	// State is called with nil each time the group has given this instance its
	// partitions, and with the reason when it is no longer a member, after all work has
	// ended. It must not wait.
	State func(reason error)
}

// Work is what is done for a partition while it is ours. It must return soon after
// its context ends.
type Work func(ctx context.Context, partition int32)

// Run takes part in the group until ctx ends, and does the work of each partition
// while it is assigned. It leaves the group when all work has returned, so that
// the next owner need not wait for a session to time out. An error is of the group
// itself, such as a missing right; what can pass is tried again inside.
func Run(ctx context.Context, cfg Config, work Work) error {
	for session := sessionTimeout; ; session *= 2 {
		err := runWith(ctx, cfg, work, session)
		if !errors.Is(err, kerr.InvalidSessionTimeout) || session > longestSession {
			return err
		}
		cfg.Logger.Warn("the brokers accept no session this short; a longer one is tried, and a takeover after a crash takes that long",
			"group", cfg.Group, "refused", session, "next", 2*session, "remedy", "lower group.min.session.timeout.ms of the brokers for quicker takeovers")
	}
}

// runWith is Run with one length of the session.
func runWith(ctx context.Context, cfg Config, work Work, session time.Duration) error {
	m := &member{work: work, ctx: ctx, running: map[int32]*running{}}
	// Not ctx itself: the group is left after it has ended.
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	client, err := cfg.Connection.Client(life,
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(cfg.Topic),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.RebalanceTimeout(rebalanceTimeout),
		// Called after every joining, also with nothing new.
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			cfg.State(nil)
			m.assigned(p[cfg.Topic])
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.lost(p[cfg.Topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.lost(p[cfg.Topic]) }),
		kgo.WithHooks(outside(cfg.State)),
	)
	if err != nil {
		return err
	}
	// Membership only: what the topic holds is read by those who own it.
	client.PauseFetchTopics(cfg.Topic)
	// The work ends before the group is left; Close finds none to leave.
	defer client.Close()
	defer leave(client, cut, cfg)
	defer m.stopAll()
	for {
		// Polling keeps the member alive; with all topics paused it returns errors
		// or nothing.
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) { failed = errors.Join(failed, err) })
		if errors.Is(failed, kerr.InvalidSessionTimeout) {
			return kafka.Explained("taking part in consumer group "+cfg.Group, failed)
		}
		if failed != nil {
			cfg.Logger.Warn("the consumer group has trouble", "group", cfg.Group, "error", failed, "remedy", kafka.Explain(failed))
			if kafka.Classify(failed) == kafka.ClassAuthorization {
				return kafka.Explained("taking part in consumer group "+cfg.Group, failed)
			}
		}
	}
}

// outside says why this instance is not in the group. kgo calls it after the
// partitions were lost, and before it joins again.
type outside func(reason error)

// OnGroupManageError implements kgo.HookGroupManageError.
func (o outside) OnGroupManageError(err error) { o(err) }

// leave says goodbye, so that the next owner need not wait. Close would do it
// without a bound, and a stop must not take as long as silent brokers do. If they
// are, the client is cut off: else Close waits for the answer to its joining.
func leave(client *kgo.Client, cut context.CancelFunc, cfg Config) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := client.LeaveGroupContext(ctx); err != nil {
		cut()
		cfg.Logger.Warn("the consumer group was not left properly; others wait for the session to end", "group", cfg.Group, "error", err)
	}
}

// member is what the group's callbacks and the end of Run share.
type member struct {
	ctx  context.Context // of Run: the work of a partition ends with it, too
	work Work

	mu      sync.Mutex // guards running; never held while waiting
	running map[int32]*running
}

// running is the work of one partition.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (m *member) assigned(partitions []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range partitions {
		ctx, cancel := context.WithCancel(m.ctx)
		r := &running{cancel: cancel, done: make(chan struct{})}
		m.running[p] = r
		// Ends when the partition is lost, or with Run; both wait for it.
		go func() { defer close(r.done); m.work(ctx, p) }()
	}
}

// lost ends the work of the partitions and waits for it.
func (m *member) lost(partitions []int32) {
	var ending []*running
	m.mu.Lock()
	for _, p := range partitions {
		if r := m.running[p]; r != nil {
			ending = append(ending, r)
			delete(m.running, p)
			r.cancel()
		}
	}
	m.mu.Unlock()
	for _, r := range ending {
		<-r.done
	}
}

func (m *member) stopAll() {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.running))
	m.mu.Unlock()
	m.lost(all)
}
