package codec

import (
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/ecs"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/ocsf"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// Copy is a form in which events are written beside Avro: to a topic of its own, in
// the same transaction, with the same key and headers. Its value is JSON.
type Copy struct {
	// Name is what the cursor, check and tail call it, in lower case.
	Name string
	// Form completes "the event ..." for people.
	Form string

	// value returns the event in this form. It may be a part of the event, and is copied.
	value func(auditlog.Event, *flat.Record) ([]byte, error)
	// brief is value without what can be left out, for an event that is too large for its
	// topic otherwise; nil: nothing can be.
	brief func(auditlog.Event, *flat.Record) ([]byte, error)
	// safe is value as JSON that strict readers take (Config.SafeJSON); nil: value is.
	safe func(auditlog.Event, *flat.Record) ([]byte, error)
}

// copies are all of them. A row here is all that the rest of the program needs to
// know of a copy: topics, settings and commands are made from it.
var copies = []Copy{
	{Name: "json", Form: "as received", value: received, safe: safe},
	{Name: "ocsf", Form: "as OCSF " + ocsf.Version + " JSON", value: columns(ocsf.Encode), brief: columns(ocsf.EncodeBrief)},
	{Name: "ecs", Form: "as Elastic Common Schema " + ecs.Version + " JSON", value: columns(ecs.Encode), brief: columns(ecs.EncodeBrief)},
}

// Copies lists every copy, in the order of topics in reports.
func Copies() []Copy { return slices.Clone(copies) }

// CopyNamed returns the copy of that name.
func CopyNamed(name string) (Copy, bool) {
	i := slices.IndexFunc(copies, func(c Copy) bool { return c.Name == name })
	if i < 0 {
		return Copy{}, false
	}
	return copies[i], true
}

// Setting is the variable that names the topic of the copy.
func (c Copy) Setting() string { return "KAFKA_" + strings.ToUpper(c.Name) + "_TOPIC" }

// Field is the field of connector.Config that does.
func (c Copy) Field() string { return "Kafka." + strings.ToUpper(c.Name) + "Topic" }

// received is the event as received.
func received(ev auditlog.Event, _ *flat.Record) ([]byte, error) { return ev.Raw, nil }

// safe is the event as JSON that strict readers take.
func safe(ev auditlog.Event, _ *flat.Record) ([]byte, error) { return rawjson.Safe(string(ev.Raw)) }

// columns makes the value of a copy from what is read out of the event.
func columns(encode func(*flat.Record) ([]byte, error)) func(auditlog.Event, *flat.Record) ([]byte, error) {
	return func(_ auditlog.Event, r *flat.Record) ([]byte, error) { return encode(r) }
}

// copied returns the event's message of the copy. avro is that of the events topic.
// The error is an *Undeliverable.
func (e *Encoder) copied(slab *kafka.Slab, c Copy, ev auditlog.Event, r *flat.Record, avro kafka.Message) (kafka.Message, error) {
	m := kafka.Message{Key: avro.Key, Headers: avro.Headers.As(e.copies)}
	var err error
	if e.config.SafeJSON && c.safe != nil {
		c.value = c.safe
	}
	m.Value, err = c.value(ev, r)
	if err == nil && c.brief != nil && e.tooLarge(m.Size()) != nil {
		m.Value, err = c.brief(ev, r)
	}
	if err != nil {
		return kafka.Message{}, &Undeliverable{ReasonNotEncodable, "the event cannot be encoded " + c.Form}
	}
	if u := e.tooLarge(m.Size()); u != nil {
		return kafka.Message{}, u
	}
	m.Value = append(slab.Bytes(len(m.Value)), m.Value...)
	return m, nil
}
