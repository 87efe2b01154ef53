package ops

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// checkSettings looks at the settings of the topics that are there.
func (k *checker) checkSettings() {
	want := wanted{k.cfg, k.run.Backfill}
	for _, role := range target.Roles() {
		topic, ok := k.topics[role]
		if !ok {
			continue
		}
		findings := []Finding{replicationFinding(topic)}
		if topic.Known {
			findings = append(findings, want.settingFinding(role, topic), sizeFinding(role, topic))
			if role != target.Offsets {
				findings = append(findings, want.timeFinding(role, topic), want.retentionFinding(role, topic))
			}
		}
		k.add("settings of "+topic.Name, worst(findings))
		for _, f := range others(findings) {
			k.add("settings of "+topic.Name, f)
		}
	}
	events, offsets := k.topics[target.Events], k.topics[target.Offsets]
	if events.Replication > offsets.Replication && offsets.Replication > 0 {
		k.add("settings of "+offsets.Name, warning("give it as many replicas as the events topic",
			"it has %d replicas, and the events topic %d: if it is lost, so is the knowledge of what was written", offsets.Replication, events.Replication))
	}
}

// worst returns the first finding that is not ok, or one that says that all are.
func worst(findings []Finding) Finding {
	for _, f := range findings {
		if f.State != OK {
			return f
		}
	}
	return fine("they fit")
}

// others returns what is not ok, beyond the first.
func others(findings []Finding) (rest []Finding) {
	seen := false
	for _, f := range findings {
		if f.State != OK && seen {
			rest = append(rest, f)
		}
		seen = seen || f.State != OK
	}
	return rest
}

func replicationFinding(t kafka.Topic) Finding {
	switch {
	case t.MinInsyncReplicas > t.Replication:
		return warning("give it more replicas, or lower min.insync.replicas",
			"min.insync.replicas is %d and there are %d replicas: brokers then take the number of replicas for it, so it protects nothing, and one broker that is away stops the writing", t.MinInsyncReplicas, t.Replication)
	case t.Replication == 1:
		return warning("give it three replicas and min.insync.replicas=2", "replication is 1: a lost broker loses data")
	case t.UncleanElection:
		return warning("set unclean.leader.election.enable=false", "unclean.leader.election.enable is true: a replica that lags may become the leader, and what it lacks is lost")
	case t.MinInsyncReplicas == t.Replication:
		return warning("set min.insync.replicas below the replicas", "min.insync.replicas is %d, as many as there are replicas: one broker that is away stops the writing", t.MinInsyncReplicas)
	case t.MinInsyncReplicas < 2:
		return warning("set min.insync.replicas=2", "min.insync.replicas is 1: what one broker alone has acknowledged can be lost with it")
	}
	return fine("")
}

// wanted is what is to be written to the topics, by which their settings are judged.
type wanted struct {
	cfg      Config
	backfill *auditlog.Second // from when history is wanted; nil: none is
}

// settingFinding finds what a start would refuse.
func (w wanted) settingFinding(role string, t kafka.Topic) Finding {
	if err := kafka.CheckSettings(w.cfg.Spec(role), t); err != nil {
		return failed(kafka.Explain(err), "%v", err)
	}
	if role != target.Offsets && t.CleanupPolicy != "delete" {
		return warning("set cleanup.policy=delete", "cleanup.policy is %s: compaction takes time and keeps everything, since no two events have one key", t.CleanupPolicy)
	}
	return fine("")
}

func sizeFinding(role string, t kafka.Topic) Finding {
	const usual = 1_000_000 // Kafka's default is a little more
	if t.MaxMessageBytes >= usual || role == target.Offsets {
		return fine("")
	}
	what := "events larger than that become dead letters"
	if role == target.DLQ {
		what = "dead letters larger than that are cut"
	}
	return warning("raise it to 1048588 or more", "max.message.bytes is %d: %s", t.MaxMessageBytes, what)
}

// timeFinding looks at what the topic does with timestamps.
func (w wanted) timeFinding(role string, t kafka.Topic) Finding {
	switch {
	case t.TimestampType == "LogAppendTime" && w.cfg.EventTime:
		return warning("set message.timestamp.type=CreateTime, or KAFKA_TIMESTAMP=ingest", "message.timestamp.type=LogAppendTime: KAFKA_TIMESTAMP=event has no effect")
	case t.TimestampType == "LogAppendTime", role == target.DLQ:
		return fine("")
	case !w.cfg.EventTime && t.TimestampAfterMaxMs < time.Minute.Milliseconds():
		return warning("raise it, or keep the clocks close", "message.timestamp.after.max.ms is %d: a host clock ahead by more stops the writing", t.TimestampAfterMaxMs)
	case w.cfg.EventTime && w.backfill != nil && w.age().Milliseconds() > t.TimestampBeforeMaxMs:
		return failed("raise message.timestamp.before.max.ms, set KAFKA_TIMESTAMP=ingest, or ask for less with BACKFILL_START_TIME",
			"it refuses records older than %s, and history from %s ago is wanted with KAFKA_TIMESTAMP=event", span(milliseconds(t.TimestampBeforeMaxMs)), span(w.age()))
	case w.cfg.EventTime && t.TimestampBeforeMaxMs < (24*time.Hour).Milliseconds():
		return failed("raise message.timestamp.before.max.ms, or set KAFKA_TIMESTAMP=ingest",
			"it refuses records older than %s: an event that shows up later than that is written with the time of writing", span(milliseconds(t.TimestampBeforeMaxMs)))
	}
	return fine("")
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// age is how far back history is wanted.
func (w wanted) age() time.Duration { return w.cfg.Clock().Sub(w.backfill.Time()) }

func (w wanted) retentionFinding(role string, t kafka.Topic) Finding {
	keeps, some := kafka.Milliseconds(t.RetentionMs)
	if !some && t.RetentionMs != 0 || w.backfill == nil || role == target.DLQ {
		return fine("")
	}
	switch {
	case w.age() <= keeps:
		return fine("")
	case w.cfg.EventTime && t.TimestampType != "LogAppendTime":
		return failed("raise retention.ms (or set it to -1), set KAFKA_TIMESTAMP=ingest, or ask for less with BACKFILL_START_TIME",
			"it keeps records for %s, and would delete history from %s ago within minutes, since KAFKA_TIMESTAMP=event", span(keeps), span(w.age()))
	}
	return warning("raise retention.ms (or set it to -1) if history is to stay", "it keeps records for %s after they are written, and history from %s ago is wanted", span(keeps), span(w.age()))
}
