package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// Topics returns the names of the topics in use. It is for the program's own commands.
func (k Kafka) Topics() target.Topics {
	t := target.Topics{Events: k.Topic, DLQ: k.DLQTopic, Offsets: k.OffsetsTopic, Copies: map[string]string{}}
	for name, topic := range k.CopyTopics() {
		t.Copies[name] = *topic
	}
	return t
}

// prepareTopics makes the topics that are missing, if it may, and checks those
// that are there.
func (o *organization) prepareTopics(ctx context.Context) (target.Found, error) {
	client, err := o.conn.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	k := o.cfg.Kafka
	names := k.Topics()
	var specs []kafka.TopicSpec
	for _, role := range names.Roles() {
		switch name := names.Of(role); role {
		case target.Offsets:
			specs = append(specs, kafka.OffsetsSpec(name, k.ReplicationFactor))
		case target.DLQ:
			specs = append(specs, kafka.DLQSpec(name, k.Partitions, k.ReplicationFactor, k.Retention))
		default:
			specs = append(specs, kafka.LogSpec(name, k.Partitions, k.ReplicationFactor, k.Retention))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	found, err := kafka.Ensure(ctx, client, specs, k.CreateTopics)
	if err != nil {
		return nil, topicError(err)
	}
	out := target.Found{}
	for _, role := range names.Roles() {
		name := names.Of(role)
		out[role] = found[name]
		if left := found[name].LeftOut; len(left) > 0 {
			o.cfg.Logger.Warn("a topic was made without settings that a policy of the cluster refuses",
				"topic", name, "left_out", strings.Join(left, ","), "cost", kafka.CostOf(left),
				"remedy", "set them in the cluster's own console where it offers them; see docs/brokers.md")
		}
	}
	return out, nil
}

// topicError tells what needs a decision from what can mend itself.
func topicError(err error) error {
	_, missing := errors.AsType[*kafka.MissingTopicsError](err)
	_, setting := errors.AsType[*kafka.SettingError](err)
	if missing || setting {
		return &refusal{what: err, remedy: kafka.Explain(err)}
	}
	return fmt.Errorf("preparing the topics: %w: %s", err, kafka.Explain(err))
}

// checkHistoryFits refuses history into a topic that would delete it at once:
// with the events' own times as record timestamps, retention counts from those.
// known is from when on history was asked for before: that may have expired since,
// and is not written again.
func (s *session) checkHistoryFits(known auditlog.Second) error {
	from := s.backfillStart()
	if from >= known || s.cfg.Kafka.Timestamp != TimestampEvent {
		return nil
	}
	age := s.now().Sub(from.Time())
	for _, role := range target.Roles() {
		topic := s.topics[role]
		if !target.HoldsEvents(role) || !topic.Known || topic.TimestampType == "LogAppendTime" {
			continue
		}
		if topic.RetentionMs >= 0 && age.Milliseconds() > topic.RetentionMs {
			return refuse("raise the topic's retention.ms (or set it to -1), set KAFKA_TIMESTAMP=ingest, or ask for less with BACKFILL_START_TIME",
				"topic %s keeps records for %v and would delete history from %v within minutes, since KAFKA_TIMESTAMP=event",
				topic.Name, time.Duration(topic.RetentionMs)*time.Millisecond, from)
		}
		if topic.TimestampBeforeMaxMs > 0 && age.Milliseconds() > topic.TimestampBeforeMaxMs {
			return refuse("raise the topic's message.timestamp.before.max.ms, set KAFKA_TIMESTAMP=ingest, or ask for less with BACKFILL_START_TIME",
				"topic %s refuses records older than %v, and history from %v is wanted, since KAFKA_TIMESTAMP=event",
				topic.Name, time.Duration(topic.TimestampBeforeMaxMs)*time.Millisecond, from)
		}
	}
	return nil
}

// sameTopics refuses topics that are others than those the cursor speaks of: what
// it says was written is not in them.
func sameTopics(t target.Found, c auditlog.Cursor) error {
	for role, was := range c.Topics {
		is, ok := t[role]
		if !ok {
			continue // a copy that is not wanted any more
		}
		if was.Same(auditlog.Topic{Name: is.Name, ID: is.ID}) {
			continue
		}
		return refuse("if it was moved with what it held (another cluster, a rename), run `cursor set --accept-topics`; if what it held is gone, `cursor reset` starts anew and emits again, or `verify --repair` fills it after --accept-topics",
			"the %s topic is another than the one written to so far (%s, id %s; now %s, id %s)",
			role, was.Name, cmp.Or(was.ID, "unknown"), is.Name, cmp.Or(is.ID, "unknown"))
	}
	return nil
}

// backfillStart returns the time from which history is wanted; without any, the
// latest there is.
func (o *organization) backfillStart() auditlog.Second {
	switch b := o.BackfillStart; {
	case b == nil:
		return auditlog.MaxSecond
	case b.Earliest:
		// Empty years cost a handful of requests, so there is no need to guess
		// when the log began.
		return 0
	default:
		return auditlog.SecondOf(b.At)
	}
}
