// Grafana's own types, so that the product's go.mod stays small.
module github.com/openai-audit-kafka/openai-audit-kafka/ci/grafana

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
