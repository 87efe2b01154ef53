package txlog

import (
	"cmp"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TransactionalID names the one writer of an owner's state in the topic, or of
// what it does aside. Unless a prefix is given it holds the topic's name, so that
// deployments with topics of their own never fence each other.
func TransactionalID(prefix, topic, owner string) string {
	return cmp.Or(prefix, topic) + "/" + owner
}

// Partition returns the partition, of that many, in which the state of the named
// owner lives: where Kafka's own partitioner would put a record with that key.
func Partition(owner string, partitions int32) int32 {
	record := &kgo.Record{Key: []byte(owner)}
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(record, int(partitions)))
}

// partitioner puts records of the state where they say, and all others by their
// key as Kafka does.
type partitioner struct{ state string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.state {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return byKey{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

// byKey does not hash the key where there is only one partition, which is usual.
type byKey struct{ kgo.TopicPartitioner }

// OnNewBatch is for records without a key, which the letter of an event without an id is.
func (p byKey) OnNewBatch() {
	if p, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}

func (p byKey) Partition(r *kgo.Record, partitions int) int {
	if partitions == 1 {
		return 0
	}
	return p.TopicPartitioner.Partition(r, partitions)
}
