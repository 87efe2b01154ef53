package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// roles are what topics are for, in the order of the report.
var roles = []string{"events", "dlq", "offsets", "json", "ocsf"}

// checkKafka tries the brokers, each right, and the topics.
func (k *checker) checkKafka(ctx context.Context) {
	quiet := k.Connection
	quiet.Logger = nil // what goes wrong is in the report
	client, err := quiet.Client()
	if err == nil {
		defer client.Close()
		err = client.Ping(ctx)
	}
	if err != nil {
		k.add("brokers", k.brokersFailed(err))
		return
	}
	k.reachable = true
	k.add("brokers", fine("they answer"))
	if sees, err := kafka.SeesZombies(ctx, client); err != nil {
		k.add("broker version", warning(kafka.Explain(err), "%v", err))
	} else if !sees {
		k.add("broker version", warning("upgrade the brokers to 4.0 or later when you can",
			"they are older than 4.0: an instance that was paused and wakes up can make its successor's transaction fail, which is then tried again"))
	} else {
		k.add("broker version", fine("4.0 or later"))
	}
	state, err := kafka.TransactionState(ctx, client, k.transactionalID())
	if err == nil {
		err = kafka.MayWriteAs(ctx, client, k.transactionalID())
	}
	k.add("transactional id", k.transactionFinding(state, err))
	if k.run.GroupID != "" {
		k.add("consumer group", groupFinding(k.run.GroupID, kafka.MayJoin(ctx, client, k.run.GroupID)))
	}

	var names []string
	for _, name := range k.Topics.names() {
		names = append(names, name)
	}
	if k.sights, err = kafka.Look(ctx, client, names...); err != nil {
		k.add("topics", failed(kafka.Explain(err), "%v", err))
		return
	}
	k.checkTopics(func(spec kafka.TopicSpec) error { return kafka.MayMake(ctx, client, spec) })
	names = slices.DeleteFunc(names, func(name string) bool { return !k.sights[name].Exists })
	if k.topics, err = kafka.Describe(ctx, client, names...); err != nil {
		k.add("topics", failed(kafka.Explain(err), "%v", err))
		return
	}
	k.checkSettings()
}

func (k *checker) brokersFailed(err error) Finding {
	remedy := kafka.Explain(err)
	if kafka.Classify(err) == kafka.ClassUnknown && !k.Connection.TLS.Enabled {
		// A TLS alert, read as an answer, is an error without a type.
		remedy = "what answers there may speak TLS: check KAFKA_TLS and the port in KAFKA_BROKERS; else: " + remedy
	}
	return failed(remedy, "%s: %v", strings.Join(k.Connection.Brokers, ","), err)
}

func (k *checker) transactionFinding(state string, err error) Finding {
	id := k.transactionalID()
	switch {
	case err != nil && kafka.Classify(err) == kafka.ClassAuthorization:
		return failed(fmt.Sprintf("grant WRITE on TransactionalId:%s (or on the prefix)", id), "WRITE on TransactionalId:%s is missing", id)
	case err != nil:
		return failed(kafka.Explain(err), "%v", err)
	case state == "":
		return fine("%s, not used yet", id)
	}
	return fine("%s, its last transaction is in state %s", id, state)
}

func groupFinding(group string, err error) Finding {
	switch {
	case err != nil && kafka.Classify(err) == kafka.ClassAuthorization:
		return failed("grant READ on Group:"+group, "READ on Group:%s is missing", group)
	case err != nil:
		return failed(kafka.Explain(err), "%v", err)
	}
	return fine("it may be a member of %s", group)
}

// checkTopics looks whether the topics are there, and at what we may do to them.
func (k *checker) checkTopics(mayMake func(kafka.TopicSpec) error) {
	for _, role := range roles {
		name, used := k.Topics.names()[role]
		if !used {
			continue
		}
		switch sight := k.sights[name]; {
		case sight.Hidden:
			k.add("topic "+name, failed("grant WRITE on Topic:"+name+also(role)+"; CREATE too if it is to be made",
				"it may not be seen, or does not exist and may not be made"))
		case !sight.Exists && !k.run.CreateTopics:
			k.add("topic "+name, failed("make it with: "+k.spec(role, name).Command(), "it does not exist, and KAFKA_CREATE_TOPICS=false"))
		case !sight.Exists:
			k.add("topic "+name, makeFinding(k.spec(role, name), mayMake(k.spec(role, name))))
		default:
			k.add("topic "+name, rights(role, name, sight.May))
		}
	}
}

// makeFinding says whether the first start can make a topic that is missing.
func makeFinding(spec kafka.TopicSpec, err error) Finding {
	created, asked := errors.AsType[*kafka.CreateError](err)
	switch {
	case err == nil:
		return fine("it does not exist, and is made at the first start")
	case kafka.Classify(err) == kafka.ClassAuthorization:
		return failed(fmt.Sprintf("grant CREATE on Topic:%s (or on Cluster), or make it with: %s", spec.Name, spec.Command()),
			"it does not exist, and CREATE on Topic:%s is missing", spec.Name)
	case asked:
		return failed(kafka.Explain(err)+"; or make it with: "+spec.Command(), "it does not exist, and cannot be made: %v", created.Err)
	}
	return failed(kafka.Explain(err), "it does not exist, and %v", err)
}

