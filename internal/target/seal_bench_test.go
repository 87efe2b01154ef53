package target_test

import (
	"fmt"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// BenchmarkSeal is what the seal costs each event of a transaction: to hash the record,
// which is done where it is encoded, and to give it a number.
func BenchmarkSeal(b *testing.B) {
	records := make([]kafka.Message, 4096)
	for i := range records {
		records[i] = kafka.Message{
			Topic: "events", Key: fmt.Appendf(nil, "audit_log-%020d", i), Value: make([]byte, 1300),
			Headers: kafka.NewLayout(kafka.Field{Name: seal.Header, From: kafka.Number}).Headers(nil),
		}
	}
	sealing := target.Sealing{Roles: map[string]string{"events": seal.RoleEvents}}
	tree, hasher := seal.NewTree(), new(seal.Hasher)
	b.ReportAllocs()
	for b.Loop() {
		for i := range records {
			m := &records[i]
			m.Leaf = hasher.Hash(seal.Leaf{Role: seal.RoleEvents, Key: m.Key, Value: m.Value})
		}
		if err := sealing.Number(records, tree); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
}
