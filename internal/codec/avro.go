package codec

import (
	"fmt"

	"github.com/hamba/avro/v2"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// avroEncoder writes records of one schema version. It is safe for concurrent
// use.
//
// This is the only file that may use hamba/avro, and its encoder is all that it
// may use (TestHambaOnlyEncodes). To replace it, replace this file.
type avroEncoder struct{ schema avro.Schema }

// avroWriter is memory in which records are written, one after the other.
type avroWriter struct{ *avro.Writer }

// pooledBytes bounds the buffers kept for reuse.
const pooledBytes = 64 << 10

func newAvroEncoder(version schemas.Version) (*avroEncoder, error) {
	// A cache of our own: in the global one a schema of the same name that some
	// other package parses would silently take this one's place.
	schema, err := avro.ParseWithCache(version.Text, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("parsing schema version %d: %w", version.Number, err)
	}
	return &avroEncoder{schema}, nil
}

// Without the sizes of blocks the bytes are those of twmb/avro and Java, and consumers that
// know only the plain form of an array can read them.
var avroConfig = avro.Config{DisableBlockSizeHeader: true}.Freeze()

func newAvroWriter() avroWriter {
	return avroWriter{avro.NewWriter(nil, 2048, avro.WithWriterConfig(avroConfig))}
}

// size is how much memory it has.
func (w avroWriter) size() int { return cap(w.Buffer()) }

// encode returns the prefix and the record behind it. They are memory of the writer, and
// so valid until it is used again.
func (e *avroEncoder) encode(w avroWriter, prefix []byte, record *flat.Record) ([]byte, error) {
	w.Reset(nil)
	w.Error = nil // a writer keeps its error
	_, _ = w.Write(prefix)
	w.WriteVal(e.schema, record)
	return w.Buffer(), w.Error
}
