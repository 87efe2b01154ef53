// Package records turns an event into the records that are written of it: the
// Avro one with its copies, or a dead letter. The connector and a repair write
// with it, so that nobody can tell from a record who wrote it.
package records

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Config says what an Encoder writes, and where to.
type Config struct {
	// Organization is the name from the settings.
	Organization string
	// Events and DLQ are the topics of events and of dead letters.
	Events, DLQ kafka.Topic
	// JSON and OCSF are the topics of the copies; without a name, there is none.
	JSON, OCSF kafka.Topic
	// Framing and Schema say how values are written.
	Framing codec.Framing
	Schema  schemas.Version
	// Headers are added to every record.
	Headers []codec.Header
	// EventTime gives records the time of their event, and not of the writing.
	EventTime bool
	// Now is the clock.
	Now func() time.Time
}

// Encoder turns the events of one organization into records. It is safe for
// concurrent use.
type Encoder struct {
	cfg   Config
	codec *codec.Encoder
	// How far behind and ahead of now a record's timestamp may lie, for each of
	// the topics an event goes to; oldest is 0 for no bound.
	oldest, latest time.Duration
}

// batchOverhead is what a batch of one record takes besides the record.
const batchOverhead = 100

// NewEncoder returns an encoder.
func NewEncoder(cfg Config) (*Encoder, error) {
	// An event goes to all of its topics or to none, so the smallest decides.
	limit := largest(cfg.Events)
	for _, copied := range []kafka.Topic{cfg.JSON, cfg.OCSF} {
		if copied.Name != "" {
			limit = min(limit, largest(copied))
		}
	}
	encoder, err := codec.NewEncoder(codec.Config{
		Organization: cfg.Organization,
		Framing:      cfg.Framing,
		Schema:       cfg.Schema,
		Headers:      cfg.Headers,
		MaxBytes:     limit,
		MaxDLQBytes:  largest(cfg.DLQ),
		SourceTopic:  cfg.Events.Name,
	})
	if err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg, codec: encoder, latest: time.Hour}
	for _, topic := range []kafka.Topic{cfg.Events, cfg.JSON, cfg.OCSF} {
		if after, ok := bound(topic.TimestampAfterMaxMs); ok {
			e.latest = min(e.latest, after)
		}
		if before, ok := bound(topic.TimestampBeforeMaxMs); ok && (e.oldest == 0 || before < e.oldest) {
			e.oldest = before
		}
	}
	return e, nil
}

// bound returns a limit in milliseconds as a duration. ok is false where there is
// none: it is not known, or, as by default, longer than any duration.
func bound(ms int64) (d time.Duration, ok bool) {
	return time.Duration(ms) * time.Millisecond, ms > 0 && ms < math.MaxInt64/int64(time.Millisecond)
}

func largest(topic kafka.Topic) int {
	return int(txlog.BatchBytes(topic.MaxMessageBytes)) - batchOverhead
}

// Encoded is what an event becomes. Some ten thousand are held at a time, so it is
// kept as the codec makes it, and becomes records for a transaction only.
type Encoded struct {
	messages []message
	// Info is what is worth knowing of the event. Its Actor and IP are parts of
	// the event's text: whoever holds them holds all of it.
	Info   codec.Info
	Reason codec.Reason // why it is a dead letter; empty if it is none
	Bytes  int          // of the records, about
}

// message is one record to be.
type message struct {
	codec.Message
	topic string
	at    time.Time // zero: the time of writing
}

// AppendTo appends the event's records.
func (e Encoded) AppendTo(records []txlog.Record) []txlog.Record {
	for _, m := range e.messages {
		headers := make([]txlog.Header, len(m.Headers))
		for i, h := range m.Headers {
			headers[i] = txlog.Header(h)
		}
		records = append(records, txlog.Record{
			Topic: m.topic, Key: m.Key, Value: m.Value, Headers: headers, Timestamp: m.at,
		})
	}
	return records
}

// Encode returns what an event becomes that was fetched at a time. What cannot
// be a record of ours is a dead letter; an error is a fault of this program.
func (e *Encoder) Encode(ev auditlog.Event, fetched time.Time) (Encoded, error) {
	avro, info, err := e.codec.Encode(ev, fetched)
	if err != nil {
		return e.deadLetter(ev, info, err)
	}
	at := e.timestamp(ev)
	out := Encoded{Info: info, messages: []message{{avro, e.cfg.Events.Name, at}}}
	if e.cfg.JSON.Name != "" {
		out.messages = append(out.messages, message{e.codec.JSON(ev, avro), e.cfg.JSON.Name, at})
	}
	if e.cfg.OCSF.Name != "" {
		ocsf, err := e.codec.OCSF(ev, avro)
		if err != nil {
			return e.deadLetter(ev, info, err)
		}
		out.messages = append(out.messages, message{ocsf, e.cfg.OCSF.Name, at})
	}
	for _, m := range out.messages {
		out.Bytes += m.Size()
	}
	return out, nil
}

// deadLetter returns the record of an event that cannot be one of ours, alone: an
// event is in all of its topics or in none.
func (e *Encoder) deadLetter(ev auditlog.Event, info codec.Info, err error) (Encoded, error) {
	why, ok := errors.AsType[*codec.Undeliverable](err)
	if !ok {
		return Encoded{}, fmt.Errorf("encoding an event: %w", err)
	}
	letter := e.codec.DeadLetter(ev, why)
	return Encoded{
		messages: []message{{letter, e.cfg.DLQ.Name, time.Time{}}},
		Info:     info, Reason: why.Reason, Bytes: letter.Size(),
	}, nil
}

// timestamp returns the record's time; zero is the time of writing. A time that
// a topic would refuse as too far ahead or behind, and with it the whole batch, is
// written as now: one odd or late event must not stop all that come after it. The
// margins are for the broker's clock, and for the time until the event is written.
func (e *Encoder) timestamp(ev auditlog.Event) time.Time {
	if !e.cfg.EventTime {
		return time.Time{}
	}
	at, now := ev.EffectiveAt.Time(), e.cfg.Now()
	tooNew := at.After(now.Add(e.latest - time.Minute))
	tooOld := e.oldest > 0 && at.Before(now.Add(min(e.oldest/2, 10*time.Minute)-e.oldest))
	if tooNew || tooOld {
		return now
	}
	return at
}
