package kafkatest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Decode reads a value of the events topic, in either framing, by the published
// schema.
func Decode(value []byte) (Want, error) {
	schema, body, err := unframe(value)
	if err != nil {
		return Want{}, err
	}
	var event struct {
		ID          string    `avro:"id"`
		Scope       string    `avro:"event_scope"`
		EffectiveAt time.Time `avro:"effective_at"`
		Raw         string    `avro:"raw_event"`
	}
	rest, err := schema.Decode(body, &event, avro.SkipUnknown())
	if err != nil {
		return Want{}, fmt.Errorf("decoding: %w", err)
	}
	if len(rest) > 0 {
		return Want{}, fmt.Errorf("%d bytes behind the record", len(rest))
	}
	return Want{ID: event.ID, Scope: event.Scope, EffectiveAt: event.EffectiveAt.Unix(), Raw: []byte(event.Raw)}, nil
}

// unframe tells a single object from a value of a registry by its first bytes.
func unframe(value []byte) (*avro.Schema, []byte, error) {
	switch {
	case len(value) >= 10 && value[0] == 0xC3 && value[1] == 0x01:
		fingerprint := binary.LittleEndian.Uint64(value[2:])
		schema, ok := published()[fingerprint]
		if !ok {
			return nil, nil, fmt.Errorf("no schema has fingerprint %016x", fingerprint)
		}
		return schema, value[10:], nil
	case len(value) >= 5 && value[0] == 0:
		// The id is the registry's own. Tests register one version, the latest.
		return published()[schemas.Latest().Fingerprint], value[5:], nil
	default:
		return nil, nil, errors.New("neither an Avro single object nor a value of a registry")
	}
}

// published returns every schema by its fingerprint.
var published = sync.OnceValue(func() map[uint64]*avro.Schema {
	all := map[uint64]*avro.Schema{}
	for _, v := range schemas.Versions() {
		all[v.Fingerprint] = avro.MustParse(v.Text)
	}
	return all
})
