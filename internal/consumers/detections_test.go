package consumers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

const detections = "../../docs/detections"

// TestDetections: each query and each Sigma rule finds its attack, all events of it, and
// nothing else: not in a quiet month, nor among the other attacks.
func TestDetections(t *testing.T) {
	python := kafkatest.Python(t)
	dir := t.TempDir()
	quiet := newMonth()
	attacked := newMonth()
	attacks := attacked.attack()
	files := []string{quiet.write(t, filepath.Join(dir, "quiet.jsonl")), attacked.write(t, filepath.Join(dir, "attacked.jsonl"))}

	args := append([]string{filepath.Join("testdata", "detections.py"), detections, recipe(t, "clickhouse/events.sql"), filepath.Join(dir, "db")}, files...)
	cmd := exec.CommandContext(patient(t), python, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string][]string{} // by form and events, then by detection
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var line struct {
			Form, Detection, Events string
			Found                   []string
		}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		of := line.Form + ", " + line.Events
		if found[of] == nil {
			found[of] = map[string][]string{}
		}
		found[of][line.Detection] = line.Found
	}
	nothing := map[string][]string{}
	for name, ids := range attacks {
		nothing[name] = []string{}
		t.Logf("%-28s %2d events of %d, found %d with SQL, %d with Sigma, %d in ECS, %d in OCSF; %d in the quiet month", name, len(ids), len(attacked.events),
			len(found["sql, attacked"][name]), len(found["sigma, attacked"][name]), len(found["sigma ecs, attacked"][name]),
			len(found["sigma ocsf, attacked"][name]), len(found["sql, quiet"][name])+len(found["sigma, quiet"][name]))
	}
	// Sigma cannot say what is usual for somebody.
	noBaseline := maps.Clone(attacks)
	delete(noBaseline, "change_from_new_country")
	noBaselineNothing := maps.Clone(nothing)
	delete(noBaselineNothing, "change_from_new_country")
	want := map[string]map[string][]string{"sql, quiet": nothing, "sql, attacked": attacks}
	for _, form := range []string{"sigma", "sigma ecs", "sigma ocsf"} {
		want[form+", quiet"], want[form+", attacked"] = noBaselineNothing, noBaseline
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// month is the log of an organization.
type month struct {
	random *rand.Rand
	events []auditlog.Event
}

// someone acts.
type someone struct{ name, country, ip string }

var start = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)

