package connector_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// A transaction that stays open where we may not look is told once, with the right that
// is missing, and not before a neighbour's would have ended; the warning goes when it does.
func TestHiddenTransactionIsTold(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		l := &logged{}
		w.cfg.Logger = telemetry.NewLogger(slog.LevelInfo, "json", l, false)
		i := w.start()
		i.awaitReady()
		events := w.cfg.Kafka.Topic
		describeProducers(w, func(p *kmsg.DescribeProducersResponseTopicPartition, _ string) {
			p.ErrorCode = kerr.TopicAuthorizationFailed.Code
		})
		fake := w.cluster.Fake()
		fake.ControlKey(kmsg.ListTransactions.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			return request.ResponseKind(), nil, true // whose it is we may not see either
		})
		neighbour := w.cluster.Client(kgo.TransactionalID("neighbour"), kgo.TransactionTimeout(10*time.Minute))
		w.must(neighbour.BeginTransaction())
		w.kafka().produce(neighbour, &kgo.Record{Topic: events})

		told := func() []string { return l.lines("a transaction may hang where this user may not look") }
		time.Sleep(70 * time.Second)
		w.api.Step(1, 0, 0) // more behind it changes nothing
		if lines := told(); len(lines) > 0 {
			t.Errorf("a neighbour's transaction of 70 s is told: %s", lines)
		}
		time.Sleep(5 * time.Minute)
		want := "Grant READ on Topic:" + events + " to this user"
		if lines := told(); len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("after six minutes the log has %q, want one line with %q", lines, want)
		}
		if warned := i.warned(); len(warned) != 1 || !strings.Contains(warned[0], want) || !strings.Contains(warned[0], events+", partition 0") {
			t.Errorf("warned: %q, want %q", warned, want)
		}
		w.must(neighbour.EndTransaction(t.Context(), kgo.TryAbort))
		time.Sleep(3 * time.Minute)
		if warned := i.warned(); len(warned) != 2 || warned[1] != "default:  " {
			t.Errorf("after its end: %q, want the warning taken back", warned)
		}
		w.must(i.stop())
	})
}

// hang lets Kafka say that a transaction of the organization is open in its dead
// letter topic, which no coordinator knows, until somebody writes a marker there.
func (w inKafka) hang() {
	w.t.Helper()
	topic := w.cfg.Kafka.DLQTopic // events without a cursor would be refused
	w.cluster.CreateTopic(topic, 1, nil)
	left := w.kafka().produce(w.cluster.Client(), &kgo.Record{
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
	describeProducers(w.world, func(p *kmsg.DescribeProducersResponseTopicPartition, of string) {
		if of != topic || ended.Load() {
			return
		}
		one := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		one.ProducerID, one.ProducerEpoch = left.ProducerID, int32(left.ProducerEpoch)
		one.CurrentTxnStartOffset, one.LastTimestamp = left.Offset, left.Timestamp.UnixMilli()
		p.ActiveProducers = append(p.ActiveProducers, one)
	})
}

// describeProducers lets brokers answer about a partition's producers with what fill puts in.
func describeProducers(w *world, fill func(p *kmsg.DescribeProducersResponseTopicPartition, topic string)) {
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
func (w inKafka) produce(client *kgo.Client, r *kgo.Record) *kgo.Record {
	w.t.Helper()
	r, err := client.ProduceSync(w.t.Context(), r).First()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
