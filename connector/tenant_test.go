package connector_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// Two organizations of one tenant both list its events. Each is written once for each of
// them, as docs/consuming.md says, and the operator is told, once, with what to do
// about it: without tenant events for one of them, each is there once.
func TestTwoOrganizationsOfOneTenant(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newQuickWorld(t, c, simulator.Config{}) // it does not say which organization it is
	now := time.Now()
	w.backfill(now.Add(-time.Hour))
	var want []string
	for n := range 30 {
		w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(now.Add(-time.Duration(n) * time.Second)), Scopes: []auditlog.Scope{auditlog.ScopeTenant}})
	}
	second := w.cfg.Organizations[0]
	second.Name = "second"
	w.cfg.Organizations = append(w.cfg.Organizations, second)
	for ev := range w.api.Truth() {
		want = append(want, ev.ID)
	}

	i := w.start()
	eventually(t, 20*time.Second, "both have written all, and one is warned of", func() bool {
		return i.count() == 2*len(want) && len(i.warned()) > 0
	})
	w.must(i.stop())
	w.cluster.AwaitMarkers(t, w.cfg.Kafka.Topic)
	got := map[string]int{}
	for _, r := range c.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
		for _, h := range r.Headers {
			if h.Key == "ce_source" {
				got[string(h.Value)+" "+string(r.Key)]++
			}
		}
	}
	all := map[string]int{}
	for _, id := range want {
		all["/openai/organizations/default "+id], all["/openai/organizations/second "+id] = 1, 1
	}
	if !maps.Equal(got, all) {
		t.Errorf("the topic holds %v, want each once for each organization", got)
	}
	told := map[string]int{}
	for _, warning := range i.warned() {
		told[warning]++
		if !strings.Contains(warning, "lists the same tenant events as ") || !strings.Contains(warning, "ORGANIZATIONS_<n>_TENANT_EVENTS=off") {
			t.Errorf("warned: %s", warning)
		}
	}
	for warning, n := range told {
		if n > 1 {
			t.Errorf("warned %d times: %s", n, warning)
		}
	}

	w.cfg.Kafka.Topic, w.cfg.Kafka.OffsetsTopic = c.Name("events"), c.Name("offsets")
	w.cfg.Organizations[1].TenantEvents = connector.TenantOff
	i = w.start()
	w.awaitEqual(20 * time.Second)
	w.must(i.stop())
	if warnings := i.warned(); len(warnings) > 0 {
		t.Errorf("with tenant events of one of them alone: %s", fmt.Sprint(warnings))
	}
}
