package ops

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// consumer is what a program that people read the topic with cannot do. The zero value
// reads all that is written.
type consumer struct {
	// lacks are the codecs that it does not bring, and what adds them.
	lacks map[string]string
	// registry says that it reads values with a schema registry alone.
	registry bool
	// wrong is what it does whatever is set.
	wrong string
}

// consumers are those of the table in docs/consuming.md, by the names that check takes.
var consumers = map[string]consumer{
	"aiokafka":        {lacks: map[string]string{"snappy": "install cramjam beside it", "lz4": "install cramjam beside it", "zstd": "install cramjam beside it"}},
	"clickhouse":      {registry: true},
	"confluent-kafka": {},
	"flink":           {registry: true},
	"franz-go":        {},
	"iceberg":         {registry: true},
	"java":            {},
	"jdbc":            {registry: true},
	"kafka-go":        {wrong: "shows records of aborted transactions"},
	"kafka-python":    {lacks: map[string]string{"snappy": "install python-snappy beside it", "lz4": "install lz4 beside it", "zstd": "install zstandard beside it"}},
	"kafkajs":         {lacks: map[string]string{"snappy": "give it kafkajs-snappy", "lz4": "give it kafkajs-lz4", "zstd": "give it a codec as docs/recipes/node/read.mjs does"}},
	"platformatic":    {wrong: "hides only the last aborted transaction of a fetch"},
	"quixstreams":     {},
	"rdkafka":         {},
	"sarama":          {},
	"spark":           {},
	"streams":         {},
}

// Consumers lists the names of the programs that Check knows as readers of the topic.
func Consumers() []string { return slices.Sorted(maps.Keys(consumers)) }

// UnknownConsumer returns the first of the names that Consumers does not have; empty:
// there is none.
func UnknownConsumer(names []string) string {
	i := slices.IndexFunc(names, func(name string) bool { _, known := consumers[name]; return !known })
	if i < 0 {
		return ""
	}
	return names[i]
}

// checkConsumers says which of the operator's readers cannot read what is written.
func (k *checker) checkConsumers() {
	for _, name := range k.run.Consumers {
		k.add("consumer "+name, consumerFinding(consumers[name], k.cfg.Compression, k.cfg.Expected().Framing))
	}
}

func consumerFinding(c consumer, compression string, framing codec.Framing) Finding {
	var causes, remedies []string
	if c.wrong != "" {
		causes = append(causes, fmt.Sprintf("it %s, whatever is set", c.wrong))
		remedies = append(remedies, "take another client; docs/consuming.md has those that hide them")
	}
	if help := c.lacks[compression]; help != "" {
		causes = append(causes, fmt.Sprintf("it brings no codec for KAFKA_COMPRESSION=%s", compression))
		remedies = append(remedies, help+", or set KAFKA_COMPRESSION=gzip")
	}
	if _, registry := framing.ID(); c.registry && !registry {
		causes = append(causes, "it reads values with a schema registry alone, and these are Avro single objects")
		remedies = append(remedies, "set SCHEMA_REGISTRY_URL and give the connector a new events topic")
	}
	if len(causes) > 0 {
		return warning(strings.Join(remedies, "; "), "%s", strings.Join(causes, "; "))
	}
	return fine("it reads %s, compressed with %s", framing.Name(), compression)
}
