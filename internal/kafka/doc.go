// Package kafka holds what every part that speaks to Kafka shares: how to
// connect (Connection), what a topic is and must be (Ensure), how to read one
// partition to a given end (Reader), and what an error means (Classify, Explain).
//
// It writes no records. The one writer is package txlog.
package kafka
