package ops_test

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

var brokers = named("brokers")

func scram(password string) kafka.SASL {
	return kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: kafkatest.User, Password: fixed(password)}
}

// connect changes how the brokers are reached.
func connect(change func(*kafka.Connection, *kafkatest.Security)) func(*world) {
	return func(w *world) { change(&w.ops.Connection, w.cluster.Security()) }
}

// connectionCauses are about the way to the brokers.
var connectionCauses = []cause{
	{name: "signed in", wrong: func(*world) {}, of: brokers, state: ops.OK, words: " of cluster "},
	{name: "no broker listens", wrong: func(w *world) {
		w.ops.Connection = kafka.Connection{Brokers: []string{"127.0.0.1:1"}}
	}, of: brokers, state: ops.Failed, words: "cannot be reached"},
	{name: "brokers of an unknown host", wrong: func(w *world) {
		w.ops.Connection = kafka.Connection{Brokers: []string{"kafka.invalid:9092"}}
	}, of: brokers, state: ops.Failed, words: "the host name is not known"},
	{name: "a wrong password", wrong: connect(func(c *kafka.Connection, _ *kafkatest.Security) { c.SASL = scram("wrong") }),
		of: brokers, state: ops.Failed, words: "KAFKA_SASL_PASSWORD", secured: true},
	{name: "a password's file that cannot be read", wrong: connect(func(c *kafka.Connection, _ *kafkatest.Security) {
		c.SASL.Password = func() (string, error) { return readFile("password.missing") }
	}), of: brokers, state: ops.Failed, words: "cannot be read", secured: true},
	{name: "a mechanism that is not offered", wrong: connect(func(c *kafka.Connection, s *kafkatest.Security) {
		*c = kafka.Connection{Brokers: s.SASL, SASL: kafka.SASL{Mechanism: "OAUTHBEARER", Token: fixed("x")}}
	}), of: brokers, state: ops.Failed, words: "KAFKA_SASL_MECHANISM", secured: true},
	{name: "no SASL", wrong: connect(func(c *kafka.Connection, s *kafkatest.Security) { *c = kafka.Connection{Brokers: s.SASL} }),
		of: brokers, state: ops.Failed, words: "KAFKA_SASL_MECHANISM", secured: true},
	{name: "no TLS", wrong: connect(func(c *kafka.Connection, _ *kafkatest.Security) { c.TLS = kafka.TLS{} }),
		of: brokers, state: ops.Failed, words: "KAFKA_TLS", secured: true},
	{name: "TLS to a plain port", wrong: connect(func(c *kafka.Connection, s *kafkatest.Security) { c.Brokers = s.SASL }),
		of: brokers, state: ops.Failed, words: "KAFKA_TLS", secured: true},
	{name: "an unknown CA", wrong: connect(func(c *kafka.Connection, _ *kafkatest.Security) { c.TLS.CAFile = "" }),
		of: brokers, state: ops.Failed, words: "KAFKA_TLS_CA_FILE", secured: true},
	{name: "a CA's file that is not there", wrong: connect(func(c *kafka.Connection, _ *kafkatest.Security) { c.TLS.CAFile += ".missing" }),
		of: brokers, state: ops.Failed, words: "no such file", secured: true},
	{name: "no client certificate", wrong: connect(func(c *kafka.Connection, s *kafkatest.Security) { c.Brokers, c.SASL = s.MTLS, kafka.SASL{} }),
		of: brokers, state: ops.Failed, words: "KAFKA_TLS_CERT_FILE", secured: true},
	{name: versionCause, wrong: func(*world) {}, of: named("broker version"), state: ops.OK, words: "4.0 or later"},
}

// versionCause is another one on brokers of 3.9 and older.
const versionCause = "the version of the brokers"

