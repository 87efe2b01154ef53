package openai_test

import (
	"testing"
	"testing/synctest"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestEveryFault walks an API on which everything goes wrong now and then: a walk
// that says it is complete is complete.
func TestEveryFault(t *testing.T) {
	faults := map[simulator.Fault]float64{}
	for _, fault := range simulator.Faults() {
		faults[fault] = 0.005
	}
	came := map[simulator.Fault]int{}
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Seed: seed, Faults: faults, EndlessBytes: 2 << 20})
			fill(api, 1500)
			c := newClient(t, api, func(cfg *openai.Config) { cfg.MaxBodyBytes = 1 << 20 })
			// Bounded, so that what a fault inserts at the head lies outside.
			window := openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 1500, Bounded: true, Class: openai.History}
			events := patiently(t, c, window)
			ids := map[string]bool{}
			for _, e := range events {
				ids[e.ID] = true
			}
			if len(ids) != 1500 || len(events) != 1500 {
				t.Errorf("seed %d: %d events, %d ids, want 1500", seed, len(events), len(ids))
			}
			for fault, n := range api.Requests().Faults {
				came[fault] += n
			}
		})
	}
	if len(came) < len(faults)*9/10 {
		t.Errorf("%d of %d faults came: %v", len(came), len(faults), came)
	}
}
