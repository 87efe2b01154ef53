package txlog_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// TestThrottled lets the broker make the writer wait for its quota in the middle of a
// transaction. One that fits into the time of a transaction is committed; of one that
// does not, the error says that it is the quota, and whose.
func TestThrottled(t *testing.T) {
	for name, tt := range map[string]struct {
		wait time.Duration
		ok   bool
	}{"for a while": {35 * time.Second, true}, "for too long": {2 * time.Minute, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
				w := newWorld(t, c)
				w.cfg.Compression = "none"
				log := w.open(w.cfg)
				w.mustCommit(log)
				throttle := true
				c.Fake().ControlKey(kmsg.Produce.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
					c.Fake().KeepControl()
					if !throttle {
						return nil, nil, false
					}
					throttle = false
					req := request.(*kmsg.ProduceRequest)
					resp := req.ResponseKind().(*kmsg.ProduceResponse)
					resp.ThrottleMillis = int32(tt.wait.Milliseconds())
					for _, topic := range req.Topics {
						answer := kmsg.NewProduceResponseTopic()
						answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
						for _, p := range topic.Partitions {
							partition := kmsg.NewProduceResponseTopicPartition()
							partition.Partition, partition.ErrorCode = p.Partition, kerr.NotLeaderForPartition.Code
							answer.Partitions = append(answer.Partitions, partition)
						}
						resp.Topics = append(resp.Topics, answer)
					}
					return resp, nil, true
				})
				err := w.commit(t.Context(), log, w.records(7)...)
				if tt.ok != (err == nil) {
					t.Errorf("throttled for %v it ended with %v", tt.wait, err)
				}
				if err != nil && (!strings.Contains(err.Error(), "throttle this client, for 2m0s") || !strings.Contains(err.Error(), `client id "test"`)) {
					t.Errorf("the error does not name the quota: %v", err)
				}
				log.Close()
			})
		})
	}
}

// TestSilentRead lets nothing come of a topic: the read ends, and says so.
func TestSilentRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
		w := newWorld(t, c)
		w.cfg.Compression = "none"
		log := w.open(w.cfg)
		w.mustCommit(log)
		log.Close()
		p := c.Proxy()
		p.Add(kafkatest.Fault{Key: kmsg.Fetch.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
		began := time.Now()
		_, err := txlog.NewSearch("x").Holds(t.Context(), w.through(p).Connection, kafka.Topic{Name: w.events, Partitions: 2}, "")
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing came from") || took > 2*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}
