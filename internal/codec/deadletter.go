package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// The headers of a dead letter.
const (
	headerError         = "error"
	headerErrorDetail   = "error_detail"
	headerSourceTopic   = "source_topic"
	headerEffectiveAt   = "effective_at"
	headerTruncated     = "truncated"
	headerOriginalBytes = "original_bytes"
	headerSHA256        = "sha256"
)

// DeadLetter returns the record of the dead letters' topic for an event that
// cannot be one of ours: its bytes as received, under its id, with the reason. A
// letter larger than MaxDLQBytes is cut, and says so with the size and the hash
// of what it was. Its value is a copy of the event's Raw, or of a part of it.
func (e *Encoder) DeadLetter(ev auditlog.Event, why *Undeliverable) kafka.Message {
	ours := []kafka.Header{
		header(headerError, []byte(why.Reason)),
		header(headerErrorDetail, []byte(why.Detail)),
		header(headerSourceTopic, []byte(e.config.SourceTopic)),
		e.source,
	}
	if ev.Timed {
		ours = append(ours, header(headerEffectiveAt, []byte(ev.EffectiveAt.Time().Format(time.RFC3339))))
	}
	m := kafka.Message{Value: bytes.Clone(ev.Raw), Headers: e.letterHeaders(ours)}
	if m.Value == nil {
		m.Value = []byte{} // a null value would be a tombstone
	}
	if ev.ID != "" {
		m.Key = []byte(ev.ID)
	}
	if e.config.MaxDLQBytes == 0 || m.Size() <= e.config.MaxDLQBytes {
		return m
	}
	sum := sha256.Sum256(ev.Raw)
	m.Headers = e.letterHeaders(append(ours,
		header(headerTruncated, []byte("true")),
		header(headerOriginalBytes, []byte(strconv.Itoa(len(ev.Raw)))),
		header(headerSHA256, []byte(hex.EncodeToString(sum[:]))),
	))
	return cut(m, e.config.MaxDLQBytes)
}

// letterHeaders are the headers of one dead letter.
func (e *Encoder) letterHeaders(ours []kafka.Header) kafka.Headers {
	return e.layout(kafka.FixedFields(ours...), e.config.Number).Headers(nil)
}

// cut shortens the value until the message fits. Where the key alone is too much
// (an id as long as an event), the key goes: a letter without one is better than
// a transaction that can never commit.
func cut(m kafka.Message, limit int) kafka.Message {
	value := m.Value
	m.Value = value[:0]
	if m.Size() > limit {
		m.Key = nil
	}
	m.Value = value[:min(len(value), max(0, limit-m.Size()))]
	return m
}
