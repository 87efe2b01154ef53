package codec

import (
	"fmt"
	"sync"

	"github.com/hamba/avro/v2"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// avroEncoder writes records of one schema version. It is safe for concurrent
// use.
//
// This is the only file that may use hamba/avro, and its encoder is all that it
// may use (TestHambaOnlyEncodes). To replace it, replace this file.
type avroEncoder struct {
	schema  avro.Schema
	writers sync.Pool
}

// pooledBytes bounds the buffers kept for reuse.
const pooledBytes = 64 << 10

func newAvroEncoder(version schemas.Version) (*avroEncoder, error) {
	// A cache of our own: in the global one a schema of the same name that some
	// other package parses would silently take this one's place.
	schema, err := avro.ParseWithCache(version.Text, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("parsing schema version %d: %w", version.Number, err)
	}
	// Without the sizes of blocks the bytes are those of twmb/avro and Java, and
	// consumers that know only the plain form of an array can read them.
	config := avro.Config{DisableBlockSizeHeader: true}.Freeze()
	e := &avroEncoder{schema: schema}
	e.writers.New = func() any { return avro.NewWriter(nil, 2048, avro.WithWriterConfig(config)) }
	return e, nil
}

// append adds the record's bytes to dst.
func (e *avroEncoder) append(dst []byte, record *flat.Record) ([]byte, error) {
	w := e.writers.Get().(*avro.Writer)
	w.Reset(nil)
	w.WriteVal(e.schema, record)
	if w.Error != nil {
		return dst, w.Error // and the writer, which keeps its error, is dropped
	}
	dst = append(dst, w.Buffer()...)
	if cap(w.Buffer()) <= pooledBytes {
		e.writers.Put(w)
	}
	return dst, nil
}
