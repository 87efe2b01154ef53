package telemetry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// A deep past that nobody can read is a warning, and no reason not to be ready: new
// events arrive.
func TestDeepPastIsLate(t *testing.T) {
	for name, test := range map[string]struct {
		age    time.Duration
		state  string
		left   time.Duration // of history
		leads  bool
		warned bool
	}{
		"in time":              {age: 2 * time.Hour, state: "on", leads: true},
		"late":                 {age: 3 * time.Hour, state: "on", leads: true, warned: true},
		"refused":              {age: 3 * time.Hour, state: "refused", leads: true},
		"waiting for history":  {age: 3 * time.Hour, state: "on", left: time.Hour, leads: true},
		"another one leads":    {age: 3 * time.Hour, state: "on"},
		"off, or not read yet": {state: "on", leads: true},
	} {
		t.Run(name, func(t *testing.T) {
			tel, c := newTelemetry(false, "acme")
			p := connector.Positions{LastSuccess: c.at, ScopeStates: map[string]string{"tenant": test.state}}
			if test.age > 0 {
				p.Deep = map[string]time.Time{"tenant": c.at.Add(-test.age)}
			}
			if test.left > 0 {
				p.BackfillTo, p.BackfillTarget = c.at.Add(-test.left), c.at
			}
			tel.Positions("acme", p)
			tel.Leading("acme", test.leads)
			tel.Ready("acme", "")
			var status telemetry.Status
			_, text := get(t, tel.Handler(), "/api/status")
			if err := json.Unmarshal([]byte(text), &status); err != nil {
				t.Fatal(err)
			}
			warnings := fmt.Sprint(status.Organizations[0].Warnings)
			if got := strings.Contains(warnings, "tenant events was last read to its end 3 hours ago"); got != test.warned || !got && warnings != "[]" {
				t.Errorf("warned: %q", warnings)
			}
			if _, page := get(t, tel.Handler(), "/"); strings.Contains(page, "The deep past of tenant events was") != test.warned {
				t.Errorf("the page: %s", page)
			}
			if code, reason := get(t, tel.Handler(), "/readyz"); code != http.StatusOK {
				t.Errorf("not ready: %s", reason)
			}
			known := test.age > 0 && test.state == "on" && test.leads
			if strings.Contains(own(t, tel), "openai_audit_deep_position_timestamp_seconds{") != known {
				t.Errorf("the metrics: %s", own(t, tel))
			}
			in := fmt.Sprintf(`openai_audit_scope_state{organization="acme",scope="tenant",state=%q} 1`, test.state)
			if strings.Contains(own(t, tel), in) != test.leads {
				t.Errorf("%s is not as it should be: %s", in, own(t, tel))
			}
		})
	}
}

// Whatever is reported as a warning is shown with its remedy, until it is taken back.
func TestWarningsAreToldAndTakenBack(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	tel.Warned("acme", "twins", connector.Warning{Text: "Tenant events come by two organizations.", Remedy: "Switch one off."})
	tel.Warned("acme", "clock", connector.Warning{Text: "The clocks differ.", Remedy: "Set them."})
	_, text := get(t, tel.Handler(), "/api/status")
	for _, want := range []string{`"text": "The clocks differ."`, `"remedy": "Switch one off."`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if _, page := get(t, tel.Handler(), "/"); !strings.Contains(page, "Tenant events come by two organizations.") || !strings.Contains(page, "Switch one off.") {
		t.Errorf("the page: %s", page)
	}
	tel.Warned("acme", "twins", connector.Warning{})
	tel.Warned("acme", "clock", connector.Warning{})
	if _, text := get(t, tel.Handler(), "/api/status"); strings.Contains(text, "warnings") {
		t.Errorf("taken back: %s", text)
	}
}
