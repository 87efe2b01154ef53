package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// LogStart, as the place to read from, is the oldest record that is still there.
const LogStart int64 = -1

// A fetch is held in memory as a whole, and the next is fetched meanwhile. The
// process is to stay within 64 MiB, so kgo's 50 MB a fetch is too much.
const fetchMaxBytes = 512 << 10

// Reader reads one partition in order, committed records only, up to a given end. It
// may be asked to go on: to the last stable offset first, say,
// and after a fence to the high watermark. It needs no consumer group, and must
// be closed.
type Reader struct {
	topic     string
	partition int32
	client    *kgo.Client
	raw       bool // pass what is not committed too, and the markers
	started   bool
	next      atomic.Int64  // the offset after the last one passed
	pending   []*kgo.Record // fetched, and at or behind the end asked for
}

// NewReader returns a reader of topic and partition that begins at the offset
// from, or at LogStart. It does not connect yet, and ends with ctx.
func NewReader(ctx context.Context, conn Connection, topic string, partition int32, from int64) (*Reader, error) {
	return newReader(ctx, conn, topic, partition, from, false)
}

// NewRawReader is NewReader for one that passes all there is in the partition: what
// is open, what was aborted, and the markers. Record.Attrs tells them apart, and
// MarkerOf what a marker says.
func NewRawReader(ctx context.Context, conn Connection, topic string, partition int32, from int64) (*Reader, error) {
	return newReader(ctx, conn, topic, partition, from, true)
}

func newReader(ctx context.Context, conn Connection, topic string, partition int32, from int64, raw bool) (*Reader, error) {
	client, err := readerClient(ctx, conn, fetchMaxBytes, raw, kgo.MaxConcurrentFetches(1))
	if err != nil {
		return nil, err
	}
	r := &Reader{topic: topic, partition: partition, client: client, raw: raw}
	r.next.Store(from)
	return r, nil
}

// readerClient returns a client that fetches so much of each partition at once.
func readerClient(ctx context.Context, conn Connection, partitionBytes int32, raw bool, more ...kgo.Opt) (*kgo.Client, error) {
	isolation := kgo.ReadCommitted()
	if raw {
		isolation = kgo.ReadUncommitted()
	}
	return conn.Client(ctx, append(more,
		kgo.FetchIsolationLevel(isolation),
		// Without control records the loop of a reader never ends on a log whose
		// tail is a commit or abort marker, which is how every transactional log
		// ends: markers have offsets, but are not delivered.
		kgo.KeepControlRecords(),
		// The bound of a partition is the one that counts. The in-process broker of
		// tests leaves out which transactions were aborted where a fetch reaches the
		// other one.
		kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.FetchMaxBytes(16*fetchMaxBytes),
	)...)
}

// Close ends the reader's connections. A ReadTo still under way fails.
func (r *Reader) Close() { r.client.Close() }

// Position returns the offset to be read next, or LogStart before the first
// ReadTo. It may be called while ReadTo runs, to say how far that is.
func (r *Reader) Position() int64 { return r.next.Load() }

// Offsets returns where the partition begins and ends now.
func (r *Reader) Offsets(ctx context.Context) (Offsets, error) {
	return listPartition(ctx, r.client, r.topic, r.partition)
}

// ReadTo passes every committed record before end to fn, in order, and returns
// when there is none left; at once if end was passed already. Markers and aborted
// records count as progress and are not passed. An error of fn ends it as it is.
//
// ctx must have a deadline: a transaction that another producer has open in the
// partition holds the read up until it ends or times out, and a log that lost its
// tail would hold it up for ever. The error is a *ReadError then, and the reader
// can go on.
func (r *Reader) ReadTo(ctx context.Context, end int64, fn func(*kgo.Record) error) error {
	if err := r.start(ctx); err != nil {
		return r.failed(end, err)
	}
	var last error // why the brokers did not answer, if they said
	for {
		if err := r.drain(end, fn); err != nil {
			return err
		}
		if r.next.Load() >= end {
			return nil
		}
		fetches := r.client.PollFetches(ctx)
		r.pending = append(r.pending, fetches.Records()...)
		if ctx.Err() != nil && len(r.pending) == 0 {
			return r.failed(end, errors.Join(context.Cause(ctx), last))
		}
		for _, fetch := range fetches.Errors() {
			// What kgo tries again by itself, such as a leader being elected, is
			// only remembered. All else must end the loop: kgo would report it
			// once, and the loop would wait for ever.
			if last = fetch.Err; !kerr.IsRetriable(last) && ctx.Err() == nil {
				return r.failed(end, last)
			}
		}
	}
}

// start finds the log's beginning. Assuming offset 0 would wait for ever on a
// log that was trimmed.
func (r *Reader) start(ctx context.Context) error {
	if r.started {
		return nil
	}
	offsets, err := r.Offsets(ctx)
	if err != nil {
		return err
	}
	r.next.Store(max(r.next.Load(), offsets.Start))
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{
		r.topic: {r.partition: kgo.NewOffset().At(r.next.Load())},
	})
	r.started = true
	return nil
}

// drain passes the records before end, and keeps the rest for the next ReadTo.
func (r *Reader) drain(end int64, fn func(*kgo.Record) error) error {
	for len(r.pending) > 0 && r.pending[0].Offset < end {
		record := r.pending[0]
		r.pending[0], r.pending = nil, r.pending[1:]
		r.next.Store(record.Offset + 1)
		if record.Attrs.IsControl() && !r.raw {
			continue
		}
		if err := fn(record); err != nil {
			return err
		}
	}
	if len(r.pending) > 0 {
		// Compaction leaves gaps: the next record may lie far behind end, and
		// then nothing before end is left.
		r.next.Store(max(r.next.Load(), min(end, r.pending[0].Offset)))
	}
	return nil
}

func (r *Reader) failed(end int64, err error) error {
	return &ReadError{Topic: r.topic, Partition: r.partition, Position: r.next.Load(), End: end, Err: err}
}

// MarkerOf returns what a record that a raw reader passed says of the end of a
// transaction; ok is false if it is no marker.
func MarkerOf(r *Record) (commit, ok bool) {
	// A marker's key is its version and its type, two bytes each; 0 aborts, 1 commits.
	if !r.Attrs.IsControl() || len(r.Key) < 4 || r.Key[2] != 0 || r.Key[3] > 1 {
		return false, false
	}
	return r.Key[3] == 1, true
}

// ReadError says where a read stopped, and why.
type ReadError struct {
	Topic     string
	Partition int32
	Position  int64 // the offset that did not come
	End       int64 // and the one before which it would have been done
	Err       error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("reading %s, partition %d, at offset %d of %d: %v", e.Topic, e.Partition, e.Position, e.End, e.Err)
}

// Unwrap returns what stopped the read.
func (e *ReadError) Unwrap() error { return e.Err }
