package kafka_test

import (
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// A coordinator that is on its way is waited for, and no longer than that; all else is
// no reason to wait.
func TestAwaitCoordinator(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		after time.Duration // when it is no more
		want  error
		least time.Duration
	}{
		"there at once": {nil, 0, nil, 0},
		"on its way":    {kerr.CoordinatorNotAvailable, 15 * time.Second, nil, 15 * time.Second},
		"loading":       {kerr.CoordinatorLoadInProgress, time.Second, nil, time.Second},
		"never there":   {kerr.CoordinatorNotAvailable, time.Hour, kerr.CoordinatorNotAvailable, 20 * time.Second},
		"not allowed":   {kerr.TransactionalIDAuthorizationFailed, time.Hour, kerr.TransactionalIDAuthorizationFailed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, told := time.Now(), 0
				err := kafka.AwaitCoordinator(t.Context(), func() { told++ }, func() error {
					if time.Since(began) >= tt.after {
						return nil
					}
					return tt.err
				})
				took := time.Since(began)
				if !errors.Is(err, tt.want) || took < tt.least || took > tt.least+time.Second || (told > 0) != (took > 0) {
					t.Errorf("%v after %v, told %d times", err, took, told)
				}
			})
		})
	}
}

// A topic that was made and that no broker tells of for long is no missing one: that
// would end the process.
func TestNewTopicIsNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
		var shown atomic.Bool
		c.Fake().ControlKey(kmsg.Metadata.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			c.Fake().KeepControl()
			req := request.(*kmsg.MetadataRequest)
			if len(req.Topics) == 0 || shown.Load() {
				return nil, nil, false
			}
			resp := req.ResponseKind().(*kmsg.MetadataResponse)
			broker := kmsg.NewMetadataResponseBroker()
			host, port, _ := net.SplitHostPort(c.Brokers()[0])
			number, _ := strconv.ParseInt(port, 10, 32)
			broker.Host, broker.Port = host, int32(number)
			resp.Brokers = append(resp.Brokers, broker)
			for _, topic := range req.Topics {
				answer := kmsg.NewMetadataResponseTopic()
				answer.Topic, answer.ErrorCode = topic.Topic, kerr.UnknownTopicOrPartition.Code
				resp.Topics = append(resp.Topics, answer)
			}
			return resp, nil, true
		})
		specs := []kafka.TopicSpec{kafka.LogSpec("new", 1, 1, 0)}
		client := c.Client(kgo.MetadataMinAge(250 * time.Millisecond))
		_, err := kafka.Ensure(t.Context(), client, specs, true)
		unseen, _ := errors.AsType[*kafka.UnseenTopicsError](err)
		if missing, is := errors.AsType[*kafka.MissingTopicsError](err); unseen == nil || is {
			t.Fatalf("%v, missing %v", err, missing)
		}
		shown.Store(true)
		if topics, err := kafka.Ensure(t.Context(), client, specs, true); err != nil || topics["new"].Partitions != 1 {
			t.Errorf("%v, %v", topics, err)
		}
	})
}
