package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func specs() []kafka.TopicSpec {
	return []kafka.TopicSpec{
		kafka.LogSpec("events", 2, -1, 0),
		kafka.LogSpec("dlq", 1, 1, 90*24*time.Hour),
		kafka.OffsetsSpec("offsets", -1),
	}
}

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3))
	cl := client(t, connection(c))
	got, err := kafka.Ensure(t.Context(), cl, specs(), true)
	must(t, err)

	day := (24 * time.Hour).Milliseconds()
	want := map[string]kafka.Topic{
		"events":  {Name: "events", Partitions: 2, Replication: 3, CleanupPolicy: "delete", RetentionMs: kafka.Unlimited, MinInsyncReplicas: 2},
		"dlq":     {Name: "dlq", Partitions: 1, Replication: 1, CleanupPolicy: "delete", RetentionMs: 90 * day, MinInsyncReplicas: 1},
		"offsets": {Name: "offsets", Partitions: 16, Replication: 3, CleanupPolicy: "compact", RetentionMs: kafka.Unlimited, MinInsyncReplicas: 2},
	}
	for name, topic := range want {
		topic.Known, topic.MaxMessageBytes, topic.TimestampType = true, 1048588, "CreateTime"
		want[name] = topic
	}
	ignore := cmpopts.IgnoreFields(kafka.Topic{}, "ID", "TimestampBeforeMaxMs", "TimestampAfterMaxMs")
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Error(diff)
	}
	if got["events"].ID == "" || got["events"].ID == got["dlq"].ID {
		t.Errorf("topic ids %q and %q", got["events"].ID, got["dlq"].ID)
	}

	again, err := kafka.Ensure(t.Context(), cl, specs(), false)
	must(t, err)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Error(diff)
	}
}

func TestEnsureTakesATopicThatSomebodyElseJustMade(t *testing.T) {
	c := cluster(t)
	c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.TopicInfo("offsets") == nil {
			must(t, c.CreateTopic("offsets", 4, map[string]string{"cleanup.policy": "compact"}))
		}
		return nil, nil, false
	})
	got, err := kafka.Ensure(t.Context(), client(t, connection(c)), []kafka.TopicSpec{kafka.OffsetsSpec("offsets", 1)}, true)
	must(t, err)
	if got["offsets"].Partitions != 4 {
		t.Errorf("got %+v", got["offsets"])
	}
}

func TestEnsureNamesTheCommandWhenItMayNotMakeTopics(t *testing.T) {
	c := cluster(t)
	_, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), false)
	missing, ok := errors.AsType[*kafka.MissingTopicsError](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		"kafka-topics.sh --bootstrap-server BROKER --create --topic events --partitions 2 --config cleanup.policy=delete --config retention.ms=-1",
		"kafka-topics.sh --bootstrap-server BROKER --create --topic dlq --partitions 1 --replication-factor 1 --config cleanup.policy=delete --config retention.ms=7776000000",
		"kafka-topics.sh --bootstrap-server BROKER --create --topic offsets --partitions 16 --config cleanup.policy=compact --config min.cleanable.dirty.ratio=0.1 --config retention.ms=-1 --config segment.bytes=16777216 --config segment.ms=3600000",
	}
	for i, spec := range missing.Specs {
		if diff := cmp.Diff(want[i], spec.Command()); diff != "" {
			t.Error(diff)
		}
	}
	if c.TopicInfo("events") != nil {
		t.Error("a topic was made")
	}
}

// A broker that has just started may not know a topic yet.
func TestEnsureLooksAgainForATopic(t *testing.T) {
	c := cluster(t)
	must(t, c.CreateTopic("events", 1, map[string]string{"cleanup.policy": "delete"}))
	adding := time.AfterFunc(time.Second, func() {
		must(t, c.CreateTopic("dlq", 1, map[string]string{"cleanup.policy": "delete"}))
		must(t, c.CreateTopic("offsets", 16, map[string]string{"cleanup.policy": "compact"}))
	})
	defer adding.Stop()
	got, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), false)
	must(t, err)
	if len(got) != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestCommandOfADurableTopic(t *testing.T) {
	want := "kafka-topics.sh --bootstrap-server BROKER --create --topic o --partitions 1 --replication-factor 3" +
		" --config cleanup.policy=delete --config min.insync.replicas=2 --config retention.ms=-1 --config unclean.leader.election.enable=false"
	if diff := cmp.Diff(want, kafka.LogSpec("o", 1, 3, 0).Command()); diff != "" {
		t.Error(diff)
	}
}

