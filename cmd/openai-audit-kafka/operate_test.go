package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// operated is a world in which the connector has read what there is: forty days of
// an API's events in a broker of its own.
type operated struct {
	api     *simulator.API
	cluster *kafkatest.Cluster
	environ []string
}

const operatedEvents = 120

func newOperated(t *testing.T, environ ...string) *operated {
	t.Helper()
	w := &operated{api: simulator.New(simulator.Config{Seed: 1}), cluster: kafkatest.InProcess(t)}
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	w.environ = append([]string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + server.URL + "/v1", "POLL_INTERVAL=1s",
		"KAFKA_BROKERS=" + strings.Join(w.cluster.Brokers(), ","), "BACKFILL_START_TIME=60d",
	}, environ...)
	w.api.Generate(operatedEvents, w.ago(40), w.ago(2))
	w.runOnce(t, operatedEvents)
	return w
}

func (w *operated) ago(days int) auditlog.Second {
	return auditlog.SecondOf(time.Now().AddDate(0, 0, -days))
}

// runOnce runs the connector until the topic holds so many events.
func (w *operated) runOnce(t *testing.T, events int) {
	t.Helper()
	settings, err := config.Load(w.environ, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := settings.Connector
	cfg.Logger = slog.New(slog.DiscardHandler)
	c, err := connector.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for deadline := time.Now().Add(90 * time.Second); w.committed(t) < events; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events are committed, want %d", w.committed(t), events)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (w *operated) committed(t *testing.T) int {
	t.Helper()
	found, err := w.cluster.Admin().ListTopics(t.Context(), "openai.audit.events")
	if err != nil || found.Error() != nil {
		return 0
	}
	return len(w.cluster.Read(t, "openai.audit.events", kgo.ReadCommitted()))
}

// command runs a command line and fails unless it ends with the code.
func (w *operated) command(t *testing.T, code int, line string, environ ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := runProgram(t, append(w.environ, environ...), strings.Fields(line)...)
	if got != code {
		t.Errorf("%s: exit %d, want %d\n%s%s", line, got, code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, simulator.Key) {
		t.Errorf("%s shows the key", line)
	}
	return stdout, stderr
}

func TestOperatorCommands(t *testing.T) {
	w := newOperated(t)
	t.Run("tail", func(t *testing.T) {
		out, _ := w.command(t, exitDone, "tail", "OPENAI_ADMIN_KEY=")
		if n := strings.Count(out, "\n"); n != 10 {
			t.Errorf("%d lines, want 10", n)
		}
		if out, _ = w.command(t, exitDone, "tail -n 3 --format ocsf"); strings.Count(out, `"class_uid"`) != 3 {
			t.Error(out)
		}
		w.command(t, exitUsage, "tail --format xml")
		w.command(t, exitUsage, "tail -n -1")
	})
	t.Run("tail --follow stops when told", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		first := &onFirstWrite{then: cancel}
		var errs bytes.Buffer
		if code := run(ctx, []string{"tail", "--follow"}, w.environ, first, &errs); code != exitDone || !first.wrote || errs.Len() > 0 {
			t.Errorf("exit %d: %s", code, &errs)
		}
	})
	t.Run("cursor show", func(t *testing.T) {
		out, _ := w.command(t, exitDone, "cursor show")
		if !strings.Contains(out, "history left") || strings.Contains(out, "\x1b") {
			t.Error(out)
		}
		out, _ = w.command(t, exitDone, "cursor show -o json", "OPENAI_ADMIN_KEY=")
		var got struct {
			Organization string
			Floor        time.Time
			Scopes       map[string]any
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Organization != "default" || got.Floor.IsZero() || len(got.Scopes) != 2 {
			t.Errorf("%v\n%s", err, out)
		}
		w.command(t, exitUsage, "cursor show --output yaml")
		w.command(t, exitUsage, "cursor show --organization other --bogus")
		w.command(t, exitFailed, "cursor show --organization other")
	})
	t.Run("verify", func(t *testing.T) { testVerifyCommand(t, w) })
	t.Run("verify --sealed", func(t *testing.T) { testSealedCommand(t, w) })
	t.Run("check", func(t *testing.T) {
		out, _ := w.command(t, exitDone, "check")
		if !strings.Contains(out, "ok       api key: it may read organization events") || !strings.Contains(out, "exactly once for read_committed consumers; a lost broker loses data, since replication is 1.\n") {
			t.Error(out)
		}
		out, _ = w.command(t, exitDone, "check --consumers java,kafkajs")
		if !strings.Contains(out, "ok       consumer java: ") || !strings.Contains(out, "warning  consumer kafkajs: it brings no codec for KAFKA_COMPRESSION=zstd") {
			t.Error(out)
		}
		w.command(t, exitUsage, "check --consumers java,nobody")
		out, _ = w.command(t, exitFound, "check --output json", "OPENAI_ADMIN_KEY=sk-proj-0123456789abcdef")
		var got struct {
			Organization string
			Checks       []struct{ Name, State, Cause, Remedy string }
			Guarantee    string
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Checks[0].State != "failed" || !strings.Contains(got.Checks[0].Cause, "no admin key") || got.Checks[0].Remedy == "" || got.Guarantee == "" {
			t.Errorf("%v\n%s", err, out)
		}
		w.command(t, exitFound, "check", "OPENAI_ADMIN_KEY=")
	})
	t.Run("several organizations", func(t *testing.T) { testSeveral(t, w) })
	t.Run("schema", func(t *testing.T) { testSchemaCommands(t, w) })
	t.Run("cursor set and reset", func(t *testing.T) { testCursorEdits(t, w) })
}

// onFirstWrite calls then when something is written.
type onFirstWrite struct {
	then  func()
	wrote bool
}

func (w *onFirstWrite) Write(p []byte) (int, error) {
	w.wrote = true
	w.then()
	return len(p), nil
}

func testVerifyCommand(t *testing.T, w *operated) {
	w.command(t, exitUsage, "verify")
	w.command(t, exitUsage, "verify --from 60d")
	w.command(t, exitUsage, "verify --from 1d --to 2d")
	w.command(t, exitUsage, "verify --from yesterday --to 0s")
	if _, said := w.command(t, exitUsage, "verify --from 90 --to 0s"); !strings.Contains(said, "did you mean 90d?") {
		t.Error(said)
	}
	w.command(t, exitSettings, "verify --from 60d --to 0s", "OPENAI_ADMIN_KEY=")
	if out, _ := w.command(t, exitDone, "verify --from 60d --to 0s --strict"); !strings.Contains(out, fmt.Sprintf("%d in the API, %[1]d in the topic", operatedEvents)) {
		t.Error(out)
	}
	w.api.Add(simulator.Event{ID: "late", EffectiveAt: w.ago(20)})
	out, _ := w.command(t, exitFound, "verify --from 60d --to 0s --output json")
	var lists map[string]any
	if err := json.Unmarshal([]byte(out), &lists); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing", "doubled", "extra", "different", "left_to_connector", "not_covered", "expired"} {
		list, isList := lists[name].([]any)
		if want := map[bool]int{true: 1}[name == "missing"]; !isList || len(list) != want {
			t.Errorf("%s is %v", name, lists[name])
		}
	}
	for _, name := range []string{"from", "to", "organization", "api", "topic", "dead_lettered"} {
		if _, ok := lists[name]; !ok {
			t.Errorf("%s is not there", name)
		}
	}
	if _, ok := lists["repaired"]; ok {
		t.Error("it says repaired without --repair")
	}
	if out, _ := w.command(t, exitDone, "verify --from 60d --to 0s --repair --output json"); !strings.Contains(out, `"repaired": 1`) {
		t.Error(out)
	}
	if out, _ := w.command(t, exitDone, "verify --from 60d --to 0s --repair --output json"); !strings.Contains(out, `"repaired": 0`) {
		t.Error(out)
	}
}

// What only looks takes all organizations in turn, one JSON object a line; one that
// fails does not cost the others theirs. What writes wants to be told which.
func testSeveral(t *testing.T, w *operated) {
	several := []string{
		"OPENAI_ADMIN_KEY=", "ORGANIZATIONS_0_NAME=nobody", "ORGANIZATIONS_0_ADMIN_KEY=other",
		"ORGANIZATIONS_1_NAME=default", "ORGANIZATIONS_1_ADMIN_KEY=" + simulator.Key,
	}
	for command, code := range map[string]int{"cursor show": exitFailed, "check": exitFound, "verify --from 60d --to 0s": exitFailed} {
		out, said := w.command(t, code, command+" --output json", several...)
		want := []string{"default"}
		if command == "check" {
			want = []string{"nobody", "default"}
		} else if !strings.Contains(said, "openai-audit-kafka: nobody: ") {
			t.Errorf("%s said %s", command, said)
		}
		var got []string
		for line := range strings.Lines(out) {
			var object struct{ Organization string }
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Errorf("%s: %v in %q", command, err, line)
			}
			got = append(got, object.Organization)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", command, got, want)
		}
		if out, _ := w.command(t, code, command, several...); !strings.Contains(out, "nobody:\n") || !strings.Contains(out, "default:\n") {
			t.Errorf("%s: %s", command, out)
		}
	}
	w.command(t, exitUsage, "verify --from 60d --to 0s --repair", several...)
	w.command(t, exitUsage, "cursor reset --yes", several...)
	w.command(t, exitUsage, "cursor set --live-from 1h --yes", several...)
}

// Two organizations that are both well: every command that looks shows each, in the
// order of the settings, and with --organization one alone; what writes asks which.
func TestTwoOrganizations(t *testing.T) {
	w := newOperated(t)
	other := simulator.New(simulator.Config{Seed: 2, Keys: []string{"sk-admin-other"}})
	server := httptest.NewServer(other)
	t.Cleanup(server.Close)
	other.Generate(operatedEvents, w.ago(40), w.ago(2))
	w.environ = append(slices.Clone(w.environ[1:]),
		"ORGANIZATIONS_0_NAME=emea", "ORGANIZATIONS_0_ADMIN_KEY=sk-admin-other", "ORGANIZATIONS_0_BASE_URL="+server.URL+"/v1",
		"ORGANIZATIONS_1_NAME=default", "ORGANIZATIONS_1_ADMIN_KEY="+simulator.Key)
	w.runOnce(t, 2*operatedEvents)

	for command, field := range map[string]string{"cursor show": "floor", "check": "guarantee", "verify --from 60d --to 0s": "api"} {
		text, said := w.command(t, exitDone, command)
		if first, second := strings.Index(text, "emea:\n"), strings.Index(text, "default:\n"); first != 0 || second < first || said != "" && command != "verify --from 60d --to 0s" {
			t.Errorf("%s:\n%s%s", command, text, said)
		}
		for only, want := range map[string][]string{"": {"emea", "default"}, " --organization emea": {"emea"}, " --organization default": {"default"}} {
			out, _ := w.command(t, exitDone, command+" --output json"+only)
			var got []string
			for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
				var object map[string]any
				if err := decoder.Decode(&object); err != nil {
					t.Fatalf("%s%s: %v\n%s", command, only, err, out)
				}
				got = append(got, fmt.Sprint(object["organization"]))
				if object[field] == nil || command != "check" && command != "cursor show" && object[field] != float64(operatedEvents) {
					t.Errorf("%s%s: %s is %v", command, only, field, object[field])
				}
			}
			if !slices.Equal(got, want) || only == "" && strings.Count(out, "\n") != len(want) {
				t.Errorf("%s%s: %v\n%s", command, only, got, out)
			}
		}
	}
	for _, command := range []string{"verify --from 60d --to 0s --repair", "cursor reset --yes", "cursor set --live-from 1h --yes", "cursor set --accept-topics --yes"} {
		if _, said := w.command(t, exitUsage, command); !strings.Contains(said, "there are several organizations: say which with --organization (emea, default)") {
			t.Errorf("%s: %s", command, said)
		}
	}
	w.command(t, exitDone, "verify --from 60d --to 0s --repair --organization emea")
}

