package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The demo starts itself as the connector; here that is the test's binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "connector" {
		main()
	}
	os.Exit(m.Run())
}

var proofLine = regexp.MustCompile(`(?m)^  ([0-9]+) in the API, ([0-9]+) in the topic, 0 missing, 0 doubled, 0 extra, 0 different$`)

// runDemo runs the program, and returns its exit code and what it showed.
func runDemo(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(ctx, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// short is a story that ends soon.
func short() options {
	return options{duration: 4 * time.Second, rate: 20, history: 500, since: time.Hour, settle: settleTime}
}

func TestDemoProvesItself(t *testing.T) {
	// None of this may have an effect.
	t.Setenv("KAFKA_BROKERS", "127.0.0.1:1")
	t.Setenv("OPENAI_ADMIN_KEY", "sk-admin-of-production")
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")

	code, stdout, stderr := runDemo(t, t.Context(), "--duration", "4s", "--history", "500", "--rate", "20")
	if code != exitDone || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	m := proofLine.FindStringSubmatch(stdout)
	if m == nil || m[1] != m[2] {
		t.Errorf("no proof in:\n%s", stdout)
	}
	for _, want := range []string{"500 committed", "late by ", "tenant scope", "-- killed", "-- started again", "... and ", "its status page: http://127.0.0.1:", "Next:\n  make demo"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("there are colours")
	}
}

// An event that never got to the topic, and one in the topic that the API does not
// hold: the demo must not call that equal.
func TestDemoSeesWhatIsMissing(t *testing.T) {
	t.Parallel()
	o := short()
	o.duration = time.Second
	var out strings.Builder
	s := newStory(o, &out)
	s.beforeProof = func(api *simulator.API) {
		api.Add(simulator.Event{ID: "audit_log-never-listed", EffectiveAt: auditlog.SecondOf(time.Now()), Hidden: true})
	}
	if err := s.tell(t.Context()); !errors.Is(err, errNotEqual) {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(out.String(), "1 missing, 0 doubled") || !strings.Contains(out.String(), "missing: audit_log-never-listed") {
		t.Errorf("it showed:\n%s", &out)
	}
}

// An event that shows up after the last walk, below more others than a page has, is found by the
// next one 45 seconds later, and waited for.
func TestDemoWaitsForWhatIsLate(t *testing.T) {
	t.Parallel()
	var out atEnd
	s := newStory(short(), &out)
	added := false
	out.do = func() {
		now := time.Now()
		s.api.Add(simulator.Event{EffectiveAt: auditlog.SecondOf(now.Add(-2 * time.Minute)), VisibleAt: now.Add(5 * time.Second)})
		added = true
	}
	if err := s.tell(t.Context()); err != nil || !added || !proofLine.MatchString(out.String()) {
		t.Errorf("added: %v, and it ended with %v:\n%s", added, err, &out)
	}
}

// atEnd notes what the demo says, and does something when no more events come.
type atEnd struct {
	strings.Builder
	do func()
}

func (w *atEnd) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "-- no more events") {
		w.do()
	}
	return w.Builder.Write(p)
}

// The status page is there while the connector is, also after it was killed and
// started again.
func TestDemoServesTheStatusPage(t *testing.T) {
	t.Parallel()
	page := regexp.MustCompile(`its status page: (http://\S+)`)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer writer.Close()
		var errs strings.Builder
		if code := run(ctx, strings.Fields("--duration 3s --history 300 --rate 20"), strings.NewReader(""), writer, &errs); code != exitDone {
			t.Errorf("exit %d: %s", code, &errs)
		}
	})
	url, got := "", 0
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		if m := page.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
		if text := lines.Text(); strings.Contains(text, "committed after") || strings.Contains(text, "-- no more events") {
			// One that was started a moment ago may not listen yet. The demo waits meanwhile,
			// since nobody reads its next line.
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"healthz", nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp, err := http.DefaultClient.Do(req); err == nil {
					got++
					resp.Body.Close()
					break
				}
				if time.Now().After(deadline) {
					break
				}
			}
		}
	}
	cancel()
	wg.Wait()
	if got < 2 {
		t.Errorf("%s answered %d times", url, got)
	}
}

func TestDemoStopsWithTheProofWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	code, stdout, stderr := runDemo(t, ctx, "--duration", "1h", "--history", "500")
	if code != exitDone || !proofLine.MatchString(stdout) {
		t.Errorf("exit %d: %s\n%s", code, stderr, stdout)
	}
}

// On a Kafka that outlives the run, the next run finds the topics of the one before,
// and does not mix its events with those.
func TestDemoTwiceOnTheSameBrokers(t *testing.T) {
	t.Parallel()
	c := kafkatest.InProcess(t)
	for range 2 {
		code, stdout, stderr := runDemo(t, t.Context(), "--duration", "1s", "--history", "300", "--brokers", c.Brokers()[0])
		if code != exitDone || !proofLine.MatchString(stdout) {
			t.Errorf("exit %d: %s\n%s", code, stderr, stdout)
		}
		time.Sleep(time.Second) // the runs are named by the second
	}
}

// With --real-api nobody knows the truth but the API, which is asked for it.
func TestDemoOfAnAPIThatIsNotOurs(t *testing.T) {
	t.Parallel()
	api := simulated(7, 0)
	now := time.Now()
	api.Generate(700, auditlog.SecondOf(now.Add(-time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
	server, err := serve(t.Context(), "127.0.0.1:0", api)
	if err != nil {
		t.Fatal(err)
	}
	defer server.stop()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(simulator.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := short()
	o.realAPI, o.keyFile, o.realURL = true, key, server.baseURL
	o.since = 2 * time.Hour
	var out strings.Builder
	if err := newStory(o, &out).tell(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if m := proofLine.FindStringSubmatch(out.String()); m == nil || m[1] != "700" {
		t.Errorf("it showed:\n%s", &out)
	}
	api.AllowTenant(false)
	if got, err := list(t.Context(), settings{Key: simulator.Key, BaseURL: server.baseURL, Since: now.Add(-2 * time.Hour)}); err != nil || len(got) == 0 {
		t.Errorf("without the right to tenant events: %d events, %v", len(got), err)
	}
}

func TestAPIAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer writer.Close()
		var errs strings.Builder
		if code := run(ctx, []string{"api", "--addr", "127.0.0.1:0", "--history", "10"}, strings.NewReader(""), writer, &errs); code != exitDone {
			t.Errorf("exit %d: %s", code, &errs)
		}
	})
	greeting := make([]byte, 4096)
	n, err := reader.Read(greeting)
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`'(http://[^']*)'`).FindStringSubmatch(string(greeting[:n]))
	if url == nil {
		t.Fatalf("no URL in %s", greeting[:n])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got page
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.Data) != 2 || !got.HasMore {
		t.Errorf("%+v, %v", got, err)
	}
	addr := req.URL.Host
	if code, _, stderr := runDemo(t, ctx, "api", "health", "--addr", addr); code != exitDone {
		t.Errorf("health of one that runs: exit %d: %s", code, stderr)
	}
	cancel()
	wg.Wait()
	code, _, stderr := runDemo(t, t.Context(), "api", "health", "--addr", addr)
	if code != exitFailed || !strings.Contains(stderr, "asking the simulated API") {
		t.Errorf("health of one that was stopped: exit %d: %s", code, stderr)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range []string{
		"--duration -1s", "--rate 0", "--history -1", "--real-api", "--admin-key-file x", "--bogus", "bogus", "api --rate 0",
	} {
		code, stdout, stderr := runDemo(t, t.Context(), strings.Fields(args)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "demo --help") {
			t.Errorf("%s: exit %d, %s%s", args, code, stdout, stderr)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, args := range []string{"--help", "api --help", "api health --help"} {
		if code, stdout, _ := runDemo(t, t.Context(), strings.Fields(args)...); code != exitDone || !strings.Contains(stdout, "Examples:") {
			t.Errorf("%s: exit %d\n%s", args, code, stdout)
		}
	}
}