// at is a time of the month.
func at(day, hour, minute int) time.Time {
	return start.Add(time.Duration(day)*24*time.Hour + time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// did adds an event, and returns its id.
func (m *month) did(who someone, at time.Time, kind, payload string) string {
	id := fmt.Sprintf("audit_log-%05d", len(m.events))
	scope := auditlog.ScopeOrganization
	if len(kind) > 7 && kind[:7] == "tenant." {
		scope = auditlog.ScopeTenant
	}
	raw := fmt.Sprintf(`{"object":"organization.audit_log","id":%q,"type":%q,"effective_at":%d,"actor":{"type":"session","session":{"user":{"id":"user-%s","email":"%s@example.com"},"ip_address":%q,"ip_address_details":{"country":%q}}},%q:%s}`,
		id, kind, at.Unix(), who.name, who.name, who.ip, who.country, kind, payload)
	m.events = append(m.events, auditlog.Event{ID: id, Type: kind, Scope: scope, EffectiveAt: auditlog.SecondOf(at), Timed: true, Raw: []byte(raw)})
	return id
}

// newMonth returns a month in which nothing bad happens: what people do every day, and
// what looks a little like an attack and is none.
func newMonth() *month {
	m := &month{random: rand.New(rand.NewPCG(16, 7))}
	for n := range 40 {
		m.work(employee(n))
	}
	m.harmless()
	return m
}

func employee(n int) someone {
	return someone{fmt.Sprintf("e%d", n), []string{"DE", "US", "IN"}[n%3], fmt.Sprintf("203.0.113.%d", n)}
}

// work is what one employee does in the month.
func (m *month) work(e someone) {
	const nothing = `{}`
	for day := range 30 {
		if day%7 > 4 {
			continue
		}
		hour := 8 + m.random.IntN(4)
		for range max(0, m.random.IntN(12)-9) { // at most two
			m.did(e, at(day, hour, m.random.IntN(10)), "login.failed", `{"error_code":"invalid_credentials"}`)
		}
		m.did(e, at(day, hour, 12), "login.succeeded", nothing)
		key := fmt.Sprintf("key_%s_%d", e.name, day)
		m.did(e, at(day, hour, 20), "api_key.created", fmt.Sprintf(`{"id":%q,"data":{"scopes":["api.model.request","api.management.read","api.files.write"]}}`, key))
		m.did(e, at(day, hour, 25), "project.updated", `{"id":"proj_1","changes_requested":{"title":"All of us"}}`)
		m.did(e, at(day, hour+3, 0), "api_key.deleted", fmt.Sprintf(`{"id":%q}`, key))
		m.did(e, at(day, 18, m.random.IntN(60)), "logout.succeeded", nothing)
	}
}

// harmless is what a careless rule would take for an attack.
func (m *month) harmless() {
	admin, other := employee(0), employee(1)
	for n := range 4 { // one less than is too many, and then the right password
		m.did(employee(2), at(3, 7, n), "login.failed", `{}`)
	}
	m.did(employee(2), at(3, 7, 5), "login.succeeded", `{}`)
	for n := range 6 { // enough of them, over the day
		m.did(employee(3), at(4, 2+n, 0), "login.failed", `{}`)
	}
	for n := range 4 { // the office, the phone, the train, the hotel
		moving := employee(4)
		moving.ip = fmt.Sprintf("198.51.100.%d", n)
		m.did(moving, at(5, 6, n), "login.failed", `{}`)
	}
	const assigned = `{"id":"role_assignment_%s__%s__x_user-9","principal_id":"user-9","principal_type":"user","resource_id":"x","resource_type":%q}`
	m.did(admin, at(6, 9, 0), "role.assignment.created", fmt.Sprintf(assigned, "role-api-project-owner", "api.project", "api.project"))
	m.did(admin, at(6, 9, 1), "role.assignment.created", fmt.Sprintf(assigned, "role-api-organization-reader", "api.organization", "api.organization"))
	m.did(admin, at(6, 9, 2), "user.added", `{"id":"user-9","data":{"role":"reader"}}`)
	m.did(admin, at(6, 9, 3), "ip_allowlist.created", `{"id":"l1","name":"Office","allowed_ips":["203.0.113.0/24","2001:db8::/32"]}`)
	m.did(admin, at(6, 9, 4), "ip_allowlist.config.activated", `{"configs":[{"id":"l1","name":"Office"}]}`)
	m.did(admin, at(6, 9, 5), "scim.enabled", `{"id":"scim"}`)
	m.did(admin, at(6, 9, 6), "tenant.sso_connection.created", `{"id":"sso"}`)
	m.did(admin, at(6, 9, 7), "tenant.admin_api_key.deleted", `{"id":"key_old"}`)
	m.did(admin, at(6, 9, 8), "tenant.project_api_key.created", `{"id":"key_new"}`)
	m.did(admin, at(6, 9, 9), "organization.updated", `{"id":"org-1","changes_requested":{"title":"We","threads_ui_visibility":"NONE"}}`)
	m.did(other, at(6, 10, 0), "api_key.created", `{"id":"key_shared","data":{"scopes":["api.model.request"]}}`)
	m.did(admin, at(6, 10, 9), "api_key.deleted", `{"id":"key_shared"}`) // of somebody else

	abroad := employee(5) // travels, and works there from the third day on
	abroad.country, abroad.ip = "FR", "198.51.100.50"
	m.did(abroad, at(20, 9, 0), "login.succeeded", `{}`)
	m.did(abroad, at(22, 9, 0), "project.updated", `{"id":"proj_1","changes_requested":{"title":"Bonjour"}}`)
	newcomer := someone{"newcomer", "BR", "198.51.100.60"}
	m.did(newcomer, at(25, 9, 0), "login.succeeded", `{}`)
	newcomer.country = "PT"
	m.did(newcomer, at(27, 9, 0), "project.updated", `{"id":"proj_1","changes_requested":{"title":"Olá"}}`)
}

// attack adds one attack for each detection, and returns which events it is of.
func (m *month) attack() map[string][]string {
	admin := employee(6)
	attacks := map[string][]string{}
	for n := range 5 {
		bot := employee(7)
		bot.ip = fmt.Sprintf("192.0.2.%d", n)
		attacks["failed_logins_many_addresses"] = append(attacks["failed_logins_many_addresses"],
			m.did(bot, at(14, 3, 6*n), "login.failed", `{"error_code":"invalid_credentials"}`))
	}
	guesser := employee(8)
	guesser.ip = "192.0.2.77"
	for n := range 5 {
		attacks["login_after_failures"] = append(attacks["login_after_failures"],
			m.did(guesser, at(15, 3, 2*n), "login.failed", `{"error_code":"invalid_credentials"}`))
	}
	attacks["login_after_failures"] = append(attacks["login_after_failures"], m.did(guesser, at(15, 3, 11), "login.succeeded", `{}`))

	attacks["admin_role_given"] = []string{
		m.did(admin, at(16, 4, 0), "role.assignment.created", `{"id":"role_assignment_role-api-organization-owner__api.organization__org-1_user-evil","principal_id":"user-evil","principal_type":"user","resource_id":"org-1","resource_type":"api.organization"}`),
		m.did(admin, at(16, 4, 1), "user.updated", `{"id":"user-evil","changes_requested":{"role":"owner"}}`),
		m.did(admin, at(16, 4, 2), "invite.sent", `{"id":"invite-1","data":{"email":"evil@elsewhere.example","role":"owner"}}`),
	}
	attacks["api_key_with_wide_scopes"] = []string{
		m.did(admin, at(16, 5, 0), "api_key.created", `{"id":"key_wide","data":{"scopes":["all"]}}`),
		m.did(admin, at(16, 5, 1), "api_key.updated", `{"id":"key_wider","changes_requested":{"scopes":["api.model.request","api.management.write"]}}`),
	}
	attacks["ip_allowlist_weakened"] = []string{
		m.did(admin, at(16, 6, 0), "ip_allowlist.updated", `{"id":"l1","allowed_ips":["203.0.113.0/24","0.0.0.0/0"]}`),
		m.did(admin, at(16, 6, 1), "ip_allowlist.config.deactivated", `{"configs":[{"id":"l1","name":"Office"}]}`),
		m.did(admin, at(16, 6, 2), "ip_allowlist.deleted", `{"id":"l1","name":"Office","allowed_ips":["203.0.113.0/24"]}`),
	}
	attacks["sign_in_weakened"] = []string{
		m.did(admin, at(16, 7, 0), "scim.disabled", `{"id":"scim"}`),
		m.did(admin, at(16, 7, 1), "tenant.sso_connection.deleted", `{"id":"sso"}`),
	}
	attacks["admin_key_made"] = []string{m.did(admin, at(16, 8, 0), "tenant.admin_api_key.created", `{"id":"key_admin"}`)}
	attacks["call_logging_changed"] = []string{
		m.did(admin, at(17, 4, 0), "organization.updated", `{"id":"org-1","changes_requested":{"api_call_logging":"disabled"}}`),
		m.did(admin, at(17, 4, 1), "organization.updated", `{"id":"org-1","changes_requested":{"title":"We","api_call_logging_project_ids":"proj_1"}}`),
	}
	attacks["key_of_an_hour"] = []string{
		m.did(admin, at(17, 5, 0), "api_key.created", `{"id":"key_short","data":{"scopes":["api.model.request"]}}`),
		m.did(admin, at(17, 5, 40), "api_key.deleted", `{"id":"key_short"}`),
	}
	thief := employee(9)
	thief.country, thief.ip = "KP", "192.0.2.99"
	m.did(thief, at(18, 4, 0), "login.succeeded", `{}`)
	attacks["change_from_new_country"] = []string{
		m.did(thief, at(18, 4, 3), "project.updated", `{"id":"proj_1","changes_requested":{"title":"Mine"}}`),
	}
	for _, ids := range attacks {
		slices.Sort(ids)
	}
	return attacks
}

// write writes the columns of the events as JSON lines, through the connector's encoder,
// and returns the file. Beside it are the events in ECS and in OCSF.
func (m *month) write(t *testing.T, file string) string {
	t.Helper()
	encoder := encoder(t, codec.SingleObject(), "ecs", "ocsf")
	decoder, err := codec.NewDecoder(nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines [3]bytes.Buffer
	for _, ev := range m.events {
		messages, _, err := encoder.Encode(ev, committedAt)
		if err != nil {
			t.Fatal(err)
		}
		record, err := decoder.Decode(t.Context(), messages[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&lines[0]).Encode(record); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines[1], "%s\n", messages[1].Value)
		fmt.Fprintf(&lines[2], "%s\n", messages[2].Value)
	}
	for i, suffix := range []string{".jsonl", ".ecs.jsonl", ".ocsf.jsonl"} {
		if err := os.WriteFile(strings.TrimSuffix(file, ".jsonl")+suffix, lines[i].Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}
