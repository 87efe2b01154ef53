package ops_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What only some clusters refuse: topics by their settings, and codecs. A real broker
// with a policy is in cmd/openai-audit-kafka.
func TestCheckOfAManagedCluster(t *testing.T) {
	for _, tt := range []cause{
		{name: "a policy that refuses settings", wrong: func(w *world) { w.kafka().refuseSettings("retention.ms", "segment.bytes") },
			of: topicOf(offsetsTopic), state: ops.Warning, words: "is made at the first start without retention.ms, segment.bytes, which a policy of the cluster refuses"},
		{name: "a policy, and missing topics that may not be made",
			wrong: func(w *world) { w.ops.Making.Allowed = false; w.kafka().refuseSettings("segment.bytes") },
			of:    topicOf(offsetsTopic), state: ops.Failed, words: "--partitions 16 --config cleanup.policy=compact --config min.cleanable.dirty.ratio=0.1 --config retention.ms=-1 --config segment.ms=3600000"},
		{name: "a policy that refuses every topic", wrong: func(w *world) { w.kafka().refuseSettings("cleanup.policy") },
			of: topicOf(offsetsTopic), state: ops.Failed, words: "cleanup.policy may not be set"},
		{name: "a codec that the brokers do not take", wrong: func(w *world) { w.kafka().topic(w.ops.Topics.Events, -1, nil); w.kafka().refuseCodec() },
			of: named("compression"), state: ops.Failed, words: "set KAFKA_COMPRESSION=gzip, or none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 1, Organization: "org-1"})
			w.api.Generate(30, ago(100*time.Hour), ago(time.Hour))
			tt.wrong(w)
			r := ops.Check(t.Context(), w.ops, w.settings)
			text, _ := w.judge(r, tt) // the other topics are refused as well
			if text == "" {
				t.Error(printed(r))
			}
		})
	}
}

// refuseSettings lets the brokers refuse a new topic with any of the settings.
func (w inKafka) refuseSettings(settings ...string) {
	w.cluster.Fake().ControlKey(kmsg.CreateTopics.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.Fake().KeepControl()
		req := request.(*kmsg.CreateTopicsRequest)
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, topic := range req.Topics {
			for _, config := range topic.Configs {
				if slices.Contains(settings, config.Name) {
					refused := kmsg.NewCreateTopicsResponseTopic()
					refused.Topic, refused.ErrorCode, refused.ErrorMessage = topic.Topic, kerr.PolicyViolation.Code, new(config.Name+" may not be set")
					resp.Topics = append(resp.Topics, refused)
					return resp, nil, true
				}
			}
		}
		return nil, nil, false
	})
}

// refuseCodec lets the brokers take what is not compressed, or by gzip.
func (w inKafka) refuseCodec() {
	w.cluster.Fake().ControlKey(kmsg.Produce.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.Fake().KeepControl()
		req := request.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range req.Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				var batch kmsg.RecordBatch
				if err := batch.ReadFrom(partition.Records); err != nil || batch.Attributes&7 < 2 {
					return nil, nil, false
				}
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = partition.Partition, kerr.UnsupportedCompressionType.Code
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil, true
	})
}
