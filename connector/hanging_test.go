package connector_test

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// hang lets Kafka say that a transaction of the organization is open in its dead
// letter topic, which no coordinator knows, until somebody writes a marker there.
func (w *world) hang() {
	w.t.Helper()
	topic := w.cfg.Kafka.DLQTopic // events without a cursor would be refused
	w.cluster.CreateTopic(topic, 1, nil)
	left := w.produce(w.cluster.Client(), &kgo.Record{
		Topic:   topic,
		Headers: []kgo.RecordHeader{{Key: codec.HeaderSource, Value: []byte(codec.Source("default"))}},
	})
	var ended atomic.Bool
	fake := w.cluster.Fake()
	fake.ControlKey(kmsg.WriteTxnMarkers.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		ended.Store(true)
		return nil, nil, false
	})
	w.describe(func(p *kmsg.DescribeProducersResponseTopicPartition, of string) {
		if of != topic || ended.Load() {
			return
		}
		one := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		one.ProducerID, one.ProducerEpoch = left.ProducerID, int32(left.ProducerEpoch)
		one.CurrentTxnStartOffset, one.LastTimestamp = left.Offset, left.Timestamp.UnixMilli()
		p.ActiveProducers = append(p.ActiveProducers, one)
	})
}

// describe lets brokers say of a partition's producers what fill makes of no producer.
func (w *world) describe(fill func(p *kmsg.DescribeProducersResponseTopicPartition, topic string)) {
	fake := w.cluster.Fake()
	fake.ControlKey(kmsg.DescribeProducers.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		req := request.(*kmsg.DescribeProducersRequest)
		resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, topic := range req.Topics {
			answer := kmsg.NewDescribeProducersResponseTopic()
			answer.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition = partition
				fill(&p, topic.Topic)
				answer.Partitions = append(answer.Partitions, p)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
}

// produce writes the record, and returns it as it is in the topic.
func (w *world) produce(client *kgo.Client, r *kgo.Record) *kgo.Record {
	w.t.Helper()
	r, err := client.ProduceSync(w.t.Context(), r).First()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