func testSchemaCommands(t *testing.T, w *operated) {
	w.command(t, exitSettings, "schema check")
	w.command(t, exitSettings, "schema register")
	registry := srfake.New()
	t.Cleanup(registry.Close)
	url := "SCHEMA_REGISTRY_URL=" + registry.URL()
	if out, _ := w.command(t, exitDone, "schema check", url); !strings.Contains(out, "at the first start") {
		t.Error(out)
	}
	if out, _ := w.command(t, exitFound, "schema check", url, "SCHEMA_REGISTRY_AUTO_REGISTER=false"); !strings.Contains(out, "may not be") {
		t.Error(out)
	}
	if out, _ := w.command(t, exitDone, "schema register", url, "SCHEMA_REGISTRY_AUTO_REGISTER=false"); !strings.Contains(out, "openai.audit.events-value") {
		t.Error(out)
	}
	if out, _ := w.command(t, exitDone, "schema check", url, "SCHEMA_REGISTRY_AUTO_REGISTER=false"); !strings.Contains(out, "is registered") {
		t.Error(out)
	}
	w.command(t, exitFailed, "schema check", "SCHEMA_REGISTRY_URL=http://127.0.0.1:1")
}

func testCursorEdits(t *testing.T, w *operated) {
	w.command(t, exitUsage, "cursor set --yes")
	w.command(t, exitUsage, "cursor set --live-from 1h --accept-topics --yes")
	w.command(t, exitUsage, "cursor set --live-from 1h") // nobody to ask
	w.command(t, exitUsage, "cursor reset")
	w.command(t, exitFailed, "cursor set --live-from 60d --yes")
	w.command(t, exitFailed, "cursor set --live-from 2999-01-01 --yes")
	w.command(t, exitFailed, "cursor set --accept-topics --yes")
	w.command(t, exitFailed, "cursor reset --organization nobody --yes")
	if _, said := w.command(t, exitDone, "cursor set --live-from 1h --yes"); !strings.Contains(said, "Fencing") || !strings.Contains(said, "Nothing is written again") {
		t.Error(said)
	}
	if _, said := w.command(t, exitDone, "cursor reset --yes", "ORGANIZATION_NAME=renamed"); !strings.Contains(said, "no state") {
		t.Error(said)
	}
	if _, said := w.command(t, exitDone, "cursor reset --organization default --yes", "ORGANIZATION_NAME=renamed"); !strings.Contains(said, "emits again") {
		t.Error(said)
	}
	if out, _ := w.command(t, exitDone, "cursor show"); !strings.Contains(out, "reset: the next run starts over") {
		t.Error(out)
	}
	w.runOnce(t, 2*operatedEvents)
}

