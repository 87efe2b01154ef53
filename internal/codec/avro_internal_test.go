package codec

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestEncodersAgree holds hamba's bytes to twmb's, on records that hold anything
// a column can, so that either library could take the other's place; and what
// was written is what is read.
func TestEncodersAgree(t *testing.T) {
	for _, version := range schemas.Versions() {
		encoder, err := newAvroEncoder(version)
		if err != nil {
			t.Fatal(err)
		}
		schema := avro.MustParse(version.Text)
		rapid.Check(t, func(t *rapid.T) {
			record := anyRecord(t)
			got, err := encoder.encode(newAvroWriter(), []byte("before"), &record)
			if err != nil {
				t.Fatal(err)
			}
			want, err := schema.AppendEncode([]byte("before"), &record)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("version %d:\nhamba %x\ntwmb  %x", version.Number, got, want)
			}
			var back flat.Record
			if rest, err := schema.Decode(got[len("before"):], &back); err != nil || len(rest) > 0 {
				t.Fatalf("decoding: %v, %d bytes left", err, len(rest))
			}
			if diff := cmp.Diff(record, back, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecordHasEveryColumn: a column that the record lacks would be written as
// its default for ever, and nothing would say so.
func TestRecordHasEveryColumn(t *testing.T) {
	var names, columns []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[flat.Record]()) {
		names = append(names, field.Tag.Get("avro"))
		if field.Tag.Get("json") != field.Tag.Get("avro") {
			t.Errorf("%s has two names", field.Name)
		}
	}
	for _, field := range avro.MustParse(schemas.Latest().Text).Root().Fields {
		columns = append(columns, field.Name)
	}
	if diff := cmp.Diff(columns, names); diff != "" {
		t.Errorf("(-schema +record):\n%s", diff)
	}
}

func anyRecord(t *rapid.T) (record flat.Record) {
	text := rapid.String()
	for i := range reflect.TypeOf(record).NumField() {
		field := reflect.ValueOf(&record).Elem().Field(i)
		var value any
		switch field.Interface().(type) {
		case string:
			value = text.Draw(t, "text")
		case *string:
			value = rapid.Ptr(text, true).Draw(t, "nullable text")
		case *int64:
			value = rapid.Ptr(rapid.Int64(), true).Draw(t, "nullable long")
		case *float64:
			value = rapid.Ptr(rapid.Float64(), true).Draw(t, "nullable double")
		case []string:
			value = rapid.SliceOfN(text, 0, 120).Draw(t, "list") // hamba's blocks have 100
		case time.Time:
			value = time.UnixMilli(rapid.Int64Range(-62135596800_000, 253402300799_999).Draw(t, "time")).UTC()
		default:
			t.Fatalf("what is a %s?", field.Type())
		}
		field.Set(reflect.ValueOf(value))
	}
	return record
}
