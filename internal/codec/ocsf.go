package codec

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/ocsf"
)

// OCSF returns the record of the OCSF topic for an event and the message that
// Encode made of it: the event as OCSF 1.8.0 in JSON, with the same key and
// headers, apart from those that speak of Avro. OCSF repeats much of the event
// beside its raw text; where that is more than MaxBytes, the raw text and the
// event's own object are left out, and metadata.is_truncated says so. The error
// is an *Undeliverable, for one that is too large even so.
func (e *Encoder) OCSF(ev auditlog.Event, m Message) (Message, error) {
	record, err := e.record(ev, time.Time{})
	if err != nil {
		return Message{}, err
	}
	out := Message{Key: m.Key, Headers: jsonHeaders(m.Headers)}
	if out.Value, err = ocsf.Encode(record); err == nil && e.tooLarge(out.Size()) != nil {
		out.Value, err = ocsf.EncodeBrief(record)
	}
	if err != nil {
		return Message{}, &Undeliverable{ReasonNotEncodable, "the event cannot be encoded as OCSF " + ocsf.Version}
	}
	if u := e.tooLarge(out.Size()); u != nil {
		return Message{}, u
	}
	return out, nil
}
