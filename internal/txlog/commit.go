package txlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"
)

// Change is a new value of a key of the state; nil removes the key.
type Change struct {
	Key   string
	Value []byte
}

// Commit writes the records and the changes in one transaction. When it returns
// nil, all of it is committed, and nothing else was. Any error wraps ErrFenced or
// ErrUnconfirmed, and finishes the log: only Close may be called then.
//
// With nothing to write it does nothing: an empty transaction is no heartbeat,
// and older brokers answer it with an error.
//
// When ctx ends, Commit has StopGrace left. What the slices of records point to
// must not be changed before Commit returns.
func (l *Log) Commit(ctx context.Context, records []kafka.Message, changes []Change) error {
	if len(records)+len(changes) == 0 {
		return nil
	}
	if l.client == nil {
		return &Error{Doing: "writing", Kind: ErrUnconfirmed, Err: errFinished}
	}
	err := l.commit(ctx, records, changes)
	if err != nil {
		// Nothing more on this client but Close. TryAbort would return nil about a
		// transaction that is committed, and on brokers before 4.0 the attempt can
		// abort the open transaction of a healthy successor.
		l.Close()
	}
	return err
}

var errFinished = errors.New("the log had failed before")

func (l *Log) commit(ctx context.Context, records []kafka.Message, changes []Change) error {
	ctx, cancel := l.graceful(ctx)
	defer cancel()

	// 1. Wait for the markers of the transaction before this one. A crash here leaves
	// them to Kafka, or to the next Open if Kafka loses them.
	if err := l.awaitMarkers(ctx); err != nil {
		return failed("waiting for the markers of the last transaction", err)
	}

	// 2. Begin. Local: a crash here leaves nothing at the broker.
	began := time.Now()
	if err := l.begin(ctx); err != nil {
		return failed("beginning a transaction", err)
	}

	// 3. Produce everything, and wait for every answer. A crash here leaves an open
	// transaction, which the next Open aborts: read_committed consumers wait
	// behind it until then, or for TransactionTimeout. A record that failed must
	// stop us here: Kafka would commit the transaction without it.
	sent, err := l.produce(ctx, records, changes)
	if err != nil {
		return failed("writing a transaction", err)
	}

	// 4. End, once kgo knows the topics: before that it would abort, and return nil. From
	// the moment this request leaves until its answer is here, only the broker knows: a
	// crash, a cut connection or our own impatience leaves the outcome unknown, and the
	// next Open reads which it was.
	end := endWait
	if took := time.Since(began); took > produceWait {
		end = TransactionTimeout - took - 2*time.Second
	}
	endCtx, endCancel := context.WithTimeout(ctx, end)
	defer endCancel()
	defer context.AfterFunc(endCtx, l.cut)()
	l.meetTopics(sent)
	if err := l.client.EndTransaction(endCtx, kgo.TryCommit); err != nil {
		if endCtx.Err() != nil && (errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled)) {
			err = context.Cause(endCtx) // it was cut by us
		}
		return failed("committing a transaction", err)
	}

	// 5. Answered yes: decided, if not yet visible everywhere. A crash here is the
	// same as one a moment later.
	l.last = sent
	return nil
}

// meetTopics returns when kgo knows each topic that was written to, or when the client
// is cut off.
//
// kgo's metadata loop sends the first records of a topic, and only then stores the
// topic's partitions, where EndTransaction looks for what was written. Between the two
// it finds nothing, ends the transaction with an abort, and returns nil: seen with
// 1.22.2 in one of thirty first transactions on a busy machine, and in the code of
// 1.22.3. The call below waits for its turn in that loop, and so for the store. It only
// works with the name of a topic to which nothing is ever written.
func (l *Log) meetTopics(sent written) {
	for _, p := range sent.places {
		if !l.met[p.Topic] {
			l.client.PurgeTopicsFromProducing("")
			break
		}
	}
	for _, p := range sent.places {
		l.met[p.Topic] = true
	}
}

// begin begins a transaction. kgo asks for a new producer id here if it needs one, and
// it does so without a context, so we cut the client off when ctx ends.
func (l *Log) begin(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.cut)()
	return l.client.BeginTransaction()
}

// tryFrom is how many records a transaction has at least for one of each new topic to be
// sent before the others.
const tryFrom = 100

