package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Unlimited is the retention.ms of a topic that keeps everything.
const Unlimited int64 = -1

// Topic is a topic as the brokers describe it.
type Topic struct {
	Name string
	// ID is Kafka's id of the topic, as kafka-topics.sh prints it; empty if the
	// broker does not say. A topic that was deleted and made again has another one.
	ID          string
	Partitions  int32
	Replication int // of the partition that has the fewest replicas

	// Known says that the settings below were read. If not, the right
	// DESCRIBE_CONFIGS is missing and they are the defaults of Kafka 4.
	Known                bool
	CleanupPolicy        string // "delete", "compact" or both; empty if not Known
	RetentionMs          int64  // Unlimited for ever
	RetentionBytes       int64  // of each partition; 0 for any size
	MaxMessageBytes      int    // of a batch, as it is compressed
	MinInsyncReplicas    int
	UncleanElection      bool   // a replica that lags may become the leader
	TimestampType        string // "CreateTime" or "LogAppendTime"
	TimestampBeforeMaxMs int64  // how far behind the broker's clock a timestamp may lie
	TimestampAfterMaxMs  int64  // and how far ahead

	// LeftOut names the settings that a policy of the cluster did not take, if Ensure
	// has just made the topic.
	LeftOut []string
}

// Describe returns the topics of the given names that exist, by name.
func Describe(ctx context.Context, client *kgo.Client, names ...string) (map[string]Topic, error) {
	if len(names) == 0 {
		return nil, nil // to Kafka, no name means every topic
	}
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describing the topics: %w", err)
	}
	topics := make(map[string]Topic, len(details))
	for name, detail := range details {
		if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		topic, err := newTopic(detail)
		if err != nil {
			return nil, fmt.Errorf("describing the topic %s: %w", name, err)
		}
		topics[name] = topic
	}
	return topics, readSettings(ctx, admin, topics)
}

func newTopic(detail kadm.TopicDetail) (Topic, error) {
	t := Topic{
		Name: detail.Topic, Partitions: int32(len(detail.Partitions)),
		RetentionMs: (7 * 24 * time.Hour).Milliseconds(), MaxMessageBytes: 1048588, MinInsyncReplicas: 1,
		TimestampType: "CreateTime", TimestampBeforeMaxMs: maxInt64, TimestampAfterMaxMs: time.Hour.Milliseconds(),
	}
	if detail.Err != nil {
		return t, detail.Err
	}
	if detail.ID != (kadm.TopicID{}) {
		t.ID = base64.RawURLEncoding.EncodeToString(detail.ID[:])
	}
	for i, partition := range detail.Partitions.Sorted() {
		if partition.Err != nil {
			return t, fmt.Errorf("partition %d: %w", partition.Partition, partition.Err)
		}
		if replicas := len(partition.Replicas); i == 0 || replicas < t.Replication {
			t.Replication = replicas
		}
	}
	return t, nil
}

const maxInt64 = 1<<63 - 1

// readSettings fills in what DESCRIBE_CONFIGS lets us see.
func readSettings(ctx context.Context, admin *kadm.Client, topics map[string]Topic) error {
	// One request a topic, since kadm fails a whole one when a single topic in
	// it is forbidden.
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		var settings kadm.ResourceConfig
		described, err := admin.DescribeTopicConfigs(ctx, name)
		if err == nil { // of the transport; the topic's own comes next
			settings, err = described.On(name, func(r *kadm.ResourceConfig) error { return r.Err })
		}
		if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
			continue
		}
		if err != nil {
			return fmt.Errorf("describing the settings of the topic %s: %w", name, err)
		}
		topic := topics[name]
		topic.apply(settings.Configs)
		topics[name] = topic
	}
	return nil
}

// Milliseconds returns what a setting of a topic limits, as a duration. ok is false where
// it sets no limit: it is not known, or, as by default, longer than any duration.
func Milliseconds(ms int64) (d time.Duration, ok bool) {
	if ms <= 0 || ms >= math.MaxInt64/int64(time.Millisecond) {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

func (t *Topic) apply(configs []kadm.Config) {
	values := make(map[string]string, len(configs))
	for _, c := range configs {
		values[c.Key] = c.MaybeValue()
	}
	number := func(into *int64, keys ...string) {
		for _, key := range keys {
			if n, err := strconv.ParseInt(values[key], 10, 64); err == nil {
				*into = n
				return
			}
		}
	}
	t.Known = true
	t.CleanupPolicy = values["cleanup.policy"]
	t.UncleanElection = values["unclean.leader.election.enable"] == "true"
	if kind := values["message.timestamp.type"]; kind != "" {
		t.TimestampType = kind
	}
	number(&t.RetentionMs, "retention.ms")
	number(&t.RetentionBytes, "retention.bytes")
	t.RetentionBytes = max(0, t.RetentionBytes) // -1 for any size
	// Brokers before 3.6 know one limit for both directions.
	number(&t.TimestampBeforeMaxMs, "message.timestamp.before.max.ms", "message.timestamp.difference.max.ms")
	number(&t.TimestampAfterMaxMs, "message.timestamp.after.max.ms", "message.timestamp.difference.max.ms")
	maxBytes, minISR := int64(t.MaxMessageBytes), int64(t.MinInsyncReplicas)
	number(&maxBytes, "max.message.bytes")
	number(&minISR, "min.insync.replicas")
	t.MaxMessageBytes, t.MinInsyncReplicas = int(maxBytes), int(minISR)
}
