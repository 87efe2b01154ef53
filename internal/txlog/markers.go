package txlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// markersWait is how long a decided transaction may go without its markers before it
// counts as hanging. Usually it is a millisecond.
const markersWait = 10 * time.Second

// maxTransaction is longer than any broker leaves a transaction open: its
// transaction.max.timeout.ms, 15 minutes unless somebody raised it, and the sweep.
const maxTransaction = 16 * time.Minute

// written is where the last committed transaction wrote, and so where its markers are
// awaited.
type written struct {
	producer int64
	places   []place // few
	at       int     // the place of the record before, which is mostly that of the next
}

// place is a partition, and the last offset there.
type place struct {
	kafka.Partition
	last int64
}

func (w *written) add(r *kgo.Record) {
	is := func(p place) bool { return p.Partition.Partition == r.Partition && p.Topic == r.Topic }
	if w.at >= len(w.places) || !is(w.places[w.at]) {
		if w.at = slices.IndexFunc(w.places, is); w.at < 0 {
			w.at = len(w.places)
			w.places = append(w.places, place{Partition: kafka.Partition{Topic: r.Topic, Partition: r.Partition}})
		}
	}
	w.producer, w.places[w.at].last = r.ProducerID, max(w.places[w.at].last, r.Offset)
}

// last returns the last offset in the partition.
func (w *written) last(where kafka.Partition) int64 {
	for _, p := range w.places {
		if p.Partition == where {
			return p.last
		}
	}
	return -1
}

// Settle returns when the last transaction is where its readers can see it. Commit
// says that it is decided; before we tell somebody that it is done, we wait for this too.
// An error wraps ErrUnconfirmed: the next Open decides.
func (l *Log) Settle(ctx context.Context) error {
	if l.client == nil {
		return &Error{Doing: "waiting for the markers of the last transaction", Kind: ErrUnconfirmed, Err: errFinished}
	}
	ctx, cancel := l.graceful(ctx)
	defer cancel()
	if err := l.awaitMarkers(ctx); err != nil {
		l.Close()
		return failed("waiting for the markers of the last transaction", err)
	}
	return nil
}

// awaitMarkers returns when each partition of the last transaction has its marker.
// To begin another one before that would build on a transaction that Kafka may lose: an
// abort of ours would take its records along, in the partitions without a marker.
//
// It asks the partitions and not the coordinator alone, which has been seen to call a
// transaction complete whose markers it had dropped. A partition is settled when its
// last stable offset is behind the transaction: then the marker is on all replicas.
func (l *Log) awaitMarkers(ctx context.Context) error {
	if len(l.last.places) == 0 {
		return nil
	}
	limit := cmp.Or(l.cfg.markersWait, markersWait)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("not within "+limit.String()))
	defer cancel()
	defer context.AfterFunc(ctx, l.cut)()
	pending := make([]kafka.Partition, len(l.last.places))
	for i, p := range l.last.places {
		pending[i] = p.Partition
	}
	began := time.Now()
	var last error // of the last look that was not cut off
	for look := time.Millisecond; ; look = min(2*look, 250*time.Millisecond) {
		left, err := l.unsettled(ctx, pending, time.Since(began) > limit/2)
		if ctx.Err() == nil {
			last = err
		}
		switch {
		case err != nil && ctx.Err() != nil:
		case err != nil && !kerr.IsRetriable(err):
			return err
		case err == nil && len(left) == 0:
			l.last = written{}
			return nil
		case err == nil:
			pending = left
		}
		if pause.For(ctx, look) != nil {
			return &pendingError{where: pending, err: context.Cause(ctx), last: last}
		}
	}
}

