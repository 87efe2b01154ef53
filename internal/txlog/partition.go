package txlog

import "github.com/twmb/franz-go/pkg/kgo"

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
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}