func also(role string) string {
	if role == "offsets" {
		return ", and READ"
	}
	return ""
}

func (k *checker) spec(role, name string) kafka.TopicSpec {
	if role == "offsets" {
		return kafka.OffsetsSpec(name, k.run.Replication)
	}
	if role == "dlq" {
		return kafka.DLQSpec(name, k.run.Partitions, k.run.Replication, k.run.Retention)
	}
	return kafka.LogSpec(name, k.run.Partitions, k.run.Replication, k.run.Retention)
}

// rights says what of a topic's ACLs is missing.
func rights(role, name string, may kafka.Operations) Finding {
	var missing []string
	if !may.Write {
		missing = append(missing, "WRITE")
	}
	if role == "offsets" && !may.Read {
		missing = append(missing, "READ")
	}
	if len(missing) > 0 {
		what := strings.Join(missing, " and ") + " on Topic:" + name
		return failed("grant it to the user", "%s is missing", what)
	}
	if role == "events" && !may.Read {
		return warning("grant it for the first run, which looks whether the topic holds events already, and for tail and verify", "READ on Topic:%s is missing", name)
	}
	if !may.DescribeConfigs {
		return warning("grant it, so that the topic's settings can be checked", "DESCRIBE_CONFIGS on Topic:%s is missing", name)
	}
	return fine("it is there, with the rights that are needed")
}

// checkState looks at the cursor, as a start would.
func (k *checker) checkState(ctx context.Context) {
	if !k.reachable || !k.exists(k.Topics.Offsets) || !k.sights[k.Topics.Offsets].May.Read {
		return
	}
	report, err := Cursor(ctx, k.Config)
	found, stateErr := k.peek(ctx)
	switch {
	case stateErr != nil:
		k.add("cursor", failed(kafka.Explain(stateErr), "it cannot be looked for: %v", stateErr))
		return
	case len(found.records) == 0:
		k.add("cursor", k.firstRun(ctx))
		return
	case err != nil:
		k.add("cursor", unusableState(err))
		return
	case report.StartAnew:
		k.add("cursor", fine("it was reset: the next run starts anew and emits again"))
		return
	}
	if f := k.sameAsWritten(report.Cursor); f.State != OK {
		k.add("cursor", f)
	} else {
		k.add("cursor", fine("floor %v, %d ids remembered, written %s ago", report.Floor, report.SeenIDs, span(time.Duration(report.AgeSeconds)*time.Second)))
	}
	k.add("instance", instanceFinding(report))
}

func instanceFinding(r CursorReport) Finding {
	const atWork = 11 * 60 // a quiet instance writes its cursor every ten minutes
	n := len(r.Openers)
	if n == 0 || r.Openers[n-1].Closed || r.AgeSeconds > atWork {
		return fine("none is at work")
	}
	return fine("%s is at work since %v; another one would take over", r.Openers[n-1].Host, r.Openers[n-1].At)
}

// sameAsWritten looks for what a start would refuse in a good cursor.
func (k *checker) sameAsWritten(c auditlog.Cursor) Finding {
	if k.apiName != "" && c.APIOrganization != "" && k.apiName != c.APIOrganization {
		return failed("give the key of the organization it was, or another ORGANIZATION_NAME; `cursor reset` starts anew with this one",
			"it was written for %s, and the key belongs to %s", c.APIOrganization, k.apiName)
	}
	now := k.Topics.refs(k.topics)
	for _, role := range roles {
		was, before := c.Topics[role]
		is, used := now[role]
		gone := !k.exists(is.Name) && !k.sights[is.Name].Hidden && was.ID != ""
		if before && used && (gone || !was.Same(is)) {
			return failed("if it was moved with what it held, run `cursor set --accept-topics`; if what it held is gone, `cursor reset` starts anew and emits again",
				"the %s topic is gone, or another than the one written to so far (%s, id %s)", role, was.Name, was.ID)
		}
	}
	framing := codec.FramingSingleObject
	if k.Registry.URL != "" {
		framing = codec.FramingConfluent
	}
	if c.Framing != "" && c.Framing != framing {
		return failed("set SCHEMA_REGISTRY_URL as it was, or give the connector a new events topic and run `cursor set --accept-topics`",
			"the values in %s are framed as %s, and the settings ask for %s", k.Topics.Events, c.Framing, framing)
	}
	return fine("")
}

// registryFinding tells the causes apart for which the registry cannot be used.
func (k *checker) registryFinding(ctx context.Context) Finding {
	found, err := codec.Check(ctx, k.Registry)
	if e, ok := errors.AsType[*codec.RegistryError](err); ok {
		return failed(e.Remedy(), "%s", strings.TrimSuffix(e.Error(), ": "+e.Remedy()))
	}
	if err != nil {
		return failed("check SCHEMA_REGISTRY_URL", "%v", err)
	}
	return k.schemaFinding(found)
}
