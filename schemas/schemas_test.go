package schemas_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestFingerprints holds the committed constants to what twmb/avro computes.
// Changing a released schema fails here: consumers find it by this number.
func TestFingerprints(t *testing.T) {
	for _, v := range schemas.Versions() {
		sum := avro.MustParse(v.Text).Fingerprint(avro.NewRabin())
		if got := binary.BigEndian.Uint64(sum); got != v.Fingerprint {
			t.Errorf("version %d: fingerprint %#016x, committed %#016x", v.Number, got, v.Fingerprint)
		}
		if got, ok := schemas.ByFingerprint(v.Fingerprint); !ok || got != v {
			t.Errorf("ByFingerprint(%#x) = version %d, %v; want %d", v.Fingerprint, got.Number, ok, v.Number)
		}
	}
	if _, ok := schemas.ByFingerprint(0); ok {
		t.Error("a version has fingerprint 0")
	}
}

// TestReleasedVersionsStay: a released version is never changed, not in its docs or
// defaults either, which the fingerprint does not cover. Some registries would keep the
// changed text as a version of its own, and readers with the old file and the new one
// would not be the same. A change is a new version: its row is added here.
func TestReleasedVersionsStay(t *testing.T) {
	released := []string{
		"968fd26450b3149343b652495c9b2337f78608a9ca5c5ff0494ca7a63a5483b2",
	}
	for i, v := range schemas.Versions() {
		got := fmt.Sprintf("%x", sha256.Sum256([]byte(v.Text)))
		if i >= len(released) {
			t.Errorf("version %d is new: add the SHA-256 of its file to this test, %s", v.Number, got)
		} else if got != released[i] {
			t.Errorf("the file of version %d has the SHA-256 %s, and was released with another: put it back, and append what is new to a new version", v.Number, got)
		}
	}
}

// TestSingleObjectPrefix holds the byte order of Version.Fingerprint to the one
// that single-object values begin with.
func TestSingleObjectPrefix(t *testing.T) {
	v := schemas.Latest()
	value, err := avro.MustParse(v.Text).AppendSingleObject(nil, minimalEvent())
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.LittleEndian.Uint64(value[2:10]); got != v.Fingerprint {
		t.Errorf("value begins with fingerprint %#x, want %#x", got, v.Fingerprint)
	}
	if want := fmt.Sprintf("urn:avro:crc64:%016x", v.Fingerprint); v.URN() != want {
		t.Errorf("URN = %q, want %q", v.URN(), want)
	}
}

func TestEveryFileIsAVersion(t *testing.T) {
	files, err := filepath.Glob("*.avsc")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(schemas.Versions()) {
		t.Errorf("%d files, %d versions", len(files), len(schemas.Versions()))
	}
	for i, v := range schemas.Versions() {
		text, err := os.ReadFile(fmt.Sprintf("audit_event_v%d.avsc", v.Number))
		if err != nil {
			t.Fatal(err)
		}
		if v.Number != i+1 || string(text) != v.Text {
			t.Errorf("version %d does not hold its file", v.Number)
		}
	}
}

// TestFullTransitive: a reader with any version reads what any version wrote.
// Registries do not look at logical types; TestTimestamps does.
func TestFullTransitive(t *testing.T) {
	for _, writer := range schemas.Versions() {
		for _, reader := range schemas.Versions() {
			if err := avro.CheckCompatibility(avro.MustParse(writer.Text), avro.MustParse(reader.Text)); err != nil {
				t.Errorf("version %d cannot read version %d: %v", reader.Number, writer.Number, err)
			}
		}
	}
}

// TestNewVersionsAppend: a reader with a fixed older schema file (Spark) ignores
// trailing bytes, so it reads newer records only if new fields come last.
func TestNewVersionsAppend(t *testing.T) {
	var before []field
	for _, v := range schemas.Versions() {
		fields := fieldsOf(t, v)
		if len(fields) < len(before) {
			t.Fatalf("version %d has fewer fields than the one before", v.Number)
		}
		for i, f := range before {
			if fields[i].Name != f.Name || string(fields[i].Type) != string(f.Type) {
				t.Errorf("version %d: field %d is %s, was %s", v.Number, i, fields[i].Name, f.Name)
			}
		}
		before = fields
	}
}

type field struct {
	Name    string          `json:"name"`
	Doc     string          `json:"doc"`
	Type    json.RawMessage `json:"type"`
	Default json.RawMessage `json:"default"`
}