// rightCauses are about what the user may do. Each lacks one right of all.
var rightCauses = []cause{
	lacks("WRITE on the transactional id", "TransactionalId", kadm.OpWrite, named("transactional id"), ops.Failed, "WRITE on TransactionalId:offsets"),
	lacks("WRITE on the events topic", "events", kadm.OpWrite, topicOf(eventsTopic), ops.Failed, "WRITE on Topic:events"),
	lacks("WRITE on the dead letters' topic", "dlq", kadm.OpWrite, topicOf(dlqTopic), ops.Failed, "WRITE on Topic:dlq"),
	lacks("WRITE on the JSON topic", "json", kadm.OpWrite, topicOf(jsonTopic), ops.Failed, "WRITE on Topic:json"),
	lacks("WRITE on the offsets topic", "offsets", kadm.OpWrite, topicOf(offsetsTopic), ops.Failed, "WRITE on Topic:offsets"),
	lacks("READ on the offsets topic", "offsets", kadm.OpRead, topicOf(offsetsTopic), ops.Failed, "READ on Topic:offsets"),
	lacks("READ on the events topic", "events", kadm.OpRead, topicOf(eventsTopic), ops.Warning, "READ on Topic:events"),
	lacks("READ on the events topic, and could not tell whose transaction hangs", "events", kadm.OpRead, named("hanging transactions"), ops.OK, "without READ on Topic:events"),
	verifies(lacks("READ on the events topic, and verifies", "events", kadm.OpRead, topicOf(eventsTopic), ops.Failed, "READ on Topic:events")),
	verifies(lacks("READ on the dead letters' topic, and verifies", "dlq", kadm.OpRead, topicOf(dlqTopic), ops.Failed, "READ on Topic:dlq")),
	verifies(lacks("WRITE on the id of repairs, and repairs", "", 0, named("transactional id of repairs"), ops.Failed, "/default/repair is missing")),
	lacks("DESCRIBE_CONFIGS on the events topic", "events", kadm.OpDescribeConfigs, topicOf(eventsTopic), ops.Warning, "DESCRIBE_CONFIGS on Topic:events"),
	lacks("DESCRIBE_CONFIGS on the dead letters' topic", "dlq", kadm.OpDescribeConfigs, topicOf(dlqTopic), ops.Warning, "DESCRIBE_CONFIGS on Topic:dlq"),
	lacks("DESCRIBE_CONFIGS on the offsets topic", "offsets", kadm.OpDescribeConfigs, topicOf(offsetsTopic), ops.Warning, "DESCRIBE_CONFIGS on Topic:offsets"),
	lacks("READ on the consumer group", "Group", kadm.OpRead, named("consumer group"), ops.Failed, "READ on Group:group"),
	lacks("nothing", "", 0, named("consumer group"), ops.OK, "it may be a member of"),
	{name: "no right to make a missing topic", wrong: func(w *world) {
		w.kafka().asOther("events", kadm.OpCreate)
		w.ops.Topics.Events = w.cluster.Name("events")
		w.kafka().grant(kadm.NewACLs().Topics(w.ops.Topics.Events).Operations(kadm.OpWrite, kadm.OpRead))
	}, of: topicOf(eventsTopic), state: ops.Failed, words: "CREATE on Topic:events", secured: true},
	{name: "no right at all", wrong: func(w *world) { w.kafka().makeTopics(); w.other() },
		of: topicOf(eventsTopic), state: ops.Failed, words: "may not be seen", secured: true},
}

func eventsTopic(t target.Topics) string  { return t.Events }
func dlqTopic(t target.Topics) string     { return t.DLQ }
func jsonTopic(t target.Topics) string    { return t.Copies["json"] }
func offsetsTopic(t target.Topics) string { return t.Offsets }

func topicOf(of func(target.Topics) string) func(*world) string {
	return func(w *world) string { return "topic " + of(w.ops.Topics) }
}

// lacks is the cause that one right of all is missing.
func lacks(name, resource string, op kadm.ACLOperation, of func(*world) string, state ops.CheckState, words string) cause {
	return cause{name: "lacks " + name, wrong: func(w *world) { w.kafka().asOther(resource, op) }, of: of, state: state, words: words, secured: true}
}

// verifies has the connector verify by itself, and repair.
func verifies(c cause) cause {
	wrong := c.wrong
	c.wrong = func(w *world) {
		w.settings.Verifies, w.settings.Repairs = true, true
		wrong(w)
	}
	return c
}

// other signs in as somebody without any rights.
func (w *world) other() { w.ops.Connection.SASL.Username = kafkatest.OtherUser }

