package ops

import (
	"os"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// TestConsumerFindings holds what check says of readers to what they were seen to do
// (docs/consuming.md).
func TestConsumerFindings(t *testing.T) {
	single, registry := codec.SingleObject(), codec.Confluent(0)
	for _, test := range []struct {
		name, compression string
		framing           codec.Framing
		cause, remedy     string // empty: it is fine
	}{
		{"kafkajs", "zstd", single, "it brings no codec for KAFKA_COMPRESSION=zstd", "KAFKA_COMPRESSION=gzip"},
		{"kafkajs", "gzip", single, "", ""},
		{"kafkajs", "none", registry, "", ""},
		{"kafka-python", "zstd", single, "it brings no codec for KAFKA_COMPRESSION=zstd", "install zstandard"},
		{"java", "zstd", single, "", ""},
		{"clickhouse", "zstd", single, "it reads values with a schema registry alone", "SCHEMA_REGISTRY_URL"},
		{"clickhouse", "zstd", registry, "", ""},
		{"kafka-go", "gzip", registry, "it shows records of aborted transactions, whatever is set", "take another client"},
	} {
		got := consumerFinding(consumers[test.name], test.compression, test.framing)
		if state := map[bool]CheckState{true: OK, false: Warning}[test.cause == ""]; got.State != state ||
			!strings.Contains(got.Cause, test.cause) || !strings.Contains(got.Remedy, test.remedy) {
			t.Errorf("%s, %s, %v: %+v", test.name, test.compression, test.framing, got)
		}
	}
	if UnknownConsumer([]string{"java", "nobody"}) != "nobody" || UnknownConsumer(Consumers()) != "" {
		t.Error("who is known is not")
	}
	docs, err := os.ReadFile("../../docs/consuming.md")
	if err != nil {
		t.Fatal(err)
	}
	if list := "`" + strings.Join(Consumers(), "`, `") + "`"; !strings.Contains(strings.Join(strings.Fields(string(docs)), " "), list) {
		t.Errorf("docs/consuming.md does not list what check knows: %s", list)
	}
}
