// Package schemas holds every version of the Avro schema of the records in the
// events topic, so that a consumer can decode what any release wrote.
//
// A version is never changed once it is released: readers find it by its
// fingerprint, which is in every record. A new version appends fields with
// defaults at the end, and every version can read every other.
package schemas

import (
	_ "embed"
	"fmt"
)

// Version is one version of the schema of openai.audit.AuditEvent.
type Version struct {
	// Number counts from 1.
	Number int
	// Text is the schema as JSON, the content of audit_event_v<Number>.avsc.
	Text string
	// Fingerprint is the CRC-64-AVRO of the schema's Parsing Canonical Form, as
	// Apache Avro computes it. It is a constant here because two of the libraries
	// in use get it wrong for schemas with logical types; a test recomputes it.
	Fingerprint uint64
}

//go:embed audit_event_v1.avsc
var auditEventV1 string

// versions is oldest first. Append only.
var versions = []Version{
	{Number: 1, Text: auditEventV1, Fingerprint: 0x5d6629bb2191bf3e},
}

// Versions returns every version, oldest first.
func Versions() []Version { return append([]Version(nil), versions...) }

// Latest returns the newest version, the one new records are written with.
func Latest() Version { return versions[len(versions)-1] }

// ByFingerprint returns the version with the CRC-64-AVRO fingerprint.
func ByFingerprint(fingerprint uint64) (Version, bool) {
	for _, v := range versions {
		if v.Fingerprint == fingerprint {
			return v, true
		}
	}
	return Version{}, false
}

// URN returns the version as the header ce_dataschema names it:
// urn:avro:crc64: and the fingerprint as a number in 16 hexadecimal digits, most
// significant first, which is how Avro tools print it. The first bytes of a
// single-object value hold the same number least significant byte first.
func (v Version) URN() string { return fmt.Sprintf("urn:avro:crc64:%016x", v.Fingerprint) }

// Subject returns the name under which a schema registry keeps the schema of the
// topic's values. It is what Flink, ksqlDB, Materialize and Connect expect.
func Subject(topic string) string { return topic + "-value" }
