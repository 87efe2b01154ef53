package kafka_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// refuseSettings lets the broker refuse a new topic for the first setting that is not
// among these, or is below its least value, as managed clusters do.
func refuseSettings(c *kfake.Cluster, takes map[string]int64) {
	c.ControlKey(int16(kmsg.CreateTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := request.(*kmsg.CreateTopicsRequest)
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, topic := range req.Topics {
			for _, config := range topic.Configs {
				least, ok := takes[config.Name]
				value, err := strconv.ParseInt(*config.Value, 10, 64)
				if ok && (err != nil || value >= least) {
					continue
				}
				refused := kmsg.NewCreateTopicsResponseTopic()
				refused.Topic, refused.ErrorCode, refused.ErrorMessage = topic.Topic, kerr.PolicyViolation.Code, new("not "+config.Name)
				resp.Topics = append(resp.Topics, refused)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
}

// A managed cluster takes only some settings: what it takes is set, and the rest named.
func TestEnsureMakesTopicsAsAPolicyWantsThem(t *testing.T) {
	for name, test := range map[string]struct {
		takes   map[string]int64
		events  []string // what is left out
		offsets []string
		segment string // segment.bytes of the offsets topic
	}{
		"like Confluent Cloud": {
			map[string]int64{"cleanup.policy": 0, "retention.ms": -1, "min.insync.replicas": 1, "segment.bytes": 52428800, "segment.ms": 14400000},
			[]string{"unclean.leader.election.enable"}, []string{"min.cleanable.dirty.ratio", "unclean.leader.election.enable"}, "52428800",
		},
		"like MSK Serverless": {
			map[string]int64{"cleanup.policy": 0, "retention.ms": -1},
			[]string{"min.insync.replicas", "unclean.leader.election.enable"},
			[]string{"min.cleanable.dirty.ratio", "min.insync.replicas", "segment.bytes", "segment.ms", "unclean.leader.election.enable"}, "",
		},
		"that takes the policy alone": {
			map[string]int64{"cleanup.policy": 0},
			[]string{"min.insync.replicas", "retention.ms", "unclean.leader.election.enable"},
			[]string{"min.cleanable.dirty.ratio", "min.insync.replicas", "retention.ms", "segment.bytes", "segment.ms", "unclean.leader.election.enable"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, kfake.NumBrokers(3))
			refuseSettings(c, test.takes)
			got, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), true)
			must(t, err)
			for topic, want := range map[string][]string{"events": test.events, "offsets": test.offsets} {
				if diff := cmp.Diff(want, got[topic].LeftOut); diff != "" {
					t.Errorf("%s: %s", topic, diff)
				}
			}
			if got["offsets"].CleanupPolicy != "compact" || got["events"].Replication != 3 {
				t.Errorf("got %+v", got)
			}
			var segment string
			if value := c.TopicInfo("offsets").Configs["segment.bytes"]; value != nil {
				segment = *value
			}
			if segment != test.segment {
				t.Errorf("segment.bytes is %q", segment)
			}
			for _, setting := range test.offsets {
				if !strings.Contains(kafka.CostOf(test.offsets), setting+": ") {
					t.Errorf("it is not said what it costs to go without %s", setting)
				}
			}
			again, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), true)
			must(t, err)
			if left := again["offsets"].LeftOut; left != nil {
				t.Errorf("said at every start: %v", left)
			}
		})
	}
}

// A command that is printed must not be refused by the policy.
func TestCommandsAreAsAPolicyWantsThem(t *testing.T) {
	t.Parallel() // a missing topic is looked for for five seconds
	c := cluster(t)
	refuseSettings(c, map[string]int64{"cleanup.policy": 0, "segment.ms": 14400000})
	_, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs()[2:], false)
	missing, ok := errors.AsType[*kafka.MissingTopicsError](err)
	if !ok {
		t.Fatal(err)
	}
	want := "kafka-topics.sh --bootstrap-server BROKER --create --topic offsets --partitions 16 --config cleanup.policy=compact --config segment.ms=14400000"
	if diff := cmp.Diff(want, missing.Specs[0].Command()); diff != "" {
		t.Error(diff)
	}
}

// What is refused in every form is an error with what the broker says, and is not tried
// setting by setting for ever.
func TestEnsureWhereAPolicyRefusesTheTopic(t *testing.T) {
	c := cluster(t)
	refuseSettings(c, nil)
	_, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), true)
	if _, ok := errors.AsType[*kafka.CreateError](err); !ok || !strings.Contains(err.Error(), "not cleanup.policy") || kafka.Classify(err) != kafka.ClassSettings {
		t.Errorf("got %v", err)
	}
}