func TestEnsureRefusesAnOffsetsTopicThatIsNotCompacted(t *testing.T) {
	for _, policy := range []string{"delete", "compact,delete", "delete,compact"} {
		c := cluster(t)
		must(t, c.CreateTopic("offsets", 16, map[string]string{"cleanup.policy": policy}))
		_, err := kafka.Ensure(t.Context(), client(t, connection(c)), specs(), true)
		refused, ok := errors.AsType[*kafka.SettingError](err)
		if !ok || refused.Topic != "offsets" || refused.Value != policy {
			t.Errorf("%s: %v", policy, err)
		}
		// Each caller shows both, so the command is in the remedy alone.
		want := "set it with: kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name offsets --add-config cleanup.policy=compact"
		if remedy := kafka.Explain(err); remedy != want || strings.Contains(err.Error(), "--alter") {
			t.Errorf("%v; %s", err, remedy)
		}
	}
}

// A dead letter may have no key, which no compacted topic takes, and a thousand ids
// are one record.
func TestEnsureRefusesTopicsThatDoNotTakeTheirRecords(t *testing.T) {
	for name, test := range map[string]struct {
		spec     kafka.TopicSpec
		settings map[string]string
		refused  bool
	}{
		"dlq":             {kafka.DLQSpec("t", 1, -1, 0), map[string]string{"cleanup.policy": "delete"}, false},
		"compacted dlq":   {kafka.DLQSpec("t", 1, -1, 0), map[string]string{"cleanup.policy": "compact"}, true},
		"partly":          {kafka.DLQSpec("t", 1, -1, 0), map[string]string{"cleanup.policy": "compact,delete"}, true},
		"compacted copy":  {kafka.LogSpec("t", 1, -1, 0), map[string]string{"cleanup.policy": "compact"}, false},
		"small offsets":   {kafka.OffsetsSpec("t", -1), map[string]string{"cleanup.policy": "compact", "max.message.bytes": "60000"}, true},
		"smaller offsets": {kafka.OffsetsSpec("t", -1), map[string]string{"cleanup.policy": "compact", "max.message.bytes": "500000"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			must(t, c.CreateTopic("t", 1, test.settings))
			_, err := kafka.Ensure(t.Context(), client(t, connection(c)), []kafka.TopicSpec{test.spec}, true)
			if _, refused := errors.AsType[*kafka.SettingError](err); refused != test.refused {
				t.Errorf("%v", err)
			}
		})
	}
}

func acl(kind kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
}

// Without DESCRIBE_CONFIGS the settings stay unknown, and Ensure goes on.
func TestEnsureWithoutTheRightToSeeSettings(t *testing.T) {
	c := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "offsets"),
		kfake.User("PLAIN", "svc", "pw", acl(kmsg.ACLResourceTypeTopic, "offsets", kmsg.ACLOperationRead)))
	conn := connection(c)
	conn.SASL = kafka.SASL{Mechanism: "PLAIN", Username: "svc", Password: fixed("pw")}
	cl := client(t, conn)
	got, err := kafka.Ensure(t.Context(), cl, []kafka.TopicSpec{kafka.OffsetsSpec("offsets", 1)}, true)
	must(t, err)
	if topic := got["offsets"]; topic.Known || topic.Partitions != 1 || topic.MaxMessageBytes != 1048588 {
		t.Errorf("got %+v", topic)
	}
	// Nor may it make or see the others.
	_, err = kafka.Ensure(t.Context(), cl, specs(), true)
	if got := kafka.Classify(err); got != kafka.ClassAuthorization {
		t.Errorf("%s: %v", got, err)
	}
}

func TestDescribeNothing(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "other"))
	got, err := kafka.Describe(t.Context(), client(t, connection(c)))
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
