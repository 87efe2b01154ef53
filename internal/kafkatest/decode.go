package kafkatest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Decode reads a value of the events topic, in either framing, by the published
// schema.
func Decode(value []byte) (Want, error) {
	body, versions, err := unframe(value)
	if err != nil {
		return Want{}, err
	}
	for _, schema := range versions {
		var event struct {
			ID          string    `avro:"id"`
			Scope       string    `avro:"event_scope"`
			EffectiveAt time.Time `avro:"effective_at"`
			Raw         string    `avro:"raw_event"`
		}
		rest, decoding := schema.Decode(body, &event, avro.SkipUnknown())
		switch {
		case decoding != nil:
			err = fmt.Errorf("decoding: %w", decoding)
		case len(rest) > 0:
			err = fmt.Errorf("%d bytes behind the record", len(rest))
		default:
			return Want{ID: event.ID, Scope: event.Scope, EffectiveAt: event.EffectiveAt.Unix(), Raw: []byte(event.Raw)}, nil
		}
	}
	return Want{}, err
}

// unframe tells a single object from a value of a registry by its first bytes, and
// returns the versions of the schema that it may have.
func unframe(value []byte) (body []byte, versions []*avro.Schema, err error) {
	switch {
	case len(value) >= 10 && value[0] == 0xC3 && value[1] == 0x01:
		fingerprint := binary.LittleEndian.Uint64(value[2:])
		schema, ok := published()[fingerprint]
		if !ok {
			return nil, nil, fmt.Errorf("no schema has fingerprint %016x", fingerprint)
		}
		return value[10:], []*avro.Schema{schema}, nil
	case len(value) >= 5 && value[0] == 0:
		// The id is the registry's own. Only the version that wrote a record ends where the
		// record ends, since each version appends to the one before.
		return value[5:], slices.Collect(maps.Values(published())), nil
	default:
		return nil, nil, errors.New("neither an Avro single object nor a value of a registry")
	}
}

// published returns every schema by its fingerprint, and the one of the next release.
var published = sync.OnceValue(func() map[uint64]*avro.Schema {
	all := map[uint64]*avro.Schema{}
	for _, v := range append(schemas.Versions(), NextSchema()) {
		all[v.Fingerprint] = avro.MustParse(v.Text)
	}
	return all
})
