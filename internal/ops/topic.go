package ops

import (
	"context"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// extent is a topic as it was at one moment, by partition.
type extent struct {
	topic   string
	offsets []kafka.Offsets
}

func extentOf(ctx context.Context, conn kafka.Connection, topic string) (extent, error) {
	offsets, err := kafka.TopicOffsets(ctx, conn, topic)
	if err != nil {
		return extent{}, explained(err)
	}
	return extent{topic, offsets}, nil
}

func (e extent) size() (records int64) {
	for _, o := range e.offsets {
		records += o.End - o.Start
	}
	return records
}

// piece is how many offsets are read under one time limit.
const piece = 50_000

// read passes the committed records of all partitions up to the extent's ends,
// each partition in order. What is transacted there now is waited for.
func read(ctx context.Context, c Config, e extent, fn func(*kafka.Record) error) error {
	done := int64(0)
	for partition, offsets := range e.offsets {
		err := readPartition(ctx, c.Connection, e.topic, int32(partition), offsets, fn, func(n int64) {
			done += n
			c.progress("reading "+e.topic, done, e.size())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func readPartition(ctx context.Context, conn kafka.Connection, topic string, partition int32, o kafka.Offsets, fn func(*kafka.Record) error, progress func(n int64)) error {
	reader, err := kafka.NewReader(ctx, conn, topic, partition, kafka.LogStart)
	if err != nil {
		return err
	}
	defer reader.Close()
	for from := o.Start; from < o.End; from += piece {
		to := min(from+piece, o.End)
		if err := readPiece(ctx, reader, to, fn); err != nil {
			return err
		}
		progress(to - from)
	}
	return nil
}

func readPiece(ctx context.Context, reader *kafka.Reader, to int64, fn func(*kafka.Record) error) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	if err := reader.ReadTo(ctx, to, fn); err != nil {
		return explained(err)
	}
	return nil
}
