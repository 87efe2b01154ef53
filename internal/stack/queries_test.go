package stack_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// Every query of the dashboards and of the rules runs on a real Prometheus that scrapes
// what the connector tells.
func TestQueriesRun(t *testing.T) {
	metrics := read(t, "internal/telemetry/testdata/metrics.txt")
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, metrics) }))
	defer target.Close()
	server := startPrometheus(t, strings.TrimPrefix(target.URL, "http://"))
	for deadline := time.Now().Add(time.Minute); len(server.query(t, "openai_audit_ready")) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was scraped within a minute")
		}
	}
	queries := dashboardQueries(t)
	for _, a := range alerts(t) {
		queries[a.name] = strings.TrimPrefix(a.expr, "|")
	}
	for where, query := range queries {
		found := server.query(t, strings.NewReplacer("$organization", ".*", "$__rate_interval", "1m").Replace(query))
		if strings.Contains(query, "openai_audit_ready{") && len(found) == 0 {
			t.Errorf("%s finds nothing: %s", where, query)
		}
	}
}

// dashboardQueries are those of the panels, by their titles.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docker/grafana/dashboards/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ RefID, Expr string }
			}
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &board)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				all[p.Title+" "+target.RefID] = target.Expr
			}
		}
	}
	return all
}

// prometheus is a server at a URL.
type prometheus string

func startPrometheus(t *testing.T, target string) prometheus {
	t.Helper()
	program := kafkatest.Prometheus(t, "prometheus")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	text := "scrape_configs: [{job_name: j, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: ['" + target + "']}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	server := prometheus("http://" + addr)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(string(server) + "/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return server
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("Prometheus was not ready within a minute")
		}
	}
}

// query returns what a query finds; one that does not run fails the test.
func (p prometheus) query(t *testing.T, query string) []json.RawMessage {
	t.Helper()
	resp, err := http.Get(string(p) + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Errorf("%s: %v %s", query, err, answer.Error)
	}
	return answer.Data.Result
}
