package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Framing is how a value says which schema it was written with. The zero value
// is SingleObject. Framings can be compared.
type Framing struct {
	confluent bool
	id        int
}

// The names of the framings, as they stand in the cursor.
const (
	FramingSingleObject = "single-object"
	FramingConfluent    = "confluent"
)

// SingleObject is Avro's single-object encoding: C3 01, then the fingerprint of
// the schema, 8 bytes, least significant first.
func SingleObject() Framing { return Framing{} }

// Confluent is the framing of the schema registries: 00, then the id under which
// the registry keeps the schema, 4 bytes, most significant first.
func Confluent(id int) Framing { return Framing{confluent: true, id: id} }

// Name is FramingSingleObject or FramingConfluent.
func (f Framing) Name() string {
	if f.confluent {
		return FramingConfluent
	}
	return FramingSingleObject
}

// ID is the schema registry's id that values carry; false if they carry none.
func (f Framing) ID() (id int, carried bool) { return f.id, f.confluent }

// String returns the name, with the id if there is one.
func (f Framing) String() string {
	if f.confluent {
		return fmt.Sprintf("%s, schema id %d", f.Name(), f.id)
	}
	return f.Name()
}

const (
	confluentMagic = 0x00
	confluentSize  = 1 + 4
	singleMagic0   = 0xC3
	singleMagic1   = 0x01
	singleSize     = 2 + 8
)

// prefix returns what a value of the version begins with.
func (f Framing) prefix(version schemas.Version) []byte {
	if f.confluent {
		return binary.BigEndian.AppendUint32([]byte{confluentMagic}, uint32(f.id))
	}
	return binary.LittleEndian.AppendUint64([]byte{singleMagic0, singleMagic1}, version.Fingerprint)
}
