package connector

import (
	"context"
	"errors"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// values turns events into records, the Avro one and its copies, or a dead
// letter. It is safe for concurrent use.
type values struct {
	framing codec.Framing
	schema  schemas.Version
	encoder *target.Encoder
}

func (o *organization) newValues(ctx context.Context, t target.Found) (*values, error) {
	framing, schema, err := o.framing(ctx)
	if err != nil {
		return nil, err
	}
	k := o.cfg.Kafka
	headers := make([]kafka.Header, len(k.Headers))
	for i, h := range k.Headers {
		headers[i] = kafka.Header{Key: h.Name, Value: []byte(h.Value)}
	}
	encoder, err := target.NewEncoder(target.EncoderConfig{
		Organization: o.Name,
		Topics:       t,
		Framing:      framing,
		Schema:       schema,
		Headers:      headers,
		EventTime:    k.Timestamp == TimestampEvent,
		Now:          o.now,
	})
	return &values{framing: framing, schema: schema, encoder: encoder}, err
}

// framing finds out how values say their schema.
func (o *organization) framing(ctx context.Context) (codec.Framing, schemas.Version, error) {
	if o.cfg.Registry.URL == "" {
		return codec.SingleObject(), schemas.Latest(), nil
	}
	framing, version, err := codec.Register(ctx, o.registry(), o.log)
	if errors.Is(err, codec.ErrSchemaIncompatible) || errors.Is(err, codec.ErrSchemaMissing) {
		err = &refusal{what: err, remedy: "register the schema (`schema register`), give the connector a topic of its own, or remove what is under the subject"}
	}
	return framing, version, err
}

func (o *organization) registry() codec.RegistryConfig {
	r := o.cfg.Registry
	return codec.RegistryConfig{
		URL:          r.URL,
		Username:     r.Username,
		Password:     r.Password.Read,
		CAFile:       r.CAFile,
		AutoRegister: r.AutoRegister,
		Subject:      schemas.Subject(o.cfg.Kafka.Topic),
	}
}

// schemaIDs adds to the ids that values in the topic carry the one they get now.
func (v *values) schemaIDs(before map[int]int) map[int]int {
	id, carried := v.framing.ID()
	if !carried {
		return nil
	}
	ids := map[int]int{v.schema.Number: id}
	for number, id := range before {
		if number != v.schema.Number {
			ids[number] = id
		}
	}
	return ids
}
