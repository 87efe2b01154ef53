package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Transactions as partitions have them, and as their coordinator has them. The two
// should agree, and sometimes do not: then a transaction hangs.

// Partition names a partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s, partition %d", p.Topic, p.Partition) }

// OpenTransaction is a transaction that a partition has no marker of: its leader
// hides from read_committed consumers everything from Start on.
type OpenTransaction struct {
	Partition        Partition
	Producer         int64
	Epoch            int16
	CoordinatorEpoch int32
	Start            int64     // the offset of its first record
	LastWrite        time.Time // the timestamp of its last record, as the writer gave it
}

// Partitions returns the partitions of the topics that exist.
func Partitions(ctx context.Context, client *kgo.Client, topics ...string) ([]Partition, error) {
	if len(topics) == 0 {
		return nil, nil // to Kafka, no name means every topic
	}
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for the partitions: %w", err)
	}
	var all []Partition
	for name, detail := range details {
		if detail.Err != nil && !errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("asking for the partitions of %s: %w", name, detail.Err)
		}
		for _, p := range detail.Partitions.Sorted() {
			all = append(all, Partition{name, p.Partition})
		}
	}
	return all, nil
}

// OpenTransactions returns what is open in the partitions. hidden are those that we
// may not look into, for which the right READ is needed, and those of brokers that
// cannot tell.
//
// A partition without a leader is an error: nothing is known of it.
func OpenTransactions(ctx context.Context, client *kgo.Client, partitions []Partition) (open []OpenTransaction, hidden []Partition, err error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	for _, p := range partitions {
		at := slices.IndexFunc(req.Topics, func(t kmsg.DescribeProducersRequestTopic) bool { return t.Topic == p.Topic })
		if at < 0 {
			at = len(req.Topics)
			topic := kmsg.NewDescribeProducersRequestTopic()
			topic.Topic = p.Topic
			req.Topics = append(req.Topics, topic)
		}
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, p.Partition)
	}
	for _, shard := range client.RequestSharded(ctx, req) {
		if errors.Is(shard.Err, kerr.UnsupportedVersion) || TooOld(shard.Err) {
			return nil, partitions, nil
		}
		if shard.Err != nil {
			return nil, nil, fmt.Errorf("asking for open transactions: %w", shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range topic.Partitions {
				where := Partition{topic.Topic, p.Partition}
				switch err := kerr.ErrorForCode(p.ErrorCode); {
				case errors.Is(err, kerr.TopicAuthorizationFailed):
					hidden = append(hidden, where)
				case err != nil:
					return nil, nil, fmt.Errorf("asking for open transactions in %v: %w", where, err)
				}
				open = append(open, openIn(where, p.ActiveProducers)...)
			}
		}
	}
	return open, hidden, nil
}

// TooOld reports that the broker does not know the request. kgo's error for that is
// its own, so its text is all there is; where it changes, the request's failure is an
// error like any other.
func TooOld(err error) bool {
	return err != nil && strings.Contains(err.Error(), "broker is too old")
}

func openIn(where Partition, producers []kmsg.DescribeProducersResponseTopicPartitionActiveProducer) (open []OpenTransaction) {
	for _, p := range producers {
		if p.CurrentTxnStartOffset < 0 {
			continue
		}
		open = append(open, OpenTransaction{
			Partition: where, Producer: p.ProducerID, Epoch: int16(p.ProducerEpoch),
			CoordinatorEpoch: p.CoordinatorEpoch, Start: p.CurrentTxnStartOffset, LastWrite: time.UnixMilli(p.LastTimestamp),
		})
	}
	return open
}

// WriteMarker ends the open transaction in its partition, and there alone. It needs
// the right ClusterAction on the cluster. A marker that was written already, and not
// answered, does no harm when it is written again.
//
// The marker takes the epoch after that of the transaction, as Kafka's own do from
// transaction.version 2 on, so it differs from the markers of other transactions where
// they share an epoch.
func WriteMarker(ctx context.Context, client *kgo.Client, t OpenTransaction, commit bool) error {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = t.Partition.Topic, []int32{t.Partition.Partition}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Committed = t.Producer, min(t.Epoch, math.MaxInt16-1)+1, commit
	marker.CoordinatorEpoch = max(0, t.CoordinatorEpoch) // -1 stands for none yet
	marker.Topics = append(marker.Topics, topic)
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, marker)
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return fmt.Errorf("writing a marker to %v: %w", t.Partition, shard.Err)
		}
		for _, m := range shard.Resp.(*kmsg.WriteTxnMarkersResponse).Markers {
			for _, answered := range m.Topics {
				for _, p := range answered.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						return fmt.Errorf("writing a marker to %v: %w", t.Partition, err)
					}
				}
			}
		}
	}
	return nil
}

// Coordinated is a transactional id as its coordinator knows it.
type Coordinated struct {
	State      string // "Empty", "Ongoing", "PrepareCommit", "CompleteCommit" and so on; empty if the id was never used
	Producer   int64
	Epoch      int16
	Partitions []Partition // in the transaction, while it is open; only those we may describe
}

