package kafka_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// A codec is tried without a record: the batch is whole, says which codec it has, and
// is refused as a marker that no client may write.
func TestTakesCodecWritesNothing(t *testing.T) {
	for codec, kind := range map[string]int16{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4} {
		c := cluster(t, kfake.SeedTopics(1, "events"))
		var attributes int16
		c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
			var batch kmsg.RecordBatch
			must(t, batch.ReadFrom(request.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records))
			attributes = batch.Attributes
			return nil, nil, false
		})
		cl := client(t, connection(c))
		topics, err := kafka.Describe(t.Context(), cl, "events")
		must(t, err)
		must(t, kafka.TakesCodec(t.Context(), cl, topics["events"], codec))
		if attributes != kind|0x20 {
			t.Errorf("%s: attributes %#x", codec, attributes)
		}
		if end := c.PartitionInfo("events", 0).HighWatermark; end != 0 {
			t.Errorf("%s: %d records were written", codec, end)
		}
	}
}

func TestTakesCodecOfABrokerThatDoesNot(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "events"))
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		req := request.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		topic, partition := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
		topic.Topic, topic.TopicID, partition.ErrorCode = req.Topics[0].Topic, req.Topics[0].TopicID, kerr.UnsupportedCompressionType.Code
		topic.Partitions = append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	err := kafka.TakesCodec(t.Context(), client(t, connection(c)), kafka.Topic{Name: "events"}, "zstd")
	if !errors.Is(err, kerr.UnsupportedCompressionType) || kafka.Classify(err) != kafka.ClassSettings {
		t.Errorf("got %v", err)
	}
}
