package stack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

var update = flag.Bool("update", false, "write the table of alerts in docs/operations.md")

// alert is one of the rules, as far as it is of use here.
type alert struct{ name, expr, severity, summary, description, remedy string }

// alerts reads the rules. That they are rules at all is for promtool to say.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	for _, block := range strings.Split(read(t, "docker/prometheus/alerts.yaml"), "- alert: ")[1:] {
		field := func(pattern string) string {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(block); m != nil {
				return strings.TrimSpace(m[1])
			}
			return ""
		}
		name, _, _ := strings.Cut(block, "\n")
		all = append(all, alert{
			name, field(`(?s)\n\s+expr: (.*?)\n\s+(?:for|labels):`), field(`severity: (\w+)`),
			field(`(?m)^\s+summary: (.*)$`), field(`(?m)^\s+description: (.*)$`), field(`(?m)^\s+remedy: (.*)$`),
		})
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

// An alert that does not say what to do only wakes people up, and one that was never
// seen to fire may never do so.
func TestAlerts(t *testing.T) {
	tests := read(t, "docker/prometheus/alerts_test.yaml") + read(t, "docker/prometheus/alerts_days_test.yaml")
	for _, a := range alerts(t) {
		if a.expr == "" || a.severity == "" || a.summary == "" || a.description == "" || a.remedy == "" {
			t.Errorf("%s lacks something: %+v", a.name, a)
		}
		if !strings.Contains(tests, `{alertname="`+a.name+`"}`) {
			t.Errorf("docker/prometheus/alerts_test.yaml and alerts_days_test.yaml do not let %s fire", a.name)
		}
		metricsExist(t, a.name, a.expr)
	}
}

// TestAlertsFire runs the cases of the rules' tests in Prometheus's own tool.
func TestAlertsFire(t *testing.T) {
	tool := kafkatest.Prometheus(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "docker/prometheus/prometheus.yaml"},
		{"test", "rules", "docker/prometheus/alerts_test.yaml", "docker/prometheus/alerts_days_test.yaml"},
	} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

const (
	alertsBegin = "<!-- alerts: generated, see internal/stack -->\n"
	alertsEnd   = "<!-- /alerts -->"
)

// The table in docs/operations.md is what the rules say. "go test ./internal/stack
// -run TestAlertsTable -update" writes it.
func TestAlertsTable(t *testing.T) {
	var want strings.Builder
	want.WriteString("| alert | severity | what it means | what to do |\n|---|---|---|---|\n")
	for _, a := range alerts(t) {
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", a.name, a.severity, a.description, a.remedy)
	}
	const file = "docs/operations.md"
	text := read(t, file)
	before, rest, begins := strings.Cut(text, alertsBegin)
	got, after, ends := strings.Cut(rest, alertsEnd)
	switch {
	case !begins || !ends:
		t.Fatalf("%s has no part between %s and %s", file, alertsBegin, alertsEnd)
	case got == want.String():
	case !*update:
		t.Fatalf("the table of alerts in %s is not that of the rules: go test ./internal/stack -run TestAlertsTable -update", file)
	default:
		text = before + alertsBegin + want.String() + alertsEnd + after
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Each panel of the dashboards has a place of its own, and asks for what there is.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docker/grafana/dashboards/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		type datasource struct{ UID string }
		var board struct {
			UID, Title string
			Panels     []struct {
				ID         int
				Type       string
				Title      string
				GridPos    struct{ X, Y, W, H int }
				Datasource datasource
				Targets    []struct{ Expr string }
			}
			Links      []struct{ URL string }
			Templating struct {
				List []struct {
					Name, Type string
					Query      json.RawMessage
				}
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if board.UID == "" || board.Title == "" || len(board.Panels) == 0 {
			t.Errorf("%s is no dashboard", file)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range board.Panels {
			if ids[p.ID] {
				t.Errorf("%s: panel %q has the id of another", file, p.Title)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q lies on %q, or beside the page", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: panel %q shows nothing, or from %q", file, p.Title, p.Datasource.UID)
			}
			for _, target := range p.Targets {
				metricsExist(t, p.Title, target.Expr)
			}
		}
		variables := map[string]string{}
		for _, v := range board.Templating.List {
			if variables[v.Name] = v.Type; v.Type == "query" {
				metricsExist(t, "the variable "+v.Name, string(v.Query))
			}
		}
		// A data source with a fixed uid is another one in every Grafana.
		if variables["datasource"] != "datasource" || bytes.Contains(text, []byte(`"uid": "prometheus"`)) {
			t.Errorf("%s names a data source of its own", file)
		}
		if len(board.Links) != 2 || board.Links[0].URL != "${status_page}" || variables["status_page"] != "textbox" ||
			!strings.HasSuffix(board.Links[1].URL, "docs/operations.md#metrics-and-alerts") {
			t.Errorf("%s links to %+v, want the status page and the runbook", file, board.Links)
		}
	}
}

// metricsExist fails on a metric that the connector does not have, or a label that
// no metric of ours has.
func metricsExist(t *testing.T, where, expr string) {
	t.Helper()
	existing := map[string]bool{
		// Of the Kafka client and of Go's collector: "make stack" asks for each.
		"openai_audit_kafka_connects_total": true, "openai_audit_kafka_disconnects_total": true,
	}
	for line := range strings.Lines(read(t, "internal/telemetry/testdata/metrics.txt")) {
		name, _, _ := strings.Cut(line, "{")
		existing[name] = true
	}
	used := regexp.MustCompile(`openai_audit_[a-z_]+`).FindAllString(expr, -1)
	if len(used) == 0 && !regexp.MustCompile(`process_[a-z_]+|^count by .*\(ALERTS\{`).MatchString(expr) {
		t.Errorf("%s uses no metric: %s", where, expr)
	}
	for _, metric := range used {
		if !existing[metric] {
			t.Errorf("%s uses %s, which does not exist", where, metric)
		}
	}
	labels := []string{"alertname", "severity", "organization", "scope", "state", "code", "result", "reason", "le", "job", "instance"}
	for _, list := range regexp.MustCompile(`(?:by|on) \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(list[1], ",") {
			if !slices.Contains(labels, strings.TrimSpace(label)) {
				t.Errorf("%s groups by %s, which is no label", where, label)
			}
		}
	}
}
