package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// TailOptions says what Tail prints.
type TailOptions struct {
	Lines  int  // how many of the newest events
	Follow bool // go on with what comes
	Format Format
}

// Tail prints the newest events of the topic, of all its organizations, as lines
// of JSON, and with Follow those that come until ctx ends, which is no error. What
// cannot be decoded is logged, and is an error in the end.
func Tail(ctx context.Context, c Config, opts TailOptions, out io.Writer) error {
	decoder, err := c.Decoder(nil)
	if err != nil {
		return err
	}
	all, err := extentOf(ctx, c.Connection, c.Topics.Events)
	if err != nil {
		return err
	}
	t := &tail{cfg: c, printer: newPrinter(out, opts.Format), decoder: decoder}
	var newest []*kafka.Record
	for partition, offsets := range all.offsets {
		reader, records, err := last(ctx, c.Target, int32(partition), offsets, opts.Lines)
		if err != nil {
			return err
		}
		defer reader.Close()
		t.readers = append(t.readers, reader)
		newest = append(newest, records...)
	}
	slices.SortStableFunc(newest, func(a, b *kafka.Record) int { return a.Timestamp.Compare(b.Timestamp) })
	for _, record := range newest[max(0, len(newest)-opts.Lines):] {
		if err := t.print(ctx, record); err != nil {
			return err
		}
	}
	if opts.Follow {
		err = t.follow(ctx)
	}
	return cmp.Or(err, t.undecoded())
}

// last returns the newest records of a partition that are visible, oldest first,
// and a reader whose position is behind them. Markers and aborted records have offsets
// too, so how far back to begin is found by trying.
func last(ctx context.Context, t target.Target, partition int32, o kafka.Offsets, n int) (*kafka.Reader, []*kafka.Record, error) {
	for span := int64(2 * n); ; span = 4*span + 100 {
		from := max(o.Start, o.Stable-span)
		reader, err := kafka.NewReader(ctx, t.Connection, t.Topics.Events, partition, from)
		if err != nil {
			return nil, nil, err
		}
		var records []*kafka.Record
		err = readPiece(ctx, reader, o.Stable, func(r *kafka.Record) error {
			if records = append(records, r); len(records) > n {
				records[0] = nil // of what is not printed, nothing stays in memory
				records = records[1:]
			}
			return nil
		})
		if err != nil {
			reader.Close()
			return nil, nil, err
		}
		if len(records) >= n || from == o.Start {
			return reader, records, nil
		}
		reader.Close()
	}
}

type tail struct {
	cfg     Config
	decoder *codec.Decoder
	readers []*kafka.Reader

	mu         sync.Mutex // guards what follows; held while a line is written
	printer    *printer
	unreadable int
}

func (t *tail) follow(ctx context.Context) error {
	// All end with ctx or the first error; waited for by Wait.
	group, following := errgroup.WithContext(ctx)
	for _, reader := range t.readers {
		group.Go(func() error {
			return reader.ReadTo(following, math.MaxInt64, func(r *kafka.Record) error { return t.print(following, r) })
		})
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// print writes a record. One that cannot be decoded is logged and passed over; a
// registry that does not answer says nothing about the record.
func (t *tail) print(ctx context.Context, r *kafka.Record) error {
	event, err := t.decoder.Decode(ctx, r.Value)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, registry := errors.AsType[*codec.RegistryError](err); registry || ctx.Err() != nil {
		return cmp.Or(err, ctx.Err())
	}
	if err != nil {
		t.unreadable++
		t.cfg.Logger.Warn("a record cannot be decoded", "partition", r.Partition, "offset", r.Offset, "error", err)
		return nil
	}
	return t.printer.print(event)
}

func (t *tail) undecoded() error {
	if t.unreadable == 0 {
		return nil
	}
	return fmt.Errorf("%d records of %s could not be decoded: use the release that wrote them, and SCHEMA_REGISTRY_URL as it was then", t.unreadable, t.cfg.Topics.Events)
}
