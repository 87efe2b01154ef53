package main

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// A real broker with a policy like that of a managed cluster, and with a least session
// of consumer groups above ours. The program makes what the policy takes, and says what
// it left out; where it may not make topics, what it prints makes them, word for word.
func TestManagedCluster(t *testing.T) {
	t.Parallel() // it waits for a broker of its own
	c := kafkatest.Real(t, kafkatest.Properties(map[string]string{"group.min.session.timeout.ms": "30000"}),
		kafkatest.TopicPolicy("cleanup.policy", "retention.ms", "segment.bytes>=52428800", "segment.ms>=14400000"))
	w := newProcesses(t, c)
	w.topics = []string{"managed", "managed.dlq", "managed.offsets"}

	w.extra = []string{"KAFKA_CREATE_TOPICS=false", "LOG_FORMAT=text"}
	p := w.start(c.Brokers())
	if code := p.exit(time.Minute); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	printed := regexp.MustCompile(`make them with: (.*?) \(where`).FindStringSubmatch(p.log.String())
	if printed == nil {
		t.Fatalf("no command in\n%s", p.log.String())
	}
	w.must(c.Shell(t.Context(), printed[1]))
	w.kafka().hasSettings("managed.offsets", map[string]string{"cleanup.policy": "compact", "retention.ms": "-1", "segment.bytes": "52428800", "segment.ms": "14400000"})
	p = w.start(c.Brokers())
	w.await()
	w.alive(p)

	w.topics = []string{"made", "made.dlq", "made.offsets"}
	w.extra = []string{"KAFKA_GROUP_ID=group"}
	p = w.start(c.Brokers())
	w.await()
	w.alive(p)
	w.kafka().hasSettings("made", map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"})
	w.kafka().hasSettings("made.offsets", map[string]string{"cleanup.policy": "compact", "retention.ms": "-1", "segment.bytes": "52428800", "segment.ms": "14400000"})
	for _, want := range []string{`"topic":"made.offsets","left_out":"min.cleanable.dirty.ratio"`, "is compacted later", "group.min.session.timeout.ms"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, p.log.String())
		}
	}
}

// hasSettings fails unless these and no others were set for the topic.
func (w inKafka) hasSettings(topic string, want map[string]string) {
	w.t.Helper()
	described, err := w.c.Admin().DescribeTopicConfigs(w.t.Context(), topic)
	settings, found := described.On(topic, nil)
	if err = errors.Join(err, found); err != nil {
		w.t.Fatal(err)
	}
	got := map[string]string{}
	for _, config := range settings.Configs {
		if config.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			got[config.Key] = config.MaybeValue()
		}
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("%s has %v (%v)", topic, got, slices.Sorted(maps.Keys(got)))
	}
}
