package target_test

import (
	"fmt"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// BenchmarkNumber is what the seal costs each event of a transaction.
func BenchmarkNumber(b *testing.B) {
	records := make([]kafka.Message, 4096) // more than a processor's cache holds
	for i := range records {
		records[i] = kafka.Message{
			Topic: "events", Key: fmt.Appendf(nil, "audit_log-%020d", i), Value: make([]byte, 1300),
			Headers: []kafka.Header{{Key: seal.Header}},
		}
	}
	sealing := target.Sealing{Roles: map[string]string{"events": seal.RoleEvents}}
	tree := seal.NewTree()
	b.ReportAllocs()
	for b.Loop() {
		if err := sealing.Number(records, seal.Header, tree); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
}
