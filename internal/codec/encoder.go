package codec

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Config says what an Encoder writes. All of it is required unless it says
// otherwise.
type Config struct {
	// Organization is the name from the settings.
	Organization string
	// Framing is how values say their schema; the zero value is SingleObject.
	Framing Framing
	// Schema is the version to write.
	Schema schemas.Version
	// Number is the name of the header that gets a record's number in the seal: on events
	// and dead letters, and not on copies. Empty: they have none.
	Number string
	// Headers are added after ours to every record, dead letters included;
	// optional.
	Headers []kafka.Header
	// Copies are those that are written too; optional.
	Copies []Copy
	// SafeJSON writes the copy as received as JSON that strict readers take.
	SafeJSON bool
	// MaxBytes is the Size of the largest record that the events topic and those of the
	// copies take; a larger event is undeliverable. 0: no limit.
	MaxBytes int
	// MaxDLQBytes is the same for the dead letters' topic; a larger letter is
	// cut. 0: no limit.
	MaxDLQBytes int
	// SourceTopic is the events topic, for the dead letters.
	SourceTopic string
}

// Encoder turns the events of one organization into messages. It is safe for
// concurrent use.
type Encoder struct {
	config Config
	avro   *avroEncoder
	prefix []byte // of every value

	source kafka.Header // the same in every message
	// The headers of events and of their copies.
	events, copies *kafka.Layout
}

// NewEncoder returns an encoder.
func NewEncoder(c Config) (*Encoder, error) {
	if c.Organization == "" {
		return nil, errors.New("making an encoder: no organization")
	}
	encoder, err := newAvroEncoder(c.Schema)
	if err != nil {
		return nil, fmt.Errorf("making an encoder: %w", err)
	}
	e := &Encoder{
		config: c,
		avro:   encoder,
		prefix: c.Framing.prefix(c.Schema),
		source: header(headerSource, []byte(Source(c.Organization))),
	}
	e.events = e.layout(e.attributes(header(headerDataSchema, []byte(c.Schema.URN())), header(headerContentType, []byte(contentTypeAvro))), c.Number)
	e.copies = e.layout(e.attributes(header(headerContentType, []byte(contentTypeJSON))), "")
	return e, nil
}

// attributes are the headers of an event, up to those that say what its value is. The values
// of the message's own are, in their order: the type, the time, and the subject if it has one.
func (e *Encoder) attributes(value ...kafka.Header) []kafka.Field {
	return append([]kafka.Field{
		{Name: headerSpecVersion, Value: []byte("1.0")},
		{Name: headerID, From: kafka.Key},
		{Name: headerType, From: kafka.Own},
		{Name: headerSource, Value: e.source.Value},
		{Name: headerTime, From: kafka.Own},
		{Name: headerSubject, From: kafka.Own},
	}, kafka.FixedFields(value...)...)
}

// layout returns the headers with ours first, then the record's number if it has one, then
// the configured ones.
func (e *Encoder) layout(ours []kafka.Field, number string) *kafka.Layout {
	if number != "" {
		ours = append(ours, kafka.Field{Name: number, From: kafka.Number})
	}
	return kafka.NewLayout(append(ours, kafka.FixedFields(e.config.Headers...)...)...)
}

// Info is what is worth knowing of an event that was encoded. Actor and IP are
// personal data: they may be shown where that was asked for, never logged.
type Info struct {
	Type string
	// KnownType says whether this release knows the type.
	KnownType bool
	// Actor is the actor's e-mail address, else its id; empty if there is none.
	Actor string
	// IP is the address the actor came from; empty if there is none.
	IP string
}

// KnownType reports whether this release knows the type of event.
func KnownType(eventType string) bool { return flat.KnownType(eventType) }

// Encode returns the event's record, and after it its copies in the order of
// Config.Copies; their topics and times are the caller's. The error is an
// *Undeliverable: an event is in all of its topics or in none.
func (e *Encoder) Encode(ev auditlog.Event, ingestedAt time.Time) ([]kafka.Message, Info, error) {
	return e.EncodeIn(nil, rawjson.Value{}, ev, ingestedAt)
}

// EncodeIn is Encode with messages that are made in the memory of slab. They are no
// parts of the event. parsed is the event's Raw, parsed; the zero value if it is not.
func (e *Encoder) EncodeIn(slab *kafka.Slab, parsed rawjson.Value, ev auditlog.Event, ingestedAt time.Time) ([]kafka.Message, Info, error) {
	w := workspaces.Get().(*workspace)
	defer w.giveBack()
	record, err := e.record(w, parsed, ev, ingestedAt)
	if err != nil {
		return nil, Info{Type: ev.Type, KnownType: flat.KnownType(ev.Type)}, err
	}
	info := Info{
		Type:      record.Type,
		KnownType: flat.KnownType(record.Type),
		Actor:     first(record.ActorEmail, record.ActorID),
		IP:        first(record.SourceIP),
	}
	messages := slab.Messages(1 + len(e.config.Copies))[:1]
	if messages[0], err = e.message(slab, w, ev.ID, record, info.KnownType); err != nil {
		return nil, info, err
	}
	for _, c := range e.config.Copies {
		m, err := e.copied(slab, c, ev, record, messages[0])
		if err != nil {
			return nil, info, err
		}
		messages = append(messages, m)
	}
	return messages, info, nil
}

