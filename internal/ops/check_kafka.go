package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// checkKafka tries the brokers, each right, and the topics.
func (k *checker) checkKafka(ctx context.Context) {
	quiet := k.cfg.Connection
	quiet.Logger = nil // what goes wrong is in the report
	client, err := quiet.Client(ctx)
	if err == nil {
		defer client.Close()
		err = client.Ping(ctx)
	}
	if err != nil {
		k.add("brokers", brokersFailed(k.cfg.Connection, err))
		return
	}
	k.reachable = true
	k.add("brokers", clusterFinding(kafka.AskCluster(ctx, client)))
	k.add("broker version", versionFinding(kafka.SeesZombies(ctx, client)))
	ids := map[string]string{"transactional id": k.cfg.ID()}
	if k.run.Repairs {
		ids["transactional id of repairs"] = k.cfg.RepairID()
	}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		var state string
		err := kafka.AwaitCoordinator(ctx, k.waiting("transactions"), func() error {
			var err error
			if state, err = kafka.TransactionState(ctx, client, ids[name]); err != nil {
				return err
			}
			return kafka.MayWriteAs(ctx, client, ids[name])
		})
		k.add(name, transactionFinding(ids[name], state, err))
	}
	if k.run.GroupID != "" {
		err := kafka.AwaitCoordinator(ctx, k.waiting("consumer groups"), func() error { return kafka.MayJoin(ctx, client, k.run.GroupID) })
		k.add("consumer group", groupFinding(k.run.GroupID, err))
	}

	names := k.cfg.Topics.Names()
	if k.sights, err = kafka.Look(ctx, client, names...); err != nil {
		k.add("topics", failed(kafka.Explain(err), "%v", err))
		return
	}
	k.checkHanging(ctx)
	k.checkTopics(func(spec kafka.TopicSpec) (kafka.TopicSpec, []string, error) { return kafka.MayMake(ctx, client, spec) })
	names = slices.DeleteFunc(names, func(name string) bool { return !k.sights[name].Exists })
	described, err := kafka.Describe(ctx, client, names...)
	if err != nil {
		k.add("topics", failed(kafka.Explain(err), "%v", err))
		return
	}
	k.topics = k.cfg.Topics.Found(described)
	k.checkSettings()
	if events, there := k.topics[target.Events]; there && k.sights[events.Name].May.Write && k.cfg.Compression != "none" {
		k.add("compression", compressionFinding(k.cfg.Compression, kafka.TakesCodec(ctx, client, events, k.cfg.Compression)))
	}
}

func compressionFinding(codec string, err error) Finding {
	switch {
	case err != nil && kafka.Classify(err) == kafka.ClassSettings:
		return failed(kafka.Explain(err), "the brokers do not take KAFKA_COMPRESSION=%s", codec)
	case err != nil:
		return warning(kafka.Explain(err), "%v", err)
	}
	return fine("%s is not refused", codec)
}

// waiting logs once that a coordinator is not there yet.
func (k *checker) waiting(of string) func() {
	return sync.OnceFunc(func() {
		if k.cfg.Logger != nil {
			k.cfg.Logger.Info("waiting for Kafka to have a coordinator; on a new cluster it makes a topic for that first", "of", of)
		}
	})
}

// checkHanging looks for transactions that hang: consumers stand still before them.
func (k *checker) checkHanging(ctx context.Context) {
	found, err := ListTransactions(ctx, k.cfg)
	switch {
	case err != nil:
		k.add("hanging transactions", warning(kafka.Explain(err), "%v", err))
	case len(found.Hanging) > 0:
		var where []string
		for _, h := range found.Hanging {
			where = append(where, txlog.Describe(h.Hanging.OpenTransaction))
		}
		k.add("hanging transactions", failed("start the connector of that organization, with ClusterAction on the cluster, or run `openai-audit-kafka transactions end --organization NAME --yes`",
			"%s: consumers see nothing behind it", strings.Join(where, "; ")))
	case len(found.Hidden) > 0:
		k.add("hanging transactions", warning("grant READ on the topic, and check again in a minute",
			"a transaction stays open in %s, and it cannot be seen whose", strings.Join(found.Hidden, "; ")))
	default:
		k.add("hanging transactions", fine("%s", "none"+k.unseen()))
	}
}

// unseen says where a transaction that hangs looks the same as a neighbour's that is open.
func (k *checker) unseen() string {
	var topics []string
	for _, name := range k.cfg.Topics.Names() {
		if sight := k.sights[name]; sight.Exists && !sight.May.Read {
			topics = append(topics, "Topic:"+name)
		}
	}
	if len(topics) == 0 {
		return ""
	}
	return "; without READ on " + strings.Join(topics, " and ") + " it cannot be seen whose a hanging transaction there is, and it is not ended"
}

