package txlog

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// besideWait is how long a record may wait for its acknowledgement.
const besideWait = 30 * time.Second

// PutBeside writes one value of the state's topic without a transaction, for what nothing
// is decided by. A transaction would need a writer of its own, and one that was killed
// would hold up every reader of the partition, a start of the owner too, until its
// timeout; if Kafka lost its marker, for ever. A single record can do neither, and fences
// no instance.
//
// A crash, or an error, leaves the value before or the new one. To write it again is no
// harm: the latest value of a key counts.
func PutBeside(ctx context.Context, conn kafka.Connection, topic string, partition int32, c Change) error {
	ctx, cancel := context.WithTimeoutCause(ctx, besideWait, fmt.Errorf("not acknowledged for %v", besideWait))
	defer cancel()
	// One record needs no producer id, nor the right to one.
	client, err := conn.Client(ctx, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(c.Key), Value: c.Value}).FirstErr()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return kafka.Explained("writing to "+topic, err)
	}
	return nil
}