// record returns the event's columns.
func (e *Encoder) record(w *workspace, parsed rawjson.Value, ev auditlog.Event, ingestedAt time.Time) (record *flat.Record, err error) {
	if u := e.undeliverable(ev); u != nil {
		return nil, u
	}
	// Not a copy: Raw never changes, and the record is gone before the event is.
	raw := unsafe.String(unsafe.SliceData(ev.Raw), len(ev.Raw))
	if parsed.IsOf(raw) {
		record, err = w.flat.FlattenParsed(ev.Type, raw, parsed)
	} else {
		record, err = w.flat.Flatten(ev.Type, raw)
	}
	switch {
	case errors.Is(err, flat.ErrNotAnObject):
		return nil, &Undeliverable{ReasonNotAnObject, "the event is not a JSON object"}
	case err != nil:
		return nil, &Undeliverable{ReasonInvalidJSON, "the event is not valid JSON"}
	}
	record.ID = flat.WithoutNUL(ev.ID)
	record.EventScope = string(ev.Scope)
	record.EffectiveAt = ev.EffectiveAt.Time()
	record.IngestedAt = ingestedAt
	record.Organization = e.config.Organization
	return record, nil
}

// undeliverable finds what can be found without parsing the event. What is not
// an object has no id either, so that is said first.
func (e *Encoder) undeliverable(ev auditlog.Event) *Undeliverable {
	switch {
	case !utf8.Valid(ev.Raw):
		// Avro's strings are UTF-8. Some readers would refuse the record, others
		// repair it: neither is byte for byte.
		return &Undeliverable{ReasonInvalidUTF8, "the event is not valid UTF-8"}
	case !beginsObject(ev.Raw):
		return &Undeliverable{ReasonNotAnObject, "the event is not a JSON object"}
	case ev.ID == "":
		return &Undeliverable{ReasonMissingID, "the event has no id that is a string and not empty"}
	case !ev.Timed:
		return &Undeliverable{ReasonInvalidEffectiveAt, "effective_at is no integer that is a time in the years 1970 to 9999"}
	case !utf8.ValidString(ev.ID), !utf8.ValidString(ev.Type):
		return &Undeliverable{ReasonInvalidUTF8, "the event's id or type is not valid UTF-8"}
	}
	// The record holds the event whole, so this much is certain. Said before the event is
	// parsed here, it bounds what that may cost.
	return e.tooLarge(len(ev.Raw) + len(ev.ID))
}

func (e *Encoder) tooLarge(size int) *Undeliverable {
	if e.config.MaxBytes == 0 || size <= e.config.MaxBytes {
		return nil
	}
	return &Undeliverable{ReasonTooLarge, fmt.Sprintf("the record would have %d bytes or more, the topic takes %d", size, e.config.MaxBytes)}
}

// workspace is the memory in which an event is encoded. Nothing of what comes out is
// in it.
type workspace struct {
	flat flat.Flattener
	avro avroWriter
}

var workspaces = sync.Pool{New: func() any { return &workspace{avro: newAvroWriter()} }}

func (w *workspace) giveBack() {
	if w.avro.size() <= pooledBytes {
		workspaces.Put(w)
	}
}

// message encodes the record of the event with the id. The key is the id as it was
// sent, NUL and all: it is what makes two events the same one. Key, value and
// headers share one piece of memory.
func (e *Encoder) message(slab *kafka.Slab, w *workspace, id string, record *flat.Record, known bool) (kafka.Message, error) {
	value, err := e.avro.encode(w.avro, e.prefix, record)
	if err != nil {
		return kafka.Message{}, &Undeliverable{ReasonNotEncodable, "the event cannot be encoded as Avro"}
	}
	eventType, subject := safeType(record.Type, known), safeSubject(record.TargetID)
	var text [len(time.RFC3339)]byte
	at := record.EffectiveAt.AppendFormat(text[:0], time.RFC3339)
	a := slab.Bytes(len(value) + len(id) + len(typePrefix) + len(eventType) + len(at) + len(subject) + 3*kafka.OwnOverhead)
	a = append(append(a, value...), id...)
	key, own := len(value), len(a)
	a = kafka.AppendOwn(a, typePrefix, eventType)
	a = kafka.AppendOwn(a, string(at))
	a = kafka.AppendOwn(a, subject)
	m := kafka.Message{Key: a[key:own:own], Value: a[:key:key], Headers: e.events.Headers(a[own:len(a):len(a)])}
	if u := e.tooLarge(m.Size()); u != nil {
		return kafka.Message{}, u
	}
	return m, nil
}

// beginsObject reports whether the JSON text can be that of an object.
func beginsObject(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\n', '\r', '\t':
		default:
			return c == '{'
		}
	}
	return false
}

// first returns the first column that is not null, else "".
func first(columns ...*string) string {
	for _, c := range columns {
		if c != nil {
			return *c
		}
	}
	return ""
}
