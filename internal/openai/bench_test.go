package openai_test

import (
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// BenchmarkWalk reads 10,000 events in 100 pages, the simulator's work included.
func BenchmarkWalk(b *testing.B) {
	api := simulator.New(simulator.Config{Seed: 1, NoGzip: true})
	api.Generate(11_100, start, start+86400)
	c, err := openai.New(openai.Config{
		BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return simulator.Key, nil }, Transport: simulator.Transport(api),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for page, err := range c.Pages(b.Context(), openai.Query{Scope: auditlog.ScopeOrganization, From: start}) {
			if err != nil {
				b.Fatal(err)
			}
			n += len(page.Events)
		}
		b.ReportMetric(float64(n), "events/op")
	}
}