// unsettled returns which of the partitions have no marker of the last transaction. A
// neighbour's open transaction may hold the stable offset back: then the coordinator
// must have ours as complete, and after that the partition must not have it open. excuse
// says that for a partition into which we may not look a neighbour is excuse enough.
func (l *Log) unsettled(ctx context.Context, pending []kafka.Partition, excuse bool) (left []kafka.Partition, err error) {
	stable, err := kafka.Ends(ctx, l.client, pending, true)
	if err != nil {
		return nil, err
	}
	for _, p := range pending {
		if stable[p] <= l.last.last(p) {
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	known, err := kafka.DescribeCoordinated(ctx, l.client, l.cfg.TransactionalID)
	if err != nil {
		return nil, err
	}
	if known[l.cfg.TransactionalID].Open() {
		return left, nil // its markers are under way
	}
	open, hidden, err := kafka.OpenTransactions(ctx, l.client, left)
	if err != nil {
		return nil, err
	}
	left = left[:0]
	for _, t := range open {
		if t.Producer == l.last.producer {
			left = append(left, t.Partition)
		}
	}
	for _, p := range hidden {
		excused := false
		if excuse {
			excused, err = kafka.AnyOpenIn(ctx, l.client, p, l.cfg.TransactionalID)
		}
		if !excused || err != nil { // a broker that does not list transactions excuses nothing
			left = append(left, p)
		}
	}
	return left, nil
}

// pendingError says that the markers of a committed transaction did not come.
type pendingError struct {
	where []kafka.Partition
	err   error // why it was not waited for longer
	last  error // of the last look; nil if there was none
}

func (e *pendingError) Error() string {
	text := fmt.Sprintf("no marker in %v: %v; the partition has too few replicas in sync or no leader, or the transaction hangs; "+
		"the next start finds out which", e.where, e.err)
	if e.last != nil {
		text += fmt.Sprintf(" (the last look: %v)", e.last)
	}
	return text
}

func (e *pendingError) Unwrap() error { return cmp.Or(e.last, e.err) }

// endHanging ends what hangs of earlier writers of this log. It is called after the
// fence, and word is what the coordinator knew before it.
func (l *Log) endHanging(ctx context.Context, word kafka.Coordinated) ([]Ended, error) {
	producer, _, err := l.client.ProducerID(ctx)
	if err != nil {
		return nil, err
	}
	b := &brokers{log: l, ours: []int64{producer}, ends: map[kafka.Partition]int64{}}
	if word.State != "" && word.Producer != producer {
		b.ours = append(b.ours, word.Producer)
	}
	return endHanging(ctx, b, l.changes(), word)
}

// state is the partition of the state.
func (l *Log) state() kafka.Partition {
	return kafka.Partition{Topic: l.cfg.Topic, Partition: l.cfg.Partition}
}

// changes is the partition that changes are written to, which a transaction does last.
func (l *Log) changes() kafka.Partition {
	if l.cfg.ChangesTo == nil {
		return l.state()
	}
	return kafka.Partition{Topic: l.cfg.Topic, Partition: *l.cfg.ChangesTo}
}

// coordinated returns what the coordinator knows of the writer; nothing if it does not
// say. We may need that, and it is gone after the fence.
func (l *Log) coordinated(ctx context.Context) kafka.Coordinated {
	known, err := kafka.DescribeCoordinated(ctx, l.client, l.cfg.TransactionalID)
	if err != nil {
		l.cfg.Logger.DebugContext(ctx, "the coordinator does not say what it knows of the last transaction", "error", err)
	}
	return known[l.cfg.TransactionalID]
}

// brokers is Kafka, for endHanging.
type brokers struct {
	log  *Log
	ours []int64                   // our producer ids
	ends map[kafka.Partition]int64 // of partitions into which we may not look, as first seen
	// alone says that what no coordinator knows can only be ours; nil: not asked.
	alone *bool
}

func (b *brokers) partitions(ctx context.Context) ([]kafka.Partition, error) {
	all, err := kafka.Partitions(ctx, b.log.client, b.log.cfg.topics()...)
	// Of the topic of the state we write to one partition.
	return slices.DeleteFunc(all, func(p kafka.Partition) bool {
		return p.Topic == b.log.cfg.Topic && p != b.log.changes()
	}), err
}

// open waits for partitions without a leader: what is open there is not known.
func (b *brokers) open(ctx context.Context) ([]kafka.OpenTransaction, error) {
	defer waiting(ctx, b.log.cfg.Logger, "every partition to say whether a transaction hangs there; "+
		"if it lasts, look for a partition without a leader")()
	var grace time.Time
	for {
		partitions, err := b.partitions(ctx)
		if err != nil {
			return nil, err
		}
		open, hidden, err := kafka.OpenTransactions(ctx, b.log.client, partitions)
		if err == nil {
			open, err = b.ofOurs(ctx, open)
		}
		if err == nil {
			hidden, err = b.behind(ctx, hidden)
		}
		switch {
		case err != nil && !kerr.IsRetriable(err):
			return nil, err
		case err != nil:
		case len(hidden) == 0:
			return open, nil
		case grace.IsZero():
			grace = time.Now().Add(OutlastsNeighbours)
		case time.Now().After(grace):
			return nil, &HangingError{Hidden: hidden}
		}
		if err := pause.For(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// behind returns in which partitions that we may not look into something was open
// when we first looked and still is. A neighbour's transaction ends within its timeout.
func (b *brokers) behind(ctx context.Context, hidden []kafka.Partition) (left []kafka.Partition, err error) {
	if len(hidden) == 0 {
		return nil, nil
	}
	ends, err := kafka.Ends(ctx, b.log.client, hidden, false)
	if err != nil {
		return nil, err
	}
	stable, err := kafka.Ends(ctx, b.log.client, hidden, true)
	if err != nil {
		return nil, err
	}
	for _, p := range hidden {
		end, known := ends[p]
		if first, before := b.ends[p]; before {
			end = first
		} else if known {
			b.ends[p] = end
		}
		if at, told := stable[p]; !known || !told || at < end {
			left = append(left, p)
		}
	}
	return left, nil
}

// ofOurs returns those of our producers. A producer id of ours may be an earlier one,
// when the transactional id had expired, or its epochs ran out: what it left is known
// by its first record. But only where no coordinator knows the producer, and the
// owner's other writers are seen to have other ids: a transaction whose writer lives is
// never touched.
func (b *brokers) ofOurs(ctx context.Context, open []kafka.OpenTransaction) ([]kafka.OpenTransaction, error) {
	for _, t := range open {
		if slices.Contains(b.ours, t.Producer) {
			continue
		}
		adopt, err := b.abandoned(ctx, t)
		if err != nil {
			return nil, err
		}
		if adopt {
			b.ours = append(b.ours, t.Producer)
		}
	}
	return slices.DeleteFunc(open, func(t kafka.OpenTransaction) bool { return !slices.Contains(b.ours, t.Producer) }), nil
}

func (b *brokers) abandoned(ctx context.Context, t kafka.OpenTransaction) (bool, error) {
	known, err := kafka.CoordinatedOf(ctx, b.log.client, t.Producer)
	if err != nil || len(known) > 0 {
		// Brokers that do not list transactions say nothing, and must not stop us.
		return false, ignoreUnsupported(err)
	}
	if b.alone == nil {
		alone, err := kafka.Describable(ctx, b.log.client, append(slices.Clone(b.log.cfg.Siblings), b.log.cfg.TransactionalID)...)
		if err != nil {
			return false, err
		}
		b.alone = &alone
	}
	if !*b.alone {
		return false, nil
	}
	first, err := FirstOf(ctx, b.log.cfg.Connection, t)
	if kafka.Classify(err) == kafka.ClassAuthorization {
		return false, nil
	}
	return err == nil && first != nil && b.log.cfg.owns(first), err
}

func ignoreUnsupported(err error) error {
	if errors.Is(err, kerr.UnsupportedVersion) || kafka.TooOld(err) {
		return nil
	}
	return err
}

// FirstOf returns the first record of an open transaction; nil if it is not there.
func FirstOf(ctx context.Context, conn kafka.Connection, t kafka.OpenTransaction) (first *kgo.Record, err error) {
	reader, err := kafka.NewRawReader(ctx, conn, t.Partition.Topic, t.Partition.Partition, t.Start)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	err = reader.ReadTo(ctx, t.Start+1, func(r *kgo.Record) error {
		if r.ProducerID == t.Producer {
			first = r
		}
		return nil
	})
	return first, err
}

func (b *brokers) passages(ctx context.Context, producer int64, state bool, from time.Time) (all []passage, err error) {
	partitions, err := b.partitions(ctx)
	if err != nil {
		return nil, err
	}
	starts := map[string]map[int32]int64{}
	for _, p := range partitions {
		if (p == b.log.changes()) != state {
			continue
		}
		start := kafka.LogStart
		if !state {
			if starts[p.Topic] == nil {
				if starts[p.Topic], err = kafka.OffsetsAfter(ctx, b.log.client, p.Topic, from); err != nil {
					return nil, err
				}
			}
			start = starts[p.Topic][p.Partition]
		}
		passages, err := passagesIn(ctx, b.log.cfg.Connection, p, producer, start)
		if kafka.Classify(err) == kafka.ClassAuthorization {
			continue // it cannot be looked into, and says nothing
		}
		if err != nil {
			return nil, err
		}
		all = append(all, passages...)
	}
	return all, nil
}

// passagesIn returns what the producer left in the partition from the offset on.
func passagesIn(ctx context.Context, conn kafka.Connection, p kafka.Partition, producer, from int64) (all []passage, err error) {
	reader, err := kafka.NewRawReader(ctx, conn, p.Topic, p.Partition, from)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	offsets, err := reader.Offsets(ctx)
	if err != nil {
		return nil, err
	}
	err = reader.ReadTo(ctx, offsets.End, func(r *kgo.Record) error {
		if r.ProducerID != producer {
			return nil
		}
		commit, marker := kafka.MarkerOf(r)
		if n := len(all); !marker && n > 0 && !all[n-1].marker && all[n-1].epoch == r.ProducerEpoch {
			all[n-1].at = r.Timestamp
			return nil
		}
		all = append(all, passage{where: p, epoch: r.ProducerEpoch, marker: marker, commit: commit, at: r.Timestamp})
		return nil
	})
	return all, err
}

func (b *brokers) began(ctx context.Context, t kafka.OpenTransaction) (time.Time, error) {
	first, err := FirstOf(ctx, b.log.cfg.Connection, t)
	if err == nil && first == nil {
		err = fmt.Errorf("the first record of the transaction in %v is not there", t.Partition)
	}
	if err != nil {
		return time.Time{}, err
	}
	return first.Timestamp, nil
}

func (b *brokers) timed(p kafka.Partition) bool {
	return p == b.log.changes() || !b.log.cfg.OtherTimes
}

func (b *brokers) mark(ctx context.Context, t kafka.OpenTransaction, commit bool) error {
	return kafka.WriteMarker(ctx, b.log.client, t, commit)
}