func fieldsOf(t *testing.T, v schemas.Version) []field {
	t.Helper()
	var record struct {
		Name      string  `json:"name"`
		Namespace string  `json:"namespace"`
		Fields    []field `json:"fields"`
	}
	if err := json.Unmarshal([]byte(v.Text), &record); err != nil {
		t.Fatal(err)
	}
	if record.Namespace != "openai.audit" || record.Name != "AuditEvent" {
		t.Errorf("version %d is named %s.%s", v.Number, record.Namespace, record.Name)
	}
	return record.Fields
}

const (
	typeString = `"string"`
	typeMillis = `{"type": "long", "logicalType": "timestamp-millis"}`
	typeArray  = `{"type": "array", "items": "string"}`
)

// TestOnlyTypesEveryConsumerReads: some consumer breaks on every other type.
func TestOnlyTypesEveryConsumerReads(t *testing.T) {
	defaults := map[string]string{
		typeString:           "",
		typeMillis:           "",
		`["null", "string"]`: "null",
		`["null", "long"]`:   "null",
		`["null", "double"]`: "null",
		typeArray:            "[]",
	}
	for _, v := range schemas.Versions() {
		for _, f := range fieldsOf(t, v) {
			want, ok := defaults[string(f.Type)]
			if f.Name == "outcome" {
				want = `"unknown"`
			}
			if !ok {
				t.Errorf("version %d: field %s has type %s", v.Number, f.Name, f.Type)
			} else if string(f.Default) != want {
				t.Errorf("version %d: field %s has default %q, want %q", v.Number, f.Name, f.Default, want)
			}
		}
	}
}

// TestTimestamps: a change of the unit passes every registry, and shifts every
// time silently by a factor of 1000.
func TestTimestamps(t *testing.T) {
	for _, v := range schemas.Versions() {
		for _, f := range fieldsOf(t, v) {
			isTime := f.Name == "effective_at" || f.Name == "ingested_at"
			if isTime != (string(f.Type) == typeMillis) {
				t.Errorf("version %d: field %s has type %s", v.Number, f.Name, f.Type)
			}
		}
	}
}

// TestFieldsOfVersion1 is the record of the contract, written by hand.
func TestFieldsOfVersion1(t *testing.T) {
	want := strings.Fields(`id:s type:s event_scope:s effective_at:ms ingested_at:ms organization:s
		project_id:s? project_name:s? outcome:s error_code:s? error_message:s? actor_type:s? actor_id:s?
		actor_email:s? actor_user_id:s? actor_service_account_id:s? actor_api_key_id:s? actor_api_key_type:s?
		source_ip:s? source_country:s? source_region:s? source_region_code:s? source_city:s? source_asn:l?
		source_latitude:d? source_longitude:d? user_agent:s? ja3:s? ja4:s? target_type:s? target_id:s?
		target_name:s? target_email:s? principal_id:s? principal_type:s? role:s? resource_id:s?
		resource_type:s? scopes:[s] permissions:[s] permissions_added:[s] permissions_removed:[s]
		allowed_ips:[s] changed_fields:[s] details:s? raw_event:s`)
	short := map[string]string{
		typeString: "s", typeMillis: "ms", typeArray: "[s]",
		`["null", "string"]`: "s?", `["null", "long"]`: "l?", `["null", "double"]`: "d?",
	}
	var got []string
	for _, f := range fieldsOf(t, schemas.Versions()[0]) {
		got = append(got, f.Name+":"+short[string(f.Type)])
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields\n got %v\nwant %v", got, want)
	}
}

// TestDocs: every field says what it is, and whether it may be personal data.
func TestDocs(t *testing.T) {
	personal := strings.Fields(`project_name error_message actor_id actor_email actor_user_id source_ip
		source_country source_region source_region_code source_city source_asn source_latitude source_longitude
		user_agent ja3 ja4 target_id target_name target_email principal_id resource_id allowed_ips details
		raw_event`)
	for _, v := range schemas.Versions() {
		for _, f := range fieldsOf(t, v) {
			if len(f.Doc) < 20 || !strings.HasSuffix(f.Doc, ".") {
				t.Errorf("version %d: field %s has doc %q", v.Number, f.Name, f.Doc)
			}
			marked := strings.HasSuffix(f.Doc, " Personal data.")
			if v.Number == 1 && marked != slices.Contains(personal, f.Name) {
				t.Errorf("field %s marked as personal data: %v", f.Name, marked)
			}
		}
	}
}

func TestSubject(t *testing.T) {
	if got := schemas.Subject("openai.audit.events"); got != "openai.audit.events-value" {
		t.Errorf("Subject = %q", got)
	}
}
