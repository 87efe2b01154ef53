package codec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Record is one event of the topic, column by column.
type Record = flat.Record

// IDOf returns the id of the event in a record of the topic, as it was sent: the
// key has it, and the column has U+FFFD where the id has a NUL. Of a record whose
// key is another text, made by somebody else, it is the column's.
func IDOf(key []byte, record Record) string {
	if id := string(key); flat.WithoutNUL(id) == record.ID {
		return id
	}
	return record.ID
}

// ErrUnknownSchema is the error of a value whose schema cannot be found: it was
// written by a newer release, or by another registry's id.
var ErrUnknownSchema = errors.New("the schema of the value is not known")

// SchemaLookup returns the text of the schema that the registry keeps under the
// id. It answers ErrUnknownSchema for one that it does not keep.
type SchemaLookup func(ctx context.Context, id int) (string, error)

// Decoder reads the values of the events topic, of every version and framing. It
// takes what the topic holds for hostile: memory and time are bounded by the
// size of the value. It is safe for concurrent use.
type Decoder struct {
	lookup SchemaLookup

	mu       sync.Mutex // guards byID; not held while the registry is asked
	byID     map[int]*avro.Schema
	byNumber map[int]*avro.Schema // by version; never written after NewDecoder
}

// maxCachedIDs bounds the schemas kept, for ids come from the topic.
const maxCachedIDs = 64

// NewDecoder returns a decoder. Without a lookup it reads single objects only.
func NewDecoder(lookup SchemaLookup) (*Decoder, error) {
	d := &Decoder{lookup: lookup, byID: make(map[int]*avro.Schema), byNumber: make(map[int]*avro.Schema)}
	for _, v := range schemas.Versions() {
		schema, err := readAs(v.Text)
		if err != nil {
			return nil, fmt.Errorf("making a decoder: version %d: %w", v.Number, err)
		}
		d.byNumber[v.Number] = schema
	}
	return d, nil
}

// latest is the schema that values are read as: what they lack has its default,
// what they have more is skipped.
var latest = sync.OnceValues(func() (*avro.Schema, error) { return avro.Parse(schemas.Latest().Text) })

// readAs returns a schema that reads what writer wrote as a Record.
func readAs(writer string) (*avro.Schema, error) {
	w, err := avro.Parse(writer)
	if err != nil {
		return nil, err
	}
	r, err := latest()
	if err != nil {
		return nil, err
	}
	return avro.Resolve(w, r)
}

// Decode returns the record in the value. An error of the registry comes back
// as it is.
func (d *Decoder) Decode(ctx context.Context, value []byte) (Record, error) {
	var record Record
	schema, body, err := d.schemaOf(ctx, value)
	if err != nil {
		return record, err
	}
	rest, err := schema.Decode(body, &record)
	if err != nil {
		return record, fmt.Errorf("decoding a value: %w", err)
	}
	if len(rest) > 0 {
		return record, fmt.Errorf("decoding a value: %d bytes are left over", len(rest))
	}
	return record, nil
}

// schemaOf reads the framing.
func (d *Decoder) schemaOf(ctx context.Context, value []byte) (schema *avro.Schema, body []byte, err error) {
	switch {
	case len(value) >= singleSize && value[0] == singleMagic0 && value[1] == singleMagic1:
		fingerprint := binary.LittleEndian.Uint64(value[2:])
		version, ok := schemas.ByFingerprint(fingerprint)
		if !ok {
			return nil, nil, fmt.Errorf("%w: fingerprint %016x, perhaps of a newer release", ErrUnknownSchema, fingerprint)
		}
		return d.byNumber[version.Number], value[singleSize:], nil
	case len(value) >= confluentSize && value[0] == confluentMagic:
		schema, err = d.schemaByID(ctx, int(binary.BigEndian.Uint32(value[1:])))
		return schema, value[confluentSize:], err
	default:
		return nil, nil, errors.New("decoding a value: it has neither framing")
	}
}

func (d *Decoder) schemaByID(ctx context.Context, id int) (*avro.Schema, error) {
	d.mu.Lock()
	schema := d.byID[id]
	d.mu.Unlock()
	if schema != nil {
		return schema, nil
	}
	if d.lookup == nil {
		return nil, fmt.Errorf("%w: schema id %d, and no registry is configured", ErrUnknownSchema, id)
	}
	text, err := d.lookup(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking up schema id %d: %w", id, err)
	}
	if schema, err = readAs(text); err != nil {
		return nil, fmt.Errorf("schema id %d is not one of ours: %w", id, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byID) < maxCachedIDs {
		d.byID[id] = schema
	}
	return schema, nil
}
