// Package codec turns events into Kafka records and back: Avro with its framing
// and headers, the event as received, OCSF, and dead letters. It also talks to
// the schema registry, which decides the framing.
//
// Encoding is total. Whatever the API sends becomes a record, or an
// *Undeliverable that says why it cannot be one and becomes a dead letter;
// nothing is skipped.
//
// hamba/avro encodes, in one file, avro.go. It is archived, and its decoder and
// its CRC-64-AVRO are not to be used; twmb/avro does all that reads Avro or
// reasons about schemas. A test holds the two to the same bytes.
package codec