func (w inKafka) makeTopics() {
	w.ops.Topics.Copies["json"] = w.cluster.Name("json")
	for _, name := range []string{w.ops.Topics.Events, w.ops.Topics.DLQ, w.ops.Topics.Copies["json"]} {
		w.kafka().topic(name, -1, nil)
	}
	w.kafka().topic(w.ops.Topics.Offsets, -1, map[string]string{"cleanup.policy": "compact"})
	w.settings.GroupID = w.cluster.Name("group")
}

func (w inKafka) grant(acls *kadm.ACLBuilder) {
	w.t.Helper()
	kafkatest.Grant(w.t, w.cluster, acls.Allow("User:"+kafkatest.OtherUser).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral))
}

// asOther signs in as a user who has every right but one.
func (w inKafka) asOther(resource string, lacking kadm.ACLOperation) {
	w.t.Helper()
	w.kafka().makeTopics()
	w.other()
	all := func(of string, rights ...kadm.ACLOperation) []kadm.ACLOperation {
		if of != resource {
			return rights
		}
		// To describe is implied by the others, and must not stand for them.
		return append(slices.DeleteFunc(slices.Clone(rights), func(o kadm.ACLOperation) bool { return o == lacking }), kadm.OpDescribe)
	}
	for role, name := range map[string]string{"events": w.ops.Topics.Events, "dlq": w.ops.Topics.DLQ, "offsets": w.ops.Topics.Offsets, "json": w.ops.Topics.Copies["json"]} {
		w.kafka().grant(kadm.NewACLs().Topics(name).Operations(all(role, everyRight...)...))
	}
	w.kafka().grant(kadm.NewACLs().TransactionalIDs(w.ops.Topics.Offsets + "/default").Operations(all("TransactionalId", kadm.OpWrite)...))
	w.kafka().grant(kadm.NewACLs().Groups(w.settings.GroupID).Operations(all("Group", kadm.OpRead)...))
}

// asEvent writes events with their own time as the record's.
func asEvent(w *world) { w.ops.EventTime = true }

func settingsOf(of func(target.Topics) string) func(*world) string {
	return func(w *world) string { return "settings of " + of(w.ops.Topics) }
}

// made is a world in which a topic is made with settings.
func made(of func(target.Topics) string, replicas int16, settings map[string]string, more ...func(*world)) func(*world) {
	return func(w *world) {
		for _, change := range more {
			change(w)
		}
		w.kafka().topic(of(w.ops.Topics), replicas, settings)
	}
}

// takesRecords fails unless the dead letters' topic does, by all its replicas.
func takesRecords(w *world) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	record := &kgo.Record{Topic: w.ops.Topics.DLQ, Value: []byte("x")}
	if err := w.cluster.Client().ProduceSync(ctx, record).FirstErr(); err != nil {
		w.t.Errorf("nothing can be written, and check says that it can: %v", err)
	}
}

func history(w *world) { w.settings.Backfill = new(ago(90 * days)) }

