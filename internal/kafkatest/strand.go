package kafkatest

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Unverified lets brokers take the records of a transaction that its coordinator does
// not know of, as Strand needs it.
func Unverified() Option {
	return Properties(map[string]string{"transaction.partition.verification.enable": "false"})
}

// Strand writes a record of a transaction that the partition has open and the
// coordinator does not: just what is left where Kafka lost the marker. The record's
// producer id and epoch are those of the transaction, and sequence is how many records
// of that epoch the partition has. The cluster must be Unverified, and real.
func (c *Cluster) Strand(transactionalID string, sequence int32, record *kgo.Record) {
	c.helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	headers := make([]kmsg.Header, len(record.Headers))
	for i, h := range record.Headers {
		headers[i] = kmsg.Header{Key: h.Key, Value: h.Value}
	}
	one := kmsg.Record{Key: record.Key, Value: record.Value, Headers: headers}
	one.Length = int32(len(one.AppendTo(nil)) - 1) // its own length is a byte so far
	at := record.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 0x10, // of a transaction
		FirstTimestamp: at.UnixMilli(), MaxTimestamp: at.UnixMilli(),
		ProducerID: record.ProducerID, ProducerEpoch: record.ProducerEpoch, FirstSequence: sequence,
		NumRecords: 1, Records: one.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	const upToLength, upToCRC = 12, 21
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-upToLength))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[upToCRC:], crc32.MakeTable(crc32.Castagnoli)))

	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Partition, partition.Records = record.Partition, raw
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = record.Topic, append(topic.Partitions, partition)
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &transactionalID, -1, 10_000
	req.Topics = append(req.Topics, topic)
	// A later version would add the partition to the coordinator's transaction.
	client := c.Client(kgo.MaxVersions(kversion.V3_6_0()))
	details, err := kadm.NewClient(client).ListTopics(ctx, record.Topic)
	if err != nil {
		c.fatalf("stranding a record in %s: %v", record.Topic, err)
	}
	leader := details[record.Topic].Partitions[record.Partition].Leader
	answer, err := client.Broker(int(leader)).Request(ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		c.fatalf("stranding a record in %s, partition %d: %v", record.Topic, record.Partition, err)
	}
}
