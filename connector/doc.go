// Package connector keeps a Kafka topic equal to an organization's OpenAI audit
// log. New takes a Config, Run works until its context ends.
//
// After every commit a read_committed consumer of the topic has seen each event
// that the API has shown for the covered time exactly once, and the cursor in
// the offsets topic says exactly what is covered. docs/design.md tells how.
package connector