func clusterFinding(c kafka.Cluster, err error) Finding {
	if err != nil {
		return warning(kafka.Explain(err), "they answer, but do not say what they are: %v", err)
	}
	number := "1 broker answers"
	if c.Brokers != 1 {
		number = fmt.Sprintf("%d brokers answer", c.Brokers)
	}
	return fine("%s, of cluster %s, Kafka %s by what it can do", number, c.ID, c.Version)
}

func versionFinding(seesZombies bool, err error) Finding {
	switch {
	case err != nil:
		return warning(kafka.Explain(err), "%v", err)
	case !seesZombies:
		return warning("upgrade the brokers to 4.0 or later when you can",
			"they are older than 4.0: an instance that was paused and wakes up can make its successor's transaction fail, which is then tried again")
	}
	return fine("4.0 or later")
}

func brokersFailed(conn kafka.Connection, err error) Finding {
	remedy := kafka.Explain(err)
	if kafka.Classify(err) == kafka.ClassUnknown && !conn.TLS.Enabled {
		// A TLS alert, read as an answer, is an error without a type.
		remedy = "what answers there may speak TLS: check KAFKA_TLS and the port in KAFKA_BROKERS; otherwise: " + remedy
	}
	return failed(remedy, "%s: %v", strings.Join(conn.Brokers, ","), err)
}

func transactionFinding(id, state string, err error) Finding {
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

// checkTopics checks whether the topics are there, and what we may do to them.
func (k *checker) checkTopics(mayMake func(kafka.TopicSpec) (fitted kafka.TopicSpec, leftOut []string, err error)) {
	for _, role := range k.cfg.Topics.Roles() {
		name := k.cfg.Topics.Of(role)
		switch sight := k.sights[name]; {
		case sight.Hidden:
			k.add("topic "+name, failed("grant WRITE on Topic:"+name+also(role)+"; CREATE too if it is to be made",
				"it may not be seen, or does not exist and may not be made"))
		case !sight.Exists && !k.cfg.Making.Allowed:
			spec, _, _ := mayMake(k.cfg.Spec(role)) // one that no policy refuses, if it can be known
			k.add("topic "+name, failed("make it with: "+spec.Command(), "it does not exist, and KAFKA_CREATE_TOPICS=false"))
		case !sight.Exists:
			spec, leftOut, err := mayMake(k.cfg.Spec(role))
			k.add("topic "+name, makeFinding(spec, leftOut, err))
		default:
			k.add("topic "+name, rights(role, name, sight.May, k.run.Verifies))
		}
	}
}

// makeFinding says whether the first start can make a topic that is missing.
func makeFinding(spec kafka.TopicSpec, leftOut []string, err error) Finding {
	created, asked := errors.AsType[*kafka.CreateError](err)
	switch {
	case err == nil && len(leftOut) > 0:
		return warning("set them in the cluster's own console where it offers them; see docs/brokers.md",
			"it does not exist, and is made at the first start without %s, which a policy of the cluster refuses (%s)", strings.Join(leftOut, ", "), kafka.CostOf(leftOut))
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
	if role == target.Offsets {
		return ", and READ"
	}
	return ""
}

// rights says what part of a topic's ACLs is missing; verifies says that the connector compares
// the topics with the API by itself.
func rights(role, name string, may kafka.Operations, verifies bool) Finding {
	var missing []string
	if !may.Write {
		missing = append(missing, "WRITE")
	}
	if role == target.Offsets && !may.Read {
		missing = append(missing, "READ")
	}
	if len(missing) > 0 {
		what := strings.Join(missing, " and ") + " on Topic:" + name
		return failed("grant it to the user", "%s is missing", what)
	}
	if verifies && (role == target.Events || role == target.DLQ) && !may.Read {
		return failed("grant it to the user, or leave VERIFY_EVERY unset", "READ on Topic:%s is missing, and the connector is to compare the topic with the API by itself", name)
	}
	if role == target.Events && !may.Read {
		return warning("grant it for the first run, which checks whether the topic holds events already, and for tail and verify", "READ on Topic:%s is missing", name)
	}
	if !may.DescribeConfigs {
		return warning("grant it, so that the topic's settings can be checked", "DESCRIBE_CONFIGS on Topic:%s is missing", name)
	}
	return fine("it is there, with the rights that are needed")
}
