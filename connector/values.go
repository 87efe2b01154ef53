package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// values turns events into records, the Avro one and its copies, or a dead
// letter. It is safe for concurrent use.
type values struct {
	kafka   Kafka
	framing codec.Framing
	encoder *codec.Encoder
	latest  time.Duration // how far ahead of now a record's timestamp may lie
	now     func() time.Time
}

// batchOverhead is what a batch of one record takes besides the record.
const batchOverhead = 100

func (o *organization) newValues(ctx context.Context, t topics) (*values, error) {
	framing, schema, err := o.framing(ctx)
	if err != nil {
		return nil, err
	}
	k := o.cfg.Kafka
	headers := make([]codec.Header, len(k.Headers))
	for i, h := range k.Headers {
		headers[i] = codec.Header{Key: h.Name, Value: []byte(h.Value)}
	}
	// An event goes to all of its topics or to none, so the smallest decides.
	limit := 0
	for _, role := range []string{roleEvents, roleJSON, roleOCSF} {
		if topic, ok := t[role]; ok {
			if most := largest(topic.MaxMessageBytes); limit == 0 || most < limit {
				limit = most
			}
		}
	}
	encoder, err := codec.NewEncoder(codec.Config{
		Organization: o.Name,
		Framing:      framing,
		Schema:       schema,
		Headers:      headers,
		MaxBytes:     limit,
		MaxDLQBytes:  largest(t[roleDLQ].MaxMessageBytes),
		SourceTopic:  k.Topic,
	})
	if err != nil {
		return nil, err
	}
	v := &values{kafka: k, framing: framing, encoder: encoder, now: o.now, latest: time.Hour}
	if ms := t[roleEvents].TimestampAfterMaxMs; ms > 0 {
		v.latest = min(v.latest, time.Duration(ms)*time.Millisecond)
	}
	return v, nil
}

func largest(maxMessageBytes int) int { return int(txlog.BatchBytes(maxMessageBytes)) - batchOverhead }

// framing finds out how values say their schema.
func (o *organization) framing(ctx context.Context) (codec.Framing, schemas.Version, error) {
	r := o.cfg.Registry
	if r.URL == "" {
		return codec.SingleObject(), schemas.Latest(), nil
	}
	framing, version, err := codec.Register(ctx, codec.RegistryConfig{
		URL:          r.URL,
		Username:     r.Username,
		Password:     r.Password.Read,
		CAFile:       r.CAFile,
		AutoRegister: r.AutoRegister,
		Subject:      schemas.Subject(o.cfg.Kafka.Topic),
	}, o.log)
	if errors.Is(err, codec.ErrSchemaIncompatible) || errors.Is(err, codec.ErrSchemaMissing) {
		err = &refusal{what: err, remedy: "register the schema (`schema register`), give the connector a topic of its own, or remove what is under the subject"}
	}
	return framing, version, err
}

// encoded is what an event becomes.
type encoded struct {
	records []txlog.Record
	info    codec.Info
	reason  codec.Reason // why it is a dead letter; empty if it is none
	bytes   int
}

// encode returns the records of an event. It cannot fail: what cannot be a record
// of ours is a dead letter.
func (v *values) encode(ev auditlog.Event, fetched time.Time) (encoded, error) {
	message, info, err := v.encoder.Encode(ev, fetched)
	if err != nil {
		return v.deadLetter(ev, info, err)
	}
	at := v.timestamp(ev)
	out := encoded{info: info, records: []txlog.Record{v.record(v.kafka.Topic, message, at)}}
	if v.kafka.JSONTopic != "" {
		out.records = append(out.records, v.record(v.kafka.JSONTopic, v.encoder.JSON(ev, message), at))
	}
	if v.kafka.OCSFTopic != "" {
		ocsf, err := v.encoder.OCSF(ev, message)
		if err != nil {
			return v.deadLetter(ev, info, err)
		}
		out.records = append(out.records, v.record(v.kafka.OCSFTopic, ocsf, at))
	}
	for _, r := range out.records {
		out.bytes += len(r.Value)
	}
	return out, nil
}

// deadLetter returns the record of an event that cannot be one of ours, alone: an
// event is in all of its topics or in none.
func (v *values) deadLetter(ev auditlog.Event, info codec.Info, err error) (encoded, error) {
	why, ok := errors.AsType[*codec.Undeliverable](err)
	if !ok {
		return encoded{}, fmt.Errorf("encoding an event: %w", err)
	}
	letter := v.record(v.kafka.DLQTopic, v.encoder.DeadLetter(ev, why), time.Time{})
	return encoded{records: []txlog.Record{letter}, info: info, reason: why.Reason, bytes: len(letter.Value)}, nil
}

// timestamp returns the record's time; zero is the time of writing. A time that
// the topic would refuse as too far ahead, and with it the whole batch, is written
// as now.
func (v *values) timestamp(ev auditlog.Event) time.Time {
	if v.kafka.Timestamp != TimestampEvent {
		return time.Time{}
	}
	at := ev.EffectiveAt.Time()
	if now := v.now(); at.After(now.Add(v.latest - time.Minute)) {
		return now
	}
	return at
}

func (v *values) record(topic string, m codec.Message, at time.Time) txlog.Record {
	headers := make([]txlog.Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = txlog.Header(h)
	}
	return txlog.Record{Topic: topic, Key: m.Key, Value: m.Value, Headers: headers, Timestamp: at}
}