// topicCauses are about the topics and their settings.
var topicCauses = []cause{
	{name: "topics that are made at the first start", wrong: func(*world) {}, of: topicOf(eventsTopic), state: ops.OK, words: "is made at the first start"},
	{name: "missing topics that may not be made", wrong: func(w *world) { w.ops.Making.Allowed = false },
		of: topicOf(eventsTopic), state: ops.Failed, words: "kafka-topics.sh"},
	{name: "more replicas wanted than brokers", wrong: func(w *world) { w.ops.Making.Replication = 9 },
		of: topicOf(eventsTopic), state: ops.Failed, words: "KAFKA_REPLICATION_FACTOR"},
	{name: "a codec that they take", wrong: func(w *world) { w.kafka().topic(w.ops.Topics.Events, 2, nil) },
		of: named("compression"), state: ops.OK, words: "zstd is not refused"},
	{name: "replication 1", wrong: made(eventsTopic, 1, nil), of: settingsOf(eventsTopic), state: ops.Warning, words: "a lost broker loses data"},
	{name: "min ISR 1", wrong: made(eventsTopic, 2, map[string]string{"min.insync.replicas": "1"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "can be lost with it"},
	{name: "min ISR of all replicas", wrong: made(eventsTopic, 2, map[string]string{"min.insync.replicas": "2"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "as many as there are replicas"},
	{name: "min ISR above the replicas", wrong: both(made(dlqTopic, 2, map[string]string{"min.insync.replicas": "3"}), takesRecords), of: settingsOf(dlqTopic), state: ops.Warning, words: "protects nothing"},
	{name: "unclean leader election", wrong: made(eventsTopic, 2, map[string]string{"unclean.leader.election.enable": "true"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "unclean.leader.election.enable"},
	{name: "the offsets topic is not compacted", wrong: made(offsetsTopic, 2, map[string]string{"cleanup.policy": "delete"}), of: settingsOf(offsetsTopic), state: ops.Failed, words: "cleanup.policy=delete"},
	{name: "the offsets topic is compacted and deleted", wrong: made(offsetsTopic, 2, map[string]string{"cleanup.policy": "compact,delete"}), of: settingsOf(offsetsTopic), state: ops.Failed, words: "cleanup.policy=compact,delete"},
	{name: "fewer replicas of the offsets topic", wrong: made(offsetsTopic, 1, map[string]string{"cleanup.policy": "compact"}, func(w *world) { w.kafka().topic(w.ops.Topics.Events, 2, nil) }),
		of: settingsOf(offsetsTopic), state: ops.Warning, words: "and the events topic 2"},
	{name: "small events", wrong: made(eventsTopic, 2, map[string]string{"max.message.bytes": "10000"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "become dead letters"},
	{name: "small dead letters", wrong: made(dlqTopic, 2, map[string]string{"max.message.bytes": "10000"}), of: settingsOf(dlqTopic), state: ops.Warning, words: "are cut"},
	{name: "small state", wrong: made(offsetsTopic, 2, map[string]string{"max.message.bytes": "10000", "cleanup.policy": "compact"}), of: settingsOf(offsetsTopic), state: ops.Failed, words: "all writing stops"},
	{name: "compacted dead letters", wrong: made(dlqTopic, 2, map[string]string{"cleanup.policy": "compact"}), of: settingsOf(dlqTopic), state: ops.Failed, words: "stops all writing"},
	{name: "compacted events", wrong: made(eventsTopic, 2, map[string]string{"cleanup.policy": "compact"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "no two events have one key"},
	{name: "retention shorter than the history", wrong: made(eventsTopic, 2, map[string]string{"retention.ms": "604800000"}, history), of: settingsOf(eventsTopic), state: ops.Warning, words: "retention.ms"},
	{name: "retention of nothing", wrong: made(eventsTopic, 2, map[string]string{"retention.ms": "0"}, history, asEvent), of: settingsOf(eventsTopic), state: ops.Failed, words: "it keeps records for 0"},
	{name: "retention of the events' own time", wrong: made(eventsTopic, 2, map[string]string{"retention.ms": "604800000"}, history, asEvent), of: settingsOf(eventsTopic), state: ops.Failed, words: "within minutes"},
	{name: "LogAppendTime", wrong: made(eventsTopic, 2, map[string]string{"message.timestamp.type": "LogAppendTime"}, asEvent), of: settingsOf(eventsTopic), state: ops.Warning, words: "no effect"},
	{name: "history too old for before.max.ms", wrong: made(eventsTopic, 2, map[string]string{"retention.ms": "-1", "message.timestamp.before.max.ms": "604800000"}, history, asEvent), of: settingsOf(eventsTopic), state: ops.Failed, words: "message.timestamp.before.max.ms"},
	{name: "late events too old for before.max.ms", wrong: made(eventsTopic, 2, map[string]string{"message.timestamp.before.max.ms": "60000"}, asEvent), of: settingsOf(eventsTopic), state: ops.Failed, words: "shows up later"},
	{name: "a clock ahead for after.max.ms", wrong: made(eventsTopic, 2, map[string]string{"message.timestamp.after.max.ms": "100"}), of: settingsOf(eventsTopic), state: ops.Warning, words: "message.timestamp.after.max.ms"},
}
