package txlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// openWait bounds a start. A predecessor's transaction whose markers cannot be
// written (a partition under its min.insync.replicas) holds it up until they can;
// a neighbour's in the same partition, until its timeout and the broker's sweep.
const openWait = 3 * time.Minute

// Open returns the log, and its state: the latest value of each key that
// cfg.Keep takes. Nobody who opened it before can write any more.
//
// Start-up and recovery are this one function, so that every start tries what a
// crash needs. An error wraps ErrFenced or ErrUnconfirmed, or is that of
// cfg.BeforeFence; the caller may try again.
func Open(ctx context.Context, cfg Config) (*Log, map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	reader, err := kafka.NewReader(ctx, cfg.Connection, cfg.Topic, cfg.Partition, kafka.LogStart)
	if err != nil {
		return nil, nil, failed("reading the state", err)
	}
	defer reader.Close()
	state := map[string][]byte{}
	apply := func(r *kgo.Record) error { keep(state, cfg.Keep, r); return nil }

	// 1. Read what is committed and stable now. It serves BeforeFence, and is most
	// of the reading; a committed record stays committed, even if others write on.
	// A crash, or an error, up to the fence has disturbed no instance.
	if err := beforeFence(ctx, cfg, reader, state, apply); err != nil {
		return nil, nil, err
	}

	// 2. Ask what the coordinator knows of the last transaction: after the fence that
	// is gone. Then fence. A new client fences no instance until its producer id is loaded. When
	// this returns, a transaction the predecessor had open is aborted, or
	// committed if its end had been decided, and its markers are written, or lost:
	// none of it can appear later. If we crash after this, the predecessor is out and
	// nothing is written: the next start begins here again.
	log, err := newLog(ctx, cfg)
	if err != nil {
		return nil, nil, failed("opening the log", err)
	}
	// Whatever the client waits for ends with ctx: kgo begins each connection with a
	// request that does not.
	defer context.AfterFunc(ctx, log.cut)()
	word := log.coordinated(ctx)
	if err := log.fence(ctx); err != nil {
		log.Close()
		return nil, nil, failed("fencing earlier writers", err)
	}

	// 3. End what hangs: a transaction that a partition has open now is one whose
	// marker Kafka lost, and only we can end it. If we crash in here, the next start
	// reads the markers that were written, and goes on in the same way.
	log.ended, err = log.endHanging(ctx, word)
	for _, e := range log.ended {
		cfg.Logger.WarnContext(ctx, "a hanging transaction was ended: Kafka had lost its marker", "ended", e.String())
	}
	if err != nil {
		log.Close()
		if hanging, ok := errors.AsType[*HangingError](err); ok {
			return nil, nil, hanging
		}
		return nil, nil, failed("looking for transactions that hang", err)
	}

	// 4. Read on to the high watermark, taken after the fence. Up to the last
	// stable offset is not enough: an open transaction of a neighbour in this
	// partition holds it back. We would get an old state, and write every event since
	// then a second time.
	if err := log.readOn(ctx, reader, apply); err != nil {
		log.Close()
		if hanging, ok := errors.AsType[*HangingError](err); ok {
			return nil, nil, hanging
		}
		return nil, nil, failed("reading the state after the fence", err)
	}
	log.readTo = reader.Position()
	return log, state, nil
}

// cutWait is how long a start that would be refused waits to see the state whole. A
// neighbour's transaction is over sooner, unless it hangs.
const cutWait = 10 * time.Second

// beforeFence reads up to the last stable offset and asks cfg.BeforeFence. What is
// seen there may be the past, and torn: a neighbour's open transaction holds the
// offset back, and one of ours that is long committed may lie on both sides of it.
// So nothing is refused before the state was whole for a moment, or after cutWait.
func beforeFence(ctx context.Context, cfg Config, reader *kafka.Reader, state map[string][]byte, apply func(*kgo.Record) error) error {
	for began := time.Now(); ; {
		offsets, err := reader.Offsets(ctx)
		if err == nil {
			err = reader.ReadTo(ctx, offsets.Stable, apply)
		}
		if err != nil {
			return failed("reading the state", err)
		}
		if cfg.BeforeFence == nil {
			return nil
		}
		err = cfg.BeforeFence(maps.Clone(state), true)
		if err == nil || offsets.Stable == offsets.End {
			return err
		}
		if time.Since(began) >= cutWait {
			return cfg.BeforeFence(maps.Clone(state), false)
		}
		if err := pause.For(ctx, cutWait/40); err != nil {
			return failed("reading the state", err)
		}
	}
}

// newLog returns a log that has asked nothing yet. It outlives ctx: a commit may
// end a little later.
func newLog(ctx context.Context, cfg Config) (*Log, error) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	throttle := new(throttle)
	client, err := writer(life, cfg, throttle)
	if err != nil {
		cut()
		return nil, err
	}
	return &Log{cfg: cfg, client: client, cut: cut, throttle: throttle, met: map[string]bool{}}, nil
}

func (l *Log) fence(ctx context.Context) error {
	defer waiting(ctx, l.cfg.Logger, "the transaction coordinator to end the predecessor's transaction; "+
		"if it lasts, look for a partition with fewer replicas in sync than min.insync.replicas")()
	_, _, err := l.client.ProducerID(ctx)
	return err
}

func (l *Log) readOn(ctx context.Context, reader *kafka.Reader, apply func(*kgo.Record) error) error {
	offsets, err := reader.Offsets(ctx)
	if err != nil {
		return err
	}
	defer waiting(ctx, l.cfg.Logger, fmt.Sprintf("the state in %s, partition %d; "+
		"if it lasts, another organization's instance has a transaction open there", l.cfg.Topic, l.cfg.Partition))()
	for {
		// What holds the read up is a neighbour's: it ends within its timeout, unless it
		// hangs, and then its owner must be told.
		look, cancel := context.WithTimeout(ctx, markersWait)
		err := reader.ReadTo(look, offsets.End, apply)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		found, foundErr := Hangs(ctx, l.client, l.cfg.Topic)
		if foundErr != nil {
			continue // the read is what matters, and says what is wrong when its time is over
		}
		for _, h := range found.Hanging {
			if h.Partition == l.state() {
				return &HangingError{Open: []kafka.OpenTransaction{h.OpenTransaction}, Neighbour: true, Of: h.TransactionalID}
			}
		}
	}
}

// keep applies one record to the state. A record without a value is a tombstone.
func keep(state map[string][]byte, wanted func(string) bool, r *kgo.Record) {
	key := string(r.Key)
	switch {
	case !wanted(key):
	case r.Value == nil:
		delete(state, key)
	default:
		state[key] = r.Value
	}
}
