package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// asProgram as first argument makes the test binary the program itself.
const asProgram = "be-the-program"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asProgram {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		main()
	}
	goleak.VerifyTestMain(m)
}

func runProgram(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

const key = "sk-admin-0123456789abcdef"

func TestCommands(t *testing.T) {
	tests := []struct {
		args    string
		environ []string
		code    int
		stdout  string // what each holds; empty: nothing is written at all
		stderr  string
	}{
		{"--help", nil, exitDone, "Exit codes:", ""},
		{"run --help", nil, exitDone, "A second one, a second later or more: leave now.", ""},
		{"help health", nil, exitDone, "--ready", ""},
		{"config --help", nil, exitDone, "KAFKA_SASL_PASSWORD, or _FILE", ""},
		{"version", nil, exitDone, "openai-audit-kafka dev (commit ", ""},
		{"schema print", nil, exitDone, strings.TrimSpace(schemas.Latest().Text), ""},
		{"schema", nil, exitDone, "print", ""},
		{"completion bash", nil, exitDone, "bash completion", ""},
		{"config", []string{"OPENAI_ADMIN_KEY=" + key}, exitDone, "***", ""},
		{"config", nil, exitDone, "unset (required)", ""},
		{"config", []string{"ORGANIZATION_NAME=x", "ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_0_ADMIN_KEY=k"}, exitDone, "ORGANIZATIONS_0_NAME", "warning: ORGANIZATION_NAME is not used"},
		{"config", []string{"POLL_INTERVAL=1ms"}, exitSettings, "POLL_INTERVAL", "POLL_INTERVAL=\"1ms\": below 1s"},
		{"health --ready", []string{"HTTP_ADDR=off"}, exitFailed, "", "HTTP_ADDR=off"},
		{"health", []string{"HTTP_ADDR=127.0.0.1:1"}, exitFailed, "", "HTTP_ADDR=127.0.0.1:1"},
		{"--version", nil, exitDone, "openai-audit-kafka dev (commit ", ""},
		{"bogus", nil, exitUsage, "", "unknown command \"bogus\" for \"openai-audit-kafka\"\nRun \"openai-audit-kafka --help\" for usage."},
		{"chek", nil, exitUsage, "", "unknown command \"chek\" for \"openai-audit-kafka\"; did you mean `check`?\n"},
		{"schema bogus", nil, exitUsage, "", "unknown command"},
		{"schema prin", nil, exitUsage, "", "did you mean `print`?\nRun \"openai-audit-kafka schema --help\""},
		{"run now", nil, exitUsage, "", "Run \"openai-audit-kafka run --help\" for usage."},
		{"verify --from 7d", nil, exitUsage, "", "Run \"openai-audit-kafka verify --help\" for usage."},
		{"verify --from now --to now", nil, exitUsage, "", "is not before --to"},
		{"health --redy", nil, exitUsage, "", "unknown flag"},
		{"run", nil, exitSettings, "", "OPENAI_ADMIN_KEY: not set"},
		{"", nil, exitSettings, "", "OPENAI_ADMIN_KEY: not set"},
		{"run", []string{"OPENAI_ADMIN_KEY=" + key, "HTTP_ADDR=192.0.2.1:80"}, exitFailed, "", "HTTP_ADDR=192.0.2.1:80"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := runProgram(t, tt.environ, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			for _, out := range []struct{ name, got, want string }{{"stdout", stdout, tt.stdout}, {"stderr", stderr, tt.stderr}} {
				if !strings.Contains(out.got, out.want) || (out.want == "") != (out.got == "") {
					t.Errorf("%s, want %q:\n%s", out.name, out.want, out.got)
				}
				if strings.Contains(out.got, key) || strings.Contains(out.got, "\x1b[") {
					t.Errorf("%s holds the key or colours:\n%s", out.name, out.got)
				}
			}
		})
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	root := newRootCommand(&app{})
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Short == "" || cmd.Long == "" || (cmd.Example == "" && !cmd.HasSubCommands()) {
			t.Errorf("%s lacks a description or examples", cmd.CommandPath())
		}
	}
}

func TestHealthAsksTheInstance(t *testing.T) {
	tel := telemetry.New(telemetry.Config{Organizations: []string{"acme"}, PollInterval: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	page, err := telemetry.Listen(ctx, "127.0.0.1:0", tel.Handler())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- page.Serve(ctx) }()
	environ := []string{"HTTP_ADDR=" + page.Addr(), "POLL_INTERVAL=wrong, and none of its business"}

	if code, stdout, stderr := runProgram(t, environ, "health"); code != exitDone || stdout != "ok\n" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := runProgram(t, environ, "health", "--ready"); code != exitFailed || !strings.Contains(stderr, "acme: starting") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	tel.Ready("acme", "") // a standby
	if code, stdout, stderr := runProgram(t, environ, "health", "--ready"); code != exitDone || stdout != "ready\n" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// With HTTP_ADDR=off no instance can be asked. The image's health check must not fail for
// ever then, or an orchestrator replaces the container for ever.
func TestHealthWithoutAnAddress(t *testing.T) {
	environ := []string{"HTTP_ADDR=off"}
	if code, stdout, stderr := runProgram(t, environ, "health"); code != exitDone || !strings.Contains(stdout, "no instance was asked") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := runProgram(t, environ, "health", "--ready"); code != exitFailed || !strings.Contains(stderr, "set an address") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// With nobody to reach it lives, says that it is not ready, and leaves when told.
func TestRunLivesWithoutAnybodyAndLeavesWhenTold(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], asProgram)
	cmd.Env = []string{"OPENAI_ADMIN_KEY_FILE=" + keyFile, "KAFKA_BROKERS=127.0.0.1:1", "OPENAI_BASE_URL=http://127.0.0.1:1", "HTTP_ADDR=127.0.0.1:0"}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	addr := ""
	for addr == "" && lines.Scan() {
		var line struct{ Addr string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("not JSON on a pipe: %s", lines.Text())
		}
		addr = line.Addr
	}
	if ok, text, err := telemetry.Probe(t.Context(), addr, "/healthz"); !ok || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if ok, text, err := telemetry.Probe(t.Context(), addr, "/readyz"); ok || err != nil || !strings.HasPrefix(text, "not ready\ndefault: ") {
		t.Errorf("%v %q, %v", ok, text, err)
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(stderr)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, rest)
	}
	if took := time.Since(began); took > stopLimit {
		t.Errorf("it left after %v", took)
	}
}

// A connector that hangs does not keep the process.
func TestRunUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		release := make(chan struct{})
		defer close(release)
		began := time.Now()
		err := runUntilStopped(ctx, func(context.Context) error { <-release; return nil })
		if took := time.Since(began); !errors.Is(err, errHung) || took != time.Hour+stopLimit {
			t.Errorf("%v after %v", err, took)
		}
	})
}
