package txlog

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Config says which log to open.
type Config struct {
	Connection kafka.Connection
	// TransactionalID is the writer's. Two writers with the same one fence each
	// other, so it must name what they would both write.
	TransactionalID string
	// Topic is the compacted topic of the state.
	Topic string
	// Partition is where in it the state is; see Partition.
	Partition int32
	// ChangesTo is another partition of it that changes go to, for a writer that reads the
	// state of another one; nil: they go where the state is.
	ChangesTo *int32
	// Topics are the others that transactions write to. In all of them Open looks for
	// transactions that hang.
	Topics []string
	// Siblings are the transactional ids of the owner's other writers. A transaction of
	// a producer that no coordinator knows counts as ours only where it cannot be one of
	// theirs.
	Siblings []string
	// OtherTimes says that records of the other topics have other timestamps than those
	// of their writing.
	OtherTimes bool
	// Owns, if set, reports whether a record of the other topics is the owner's: of a
	// transaction that hangs and that no coordinator knows any more.
	Owns func(*kafka.Record) bool
	// Keep says which keys belong to the state; others are not held in memory. It
	// is called for each record that is read, so it may also look for what should
	// not be there.
	Keep func(key string) bool
	// BeforeFence, if set, is called with the state as it can be seen before
	// any instance is fenced. Its error ends Open, and no instance was disturbed. It judges the state
	// as if it were whole; where it is not, and stays so, it is asked again with
	// whole false, and what it does not refuse then is read on after the fence.
	BeforeFence func(state map[string][]byte, whole bool) error
	// Compression of what is written: none, gzip, snappy, lz4 or zstd.
	Compression string
	// MaxMessageBytes are the largest batches that topics take, by name; of
	// others, Kafka's default.
	MaxMessageBytes map[string]int
	// StopGrace is how long a Commit may still take once its context has ended.
	StopGrace time.Duration
	Logger    *slog.Logger

	// Only tests set these: what they stand in for takes too long to see happen.
	transactionTimeout, produceWait, markersWait time.Duration
}

// TransactionTimeout is how long the broker leaves a transaction open whose
// writer is silent. It aborts it up to 10 s later.
const TransactionTimeout = 60 * time.Second

const (
	// produceWait bounds the wait for the acknowledgements of a transaction's
	// records. kgo would try for ever, without a word, when a partition has too few
	// replicas in sync. With endWait it is shorter than TransactionTimeout: a
	// transaction that the broker ended by itself answers as if we were fenced, and
	// then no instance would be left.
	produceWait = 25 * time.Second
	// endWait bounds the end of a transaction. A coordinator that died takes 8 to
	// 16 s to be replaced.
	endWait = 30 * time.Second
)

// Log is an open log. One goroutine owns it.
type Log struct {
	cfg      Config
	client   *kgo.Client        // nil once the log is finished
	cut      context.CancelFunc // ends what the client waits for
	throttle *throttle
	last     written         // by the last transaction, until its markers were seen
	met      map[string]bool // the topics that this client has written to
	ended    []Ended
	readTo   int64
}

// ReadTo returns the offset in the state's partition up to which Open read.
func (l *Log) ReadTo() int64 { return l.readTo }

// Ended returns what Open found hanging, and ended.
func (l *Log) Ended() []Ended { return l.ended }

// owns reports whether the record is the owner's.
func (c Config) owns(r *kafka.Record) bool {
	if r.Topic == c.Topic {
		return c.Keep(string(r.Key))
	}
	return c.Owns != nil && c.Owns(r)
}

// topics returns all topics of the log, once each.
func (c Config) topics() []string {
	all := slices.DeleteFunc(append(slices.Clone(c.Topics), c.Topic), func(name string) bool { return name == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

// Close ends the log's connections. An open transaction is left to the next
// Open, or to its timeout. It is safe to call more than once.
func (l *Log) Close() {
	if l.client != nil {
		l.client.Close()
		l.cut()
		l.client = nil
	}
}

// writer returns a client that can write the log's transactions. It fences no instance
// before its ProducerID is asked for, and ends with ctx.
func writer(ctx context.Context, cfg Config, throttle *throttle) (*kgo.Client, error) {
	return cfg.Connection.Client(ctx,
		kgo.WithHooks(throttle),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cmp.Or(cfg.transactionTimeout, TransactionTimeout)),
		kgo.RecordPartitioner(partitioner{state: cfg.Topic}),
		kafka.Compression(cfg.Compression),
		// A batch larger than its topic takes fails as a whole, with the small
		// records in it. What is too large alone is a dead letter long before.
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			return BatchBytes(cfg.MaxMessageBytes[topic])
		}),
		// A transaction's records are all given before any is waited for.
		kgo.MaxBufferedRecords(1<<20),
	)
}

// BatchBytes returns the most bytes, uncompressed, that a record may have in a
// topic whose max.message.bytes is given; 0 stands for Kafka's default. What the
// batch and the record around key, value and headers need is not counted.
func BatchBytes(maxMessageBytes int) int32 {
	const kafkaDefault, kgoLargest = 1_048_588, 100 << 20
	if maxMessageBytes <= 0 {
		maxMessageBytes = kafkaDefault
	}
	// The broker weighs the batch compressed, we weigh it as it is: then it is
	// never too large, even if it does not compress.
	return int32(min(maxMessageBytes, kgoLargest))
}

// waiting logs that something takes long, again and again, until the returned
// function is called: a start that hangs on somebody else's transaction must not
// look like one that does nothing.
func waiting(ctx context.Context, log *slog.Logger, what string) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	began := time.Now()
	go func() { // until stop, or the end of ctx
		every := time.NewTicker(10 * time.Second)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				log.WarnContext(ctx, "still waiting", "for", what, "since", time.Since(began).Round(time.Second))
			}
		}
	}()
	return stop
}
