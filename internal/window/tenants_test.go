package window_test

import (
	"fmt"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// tenantEvents returns tenant events of these numbers, newest first.
func tenantEvents(numbers ...int) (events []auditlog.Event) {
	for _, n := range numbers {
		events = append(events, auditlog.Event{ID: fmt.Sprint("event-", n), Scope: auditlog.ScopeTenant})
	}
	return events
}

func TestTenants(t *testing.T) {
	var tenants window.Tenants
	for _, step := range []struct {
		organization string
		newest       []int
		other        string
	}{
		{"a", []int{3, 2, 1}, ""},
		{"a", []int{4, 3, 2}, ""},    // its own
		{"b", []int{103, 102}, ""},   // of another tenant
		{"c", []int{5, 4, 3}, "a"},   // one more has come since
		{"a", []int{6, 5, 4}, "c"},   // and now the first one sees it
		{"b", nil, ""},               // a quiet list
		{"d", []int{104, 103}, "b"},  // which is still known
		{"e", []int{1}, ""},          // so old that nobody lists it as new
		{"b", []int{105, 105}, ""},   // a list that repeats itself
		{"c", []int{206, 205}, ""},   // what it owned is given up:
		{"f", []int{206, 5, 4}, "c"}, // it is the one whose list has it now
	} {
		if other := tenants.Note(step.organization, tenantEvents(step.newest...)); other != step.other {
			t.Errorf("%s lists %v: the same as %q, want %q", step.organization, step.newest, other, step.other)
		}
	}
}