// produce writes all records and returns when each is acknowledged, or with the
// first error, or when its time is over.
//
// A topic that refuses its records, since a right to it is gone or its replicas are, dooms
// the transaction, and each try would leave all that the others took, for consumers
// without isolation to see. So one record of each topic that the client has not written to
// goes first.
func (l *Log) produce(ctx context.Context, records []kafka.Message, changes []Change) (written, error) {
	began := time.Now()
	memory := batches.Take()
	memory.headers.Grow(records)
	out := slices.Grow(memory.records, len(records)+len(changes))
	for i := range records {
		r := &records[i]
		at := r.Timestamp
		if at.IsZero() {
			at = began // one look at the clock for all
		}
		out = append(out, kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: memory.headers.Of(r), Timestamp: at})
	}
	for _, c := range changes {
		out = append(out, kgo.Record{Topic: l.cfg.Topic, Partition: l.changes().Partition, Key: []byte(c.Key), Value: c.Value, Timestamp: began})
	}
	wait := cmp.Or(l.cfg.produceWait, produceWait)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(wait, func() {
		if l.throttle.error(began, "") == nil {
			cancel(errors.New("not acknowledged for " + wait.String() +
				": the brokers cannot be reached, one cannot write to its disk, or a partition has fewer replicas in sync than min.insync.replicas"))
		}
	}).Stop()
	defer time.AfterFunc(max(wait, throttledWait), func() {
		cancel(l.throttle.error(began, l.cfg.Connection.ClientID))
	}).Stop()
	var s sending
	promise := s.promise // one for all
	give := func(i int) {
		s.all.Add(1)
		l.client.Produce(ctx, &out[i], promise)
	}
	tries := l.tries(out)
	for _, i := range tries {
		give(i)
	}
	if len(tries) > 0 {
		if err := s.answered(ctx, l.client); err != nil {
			return written{}, err
		}
	}
	for i := range out {
		if !slices.Contains(tries, i) {
			give(i)
		}
	}
	if err := s.answered(ctx, l.client); err != nil {
		return written{}, err
	}
	// Each is acknowledged, and the client is done with it. After an error it may not be, so
	// then the list is not given back.
	if len(out) <= keptRecords {
		clear(out)
		memory.records = out[:0]
		memory.headers.Reset()
		batches.Give(memory)
	}
	return s.sent, nil
}

// batch is the memory of a transaction's records.
type batch struct {
	records []kgo.Record
	headers kafka.HeaderLists
}

// keptRecords is up to how many records a batch is kept for the next transaction. Usual ones
// of a history have up to three thousand, and a batch stays when the history is read.
const keptRecords = 4096

// batches are those of transactions that were written. All logs of a process share them, or
// each of a hundred would keep one of its own.
var batches = spare.List[batch]{Most: 4}

// tries returns which of the records are the first of a topic that the client has not
// written to. The last of all is never one: the changes come last, which the marker of a
// transaction that hangs is looked for by (sharedMarker).
func (l *Log) tries(records []kgo.Record) (first []int) {
	if len(records) < tryFrom {
		return nil
	}
	for i := range records[:len(records)-1] {
		topic := records[i].Topic
		if !l.met[topic] && !slices.ContainsFunc(first, func(n int) bool { return records[n].Topic == topic }) {
			first = append(first, i)
		}
	}
	return first
}

// sending is the records of a transaction on their way.
type sending struct {
	all   sync.WaitGroup
	mu    sync.Mutex // guards what follows; held for an assignment
	first error
	sent  written
}

func (s *sending) promise(r *kgo.Record, err error) {
	s.mu.Lock()
	switch {
	case err == nil:
		s.sent.add(r)
	case s.first == nil:
		s.first = fmt.Errorf("to %s: %w", r.Topic, err)
	}
	s.mu.Unlock()
	s.all.Done()
}

// answered returns when each record that was given is acknowledged, or with the first
// error.
func (s *sending) answered(ctx context.Context, client *kgo.Client) error {
	// All is given: without Flush the last batch of each partition would linger for
	// ten milliseconds, which is longer than a whole transaction takes. It says
	// nothing about what was refused before it was given to a batch, and its error
	// nothing that the promises do not: those are what is waited for.
	_ = client.Flush(ctx)
	answered := make(chan struct{})
	// Ends when the last promise is kept: at the latest when Commit closes the
	// client, which fails all that are left.
	go func() { s.all.Wait(); close(answered) }()
	select {
	case <-answered:
		return s.first
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// graceful returns a context that outlives ctx by StopGrace: to cancel the end of
// a transaction is to lose its outcome, so a stop waits for it a little.
func (l *Log) graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		// Ends by itself; the timer keeps nothing but the context alive.
		time.AfterFunc(l.cfg.StopGrace, func() { cancel(context.Cause(ctx)) })
	})
	return out, func() { stop(); cancel(nil) }
}
