package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// A process that is killed and started again, over and over, sets off the alert of crash
// loops, as docs/operations.md says. What each of its lives tells at /metrics is given to
// Prometheus's own tool with the rules, as one scrape. The other faults are in connector:
// TestFaultsSetOffAlerts.
func TestCrashLoopSetsOffAlert(t *testing.T) {
	tool := kafkatest.Prometheus(t, "promtool")
	const lives, every, fires = 5, 15, 60 // seconds
	began, build := make([]string, lives), ""
	w := newProcesses(t, kafkatest.InProcess(t))
	w.addr = "127.0.0.1:0"
	for n := range lives {
		p := w.start(w.c.Brokers())
		p.says(`"addr":"`)
		_, metrics := get(t, find(t, p.log.String(), `"addr":"([^"]+)"`), "/metrics")
		began[n] = find(t, metrics, `(?m)^process_start_time_seconds (\S+)$`)
		build = find(t, metrics, `(?m)^openai_audit_build_info{(.*)} 1$`)
		p.signal(syscall.SIGKILL)
		if code := p.exit(time.Minute); code != -1 {
			t.Fatalf("exit code %d, want the signal\n%s", code, p.log.String())
		}
	}
	rules, err := filepath.Abs("../../docker/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const which = `group by (alertname) (ALERTS{alertstate="firing"})`
	test := fmt.Sprintf(`rule_files: [%s]
evaluation_interval: %ds
tests:
  - interval: %ds
    input_series:
      - {series: 'process_start_time_seconds{job="j",instance="i"}', values: '%s'}
      - {series: 'openai_audit_build_info{job="j",instance="i",%s}', values: '1x%d'}
    promql_expr_test:
      - {expr: '%s', eval_time: %ds}
      - {expr: '%s', eval_time: %ds, exp_samples: [{labels: '{alertname="OpenAIAuditCrashLoop"}', value: 1}]}
`, rules, every, every, strings.Join(began, " "), build, lives, which, fires-every, which, fires)
	file := filepath.Join(t.TempDir(), "alerts.yaml")
	if err := os.WriteFile(file, []byte(test), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, test)
	}
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if row := fmt.Sprintf("| the process is killed every %d s and started again | `OpenAIAuditCrashLoop` | %d |\n", every, fires); !strings.Contains(string(docs), row) {
		t.Errorf("docs/operations.md lacks %s", row)
	}
}

// find returns what the group of the expression matches.
func find(t *testing.T, text, expression string) string {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s in\n%s", expression, text)
	}
	return found[1]
}
