package connector

import (
	"cmp"
	"context"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// prepareTopics makes the topics that are missing, if it may, and checks those
// that are there. A crash in it leaves some of them made; the next start finds those, and
// makes the rest. It comes before the fence, since to make a topic takes nothing from an
// instance at work.
func (o *organization) prepareTopics(ctx context.Context) (target.Found, error) {
	found, err := o.target.Prepare(ctx)
	return found, refused(err)
}

// checkHistoryFits refuses history into a topic that would delete it at once:
// with the events' own times as record timestamps, retention counts from those.
// known is the earliest time for which history was asked before: that history may have
// expired since, and is not written again.
//
// It is refused and not warned of. Each window would be committed and its events deleted
// within minutes, while the cursor says that they are there: consumers would have lost them
// without any error.
func (o *opening) checkHistoryFits(known auditlog.Second) error {
	s := o.session
	from := s.backfillStart()
	if from >= known || s.cfg.Kafka.Timestamp != TimestampEvent {
		return nil
	}
	age, setting := s.now().Sub(from.Time()), cmp.Or(s.settings.BackfillSetting, "BACKFILL_START_TIME")
	for _, role := range target.Roles() {
		topic := s.topics[role]
		if !target.HoldsEvents(role) || !topic.Known || topic.TimestampType == "LogAppendTime" {
			continue
		}
		if topic.RetentionMs >= 0 && age.Milliseconds() > topic.RetentionMs {
			return refuse("raise the topic's retention.ms (or set it to -1), set KAFKA_TIMESTAMP=ingest, or ask for less with "+setting,
				"topic %s keeps records for %v and would delete history from %v within minutes, since KAFKA_TIMESTAMP=event",
				topic.Name, time.Duration(topic.RetentionMs)*time.Millisecond, from)
		}
		if topic.TimestampBeforeMaxMs > 0 && age.Milliseconds() > topic.TimestampBeforeMaxMs {
			return refuse("raise the topic's message.timestamp.before.max.ms, set KAFKA_TIMESTAMP=ingest, or ask for less with "+setting,
				"topic %s refuses records older than %v, and history from %v is wanted, since KAFKA_TIMESTAMP=event",
				topic.Name, time.Duration(topic.TimestampBeforeMaxMs)*time.Millisecond, from)
		}
	}
	return nil
}

// backfillStart returns the time from which history is wanted; without any, the
// latest there is.
func (o *organization) backfillStart() auditlog.Second {
	switch b := o.settings.BackfillStart; {
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