// A proxy that refuses and an API that cannot be reached have different messages. It
// is a process of its own, since Go reads HTTPS_PROXY once.
func TestCheckThroughAProxyThatRefuses(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	c := kafkatest.InProcess(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], asProgram, "check")
	cmd.Env = []string{
		"HTTPS_PROXY=" + proxy.URL, "OPENAI_BASE_URL=https://api.example.com/v1", "OPENAI_ADMIN_KEY=" + simulator.Key,
		"KAFKA_BROKERS=" + strings.Join(c.Brokers(), ","),
	}
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != exitFound || !strings.Contains(string(out), "the proxy answers HTTP 403") || !strings.Contains(string(out), "check HTTPS_PROXY") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The URL of a proxy, and of the API, may hold a password.
func TestPasswordInURLsIsNotShown(t *testing.T) {
	for _, tt := range []struct{ args, proxy, api, want string }{
		{"check", "http://u:hunter2@127.0.0.1:1", "http://api.example.com/v1", "check HTTPS_PROXY"},
		{"schema register", "u:hunter2@127.0.0.1:1", "http://api.example.com/v1", "127.0.0.1:1: connect"},
		{"run", "", "u:hunter2@host/v1", "OPENAI_BASE_URL"},
		{"config", "", "u:hunter2@host/v1", "OPENAI_BASE_URL"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{asProgram}, strings.Fields(tt.args)...)...)
		cmd.Env = []string{
			"HTTP_PROXY=" + tt.proxy, "OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + tt.api,
			"SCHEMA_REGISTRY_URL=http://registry.example.com", "KAFKA_BROKERS=127.0.0.1:1",
		}
		out, err := cmd.CombinedOutput()
		if err == nil || strings.Contains(string(out), "hunter2") || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %v\n%s", tt.args, err, out)
		}
	}
}

func TestConfirmed(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "\tyes": true, "y\n": false, "no\n": false, "": false, "\nyes\n": false} {
		var asked strings.Builder
		if got := confirmed(strings.NewReader(answer), &asked); got != want || asked.Len() == 0 {
			t.Errorf("%q: %v", answer, got)
		}
	}
}

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out)
	p.show("reading", 1, 2) // too soon
	p.last = time.Now().Add(-time.Hour)
	p.show("reading", 1, 2)
	p.end()
	if out.String() != "reading: 50 %\n" {
		t.Errorf("%q", out.String())
	}

	out.Reset()
	p = newProgress(&out)
	p.terminal, p.last = true, time.Time{}
	p.show("reading", 1, 2)
	p.end()
	p.end()
	if want := eraseLine + "\x1b[?7lreading: 50 %\x1b[?7h" + eraseLine; out.String() != want {
		t.Errorf("the terminal got %q, want %q", out.String(), want)
	}
}
