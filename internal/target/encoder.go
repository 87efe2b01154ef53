package target

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// EncoderConfig says what an Encoder writes, and where to.
type EncoderConfig struct {
	// Organization is the name from the settings.
	Organization string
	// Topics are those of events, of dead letters and of the copies to write.
	Topics Found
	// Framing and Schema say how values are written.
	Framing codec.Framing
	Schema  schemas.Version
	// Headers are added to every record.
	Headers []kafka.Header
	// Number is the name of the header that gets a record's number in the seal, once that
	// is known: on events and dead letters, and not on copies. Empty: they have none.
	Number string
	// SafeJSON writes the copy as received as JSON that strict readers take.
	SafeJSON bool
	// EventTime gives records the time of their event, and not of the writing.
	EventTime bool
	// Now is the clock.
	Now func() time.Time
}

// Encoder turns the events of one organization into the records that are written of
// it. The connector and a repair write with it, so that a record shows which of them
// wrote it by the header of its number alone. It is safe for concurrent use.
type Encoder struct {
	cfg    EncoderConfig
	codec  *codec.Encoder
	topics []string // of an event and its copies, in the order of the codec
	// How far behind and ahead of now a record's timestamp may lie, for each of
	// those topics; oldest is 0 for no bound.
	oldest, latest time.Duration
}

// batchOverhead is what a batch of one record takes besides the record.
const batchOverhead = 100

// NewEncoder returns an encoder.
func NewEncoder(cfg EncoderConfig) (*Encoder, error) {
	e := &Encoder{cfg: cfg, latest: time.Hour}
	limit := 0
	copies := cfg.Topics.copies()
	for i, role := range append([]string{Events}, namesOf(copies)...) {
		topic := cfg.Topics[role]
		e.topics = append(e.topics, topic.Name)
		// An event goes to all of its topics or to none, so the smallest decides.
		if size := largest(topic); i == 0 || size < limit {
			limit = size
		}
		if after, ok := kafka.Milliseconds(topic.TimestampAfterMaxMs); ok {
			e.latest = min(e.latest, after)
		}
		if before, ok := kafka.Milliseconds(topic.TimestampBeforeMaxMs); ok && (e.oldest == 0 || before < e.oldest) {
			e.oldest = before
		}
	}
	var err error
	e.codec, err = codec.NewEncoder(codec.Config{
		Organization: cfg.Organization,
		Framing:      cfg.Framing,
		Schema:       cfg.Schema,
		Number:       cfg.Number,
		Headers:      cfg.Headers,
		Copies:       copies,
		SafeJSON:     cfg.SafeJSON,
		MaxBytes:     limit,
		MaxDLQBytes:  largest(cfg.Topics[DLQ]),
		SourceTopic:  cfg.Topics[Events].Name,
	})
	return e, err
}

func namesOf(copies []codec.Copy) (names []string) {
	for _, c := range copies {
		names = append(names, c.Name)
	}
	return names
}

func largest(topic kafka.Topic) int {
	return int(txlog.BatchBytes(topic.MaxMessageBytes)) - batchOverhead
}

// Encoded is what an event becomes.
type Encoded struct {
	Records []kafka.Message
	// Info is what is worth knowing of the event. Its Actor and IP are parts of
	// the event's page: to keep one of them keeps all of it in memory.
	Info   codec.Info
	Reason codec.Reason // why it is a dead letter; empty if it is none
	Bytes  int          // of the records, about
}

// Encode returns what an event becomes that was read from the API at a time. What cannot
// be a record of ours is a dead letter; an error is a fault of this program.
func (e *Encoder) Encode(ev auditlog.Event, ingested time.Time) (Encoded, error) {
	return e.EncodeIn(nil, rawjson.Value{}, ev, ingested)
}

// EncodeIn is Encode with records that are made in the memory of slab, if it can be. But for
// Info they are no parts of the event. parsed is the event's Raw, parsed; the zero value if it
// is not.
func (e *Encoder) EncodeIn(slab *kafka.Slab, parsed rawjson.Value, ev auditlog.Event, ingested time.Time) (Encoded, error) {
	records, info, err := e.codec.EncodeIn(slab, parsed, ev, ingested)
	if err != nil {
		return e.deadLetter(ev, info, err)
	}
	e.seal(&records[0], seal.RoleEvents)
	out := Encoded{Records: records, Info: info}
	at := e.timestamp(ev)
	for i := range records {
		records[i].Topic, records[i].Timestamp = e.topics[i], at
		out.Bytes += records[i].Size()
	}
	return out, nil
}

// deadLetter returns the record of an event that cannot be one of ours, alone: an
// event is in all of its topics or in none. Its time is that of the writing.
func (e *Encoder) deadLetter(ev auditlog.Event, info codec.Info, err error) (Encoded, error) {
	why, ok := errors.AsType[*codec.Undeliverable](err)
	if !ok {
		return Encoded{}, fmt.Errorf("encoding an event: %w", err)
	}
	letter := e.codec.DeadLetter(ev, why)
	letter.Topic = e.cfg.Topics[DLQ].Name
	e.seal(&letter, seal.RoleDLQ)
	return Encoded{Records: []kafka.Message{letter}, Info: info, Reason: why.Reason, Bytes: letter.Size()}, nil
}

// seal gives the record its hash as a leaf; its number it gets when it is written. Windows
// are encoded beside each other, while numbers are given under the lock of the commit, so
// that is no place to hash in.
func (e *Encoder) seal(m *kafka.Message, role string) {
	if e.cfg.Number == "" {
		return
	}
	h := hashers.Get().(*seal.Hasher)
	defer hashers.Put(h)
	m.Leaf = h.Hash(seal.Leaf{Role: role, Key: m.Key, Value: m.Value})
}

var hashers = sync.Pool{New: func() any { return new(seal.Hasher) }}

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
