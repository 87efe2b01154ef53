// The benchmarks and what they compare with. They are a module of their own, so that
// the product's go.mod stays small.
module github.com/openai-audit-kafka/openai-audit-kafka/internal/bench

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/openai-audit-kafka/openai-audit-kafka v0.0.0
	github.com/twmb/franz-go v1.22.3
	golang.org/x/sync v0.24.0
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/twmb/avro v1.9.1 // indirect
	github.com/twmb/franz-go/pkg/kadm v1.20.0 // indirect
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.1 // indirect
)

replace github.com/openai-audit-kafka/openai-audit-kafka => ../..