// Open reports whether the coordinator has a transaction that it will end.
func (c Coordinated) Open() bool {
	return c.State == "Ongoing" || strings.HasPrefix(c.State, "Prepare")
}

// Committed reports whether the last transaction was decided as a commit.
func (c Coordinated) Committed() bool {
	return c.State == "PrepareCommit" || c.State == "CompleteCommit"
}

// DescribeCoordinated returns what the coordinators know of the transactional ids.
// One that was never used, or that we may not describe, is left out.
func DescribeCoordinated(ctx context.Context, client *kgo.Client, ids ...string) (map[string]Coordinated, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	described, err := kadm.NewClient(client).DescribeTransactions(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("describing transactions: %w", err)
	}
	known := map[string]Coordinated{}
	for id, t := range described {
		if errors.Is(t.Err, kerr.TransactionalIDNotFound) || errors.Is(t.Err, kerr.TransactionalIDAuthorizationFailed) {
			continue
		}
		if t.Err != nil {
			return nil, fmt.Errorf("describing the transactional id %s: %w", id, t.Err)
		}
		c := Coordinated{State: t.State, Producer: t.ProducerID, Epoch: t.ProducerEpoch}
		for topic, partitions := range t.Topics {
			for p := range partitions {
				c.Partitions = append(c.Partitions, Partition{topic, p})
			}
		}
		known[id] = c
	}
	return known, nil
}

// CoordinatedOf returns what the coordinators know of the producers, by
// transactional id: of those that we may describe.
func CoordinatedOf(ctx context.Context, client *kgo.Client, producers ...int64) (map[string]Coordinated, error) {
	listed, err := kadm.NewClient(client).ListTransactions(ctx, producers, nil)
	if err != nil {
		return nil, fmt.Errorf("listing transactions: %w", err)
	}
	known := map[string]Coordinated{}
	for id, t := range listed {
		known[id] = Coordinated{State: t.State, Producer: t.ProducerID}
	}
	return known, nil
}

// Describable reports whether we may see what the coordinators know of each of the
// transactional ids.
func Describable(ctx context.Context, client *kgo.Client, ids ...string) (bool, error) {
	if len(ids) == 0 {
		return true, nil
	}
	described, err := kadm.NewClient(client).DescribeTransactions(ctx, ids...)
	if err != nil {
		return false, fmt.Errorf("describing transactions: %w", err)
	}
	for _, t := range described {
		if errors.Is(t.Err, kerr.TransactionalIDAuthorizationFailed) {
			return false, nil
		}
		if t.Err != nil && !errors.Is(t.Err, kerr.TransactionalIDNotFound) {
			return false, fmt.Errorf("describing the transactional id %s: %w", t.TxnID, t.Err)
		}
	}
	return true, nil
}

// Ends returns where the partitions end, or where they are stable: behind the last
// record that read_committed consumers can see. A partition of which its broker does
// not answer, for example without a leader, is left out.
func Ends(ctx context.Context, client *kgo.Client, partitions []Partition, stable bool) (map[Partition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	if req.ReplicaID = -1; stable {
		req.IsolationLevel = 1
	}
	for _, p := range partitions {
		at := slices.IndexFunc(req.Topics, func(t kmsg.ListOffsetsRequestTopic) bool { return t.Topic == p.Topic })
		if at < 0 {
			at = len(req.Topics)
			topic := kmsg.NewListOffsetsRequestTopic()
			topic.Topic = p.Topic
			req.Topics = append(req.Topics, topic)
		}
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp, one.CurrentLeaderEpoch = p.Partition, -1, -1
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, one)
	}
	ends, failed := map[Partition]int64{}, error(nil)
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			failed = fmt.Errorf("listing offsets: %w", shard.Err)
			continue
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode == 0 && p.Offset >= 0 {
					ends[Partition{topic.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	if len(ends) == 0 && failed != nil {
		return nil, failed
	}
	return ends, nil
}

// AnyOpenIn reports whether somebody but the transactional id has a transaction open
// in the partition that its coordinator will end, as far as we may see that.
func AnyOpenIn(ctx context.Context, client *kgo.Client, p Partition, but string) (bool, error) {
	listed, err := CoordinatedOf(ctx, client)
	if err != nil {
		return false, err
	}
	var open []string
	for id, c := range listed {
		if c.Open() && id != but {
			open = append(open, id)
		}
	}
	described, err := DescribeCoordinated(ctx, client, open...)
	if err != nil {
		return false, err
	}
	for _, c := range described {
		if c.Open() && slices.Contains(c.Partitions, p) {
			return true, nil
		}
	}
	return false, nil
}

// OffsetsAfter returns, of each partition of the topic, the offset of the first batch
// at or after the time by the batch's own timestamp; the end if there is none.
func OffsetsAfter(ctx context.Context, client *kgo.Client, topic string, at time.Time) (map[int32]int64, error) {
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err != nil {
		return nil, fmt.Errorf("looking for offsets of %s by time: %w", topic, err)
	}
	offsets := map[int32]int64{}
	for partition, o := range listed[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("looking for offsets of %s, partition %d, by time: %w", topic, partition, o.Err)
		}
		offsets[partition] = o.Offset
	}
	return offsets, nil
}
