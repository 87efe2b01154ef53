package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newTelemetry(show bool, organizations ...string) (*telemetry.Telemetry, *clock) {
	c := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return telemetry.New(telemetry.Config{
		Version: "v1.2.3", Commit: "abc", Organizations: organizations, DeadLetterReasons: []string{"too_large", "missing_id"},
		PollInterval: 10 * time.Second, ShowEvents: show, Now: c.now,
	}), c
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// own returns the metrics of contract §8 without those of Go and the process.
func own(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	_, text := get(t, tel.Handler(), "/metrics")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "openai_audit_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update if it is meant):\n%s", file, diff)
	}
}

// tellAll tells one of everything.
func tellAll(tel *telemetry.Telemetry, c *clock) {
	tel.Requested("acme", 200, 120*time.Millisecond)
	tel.Requested("acme", 418, time.Second)
	tel.Requested("acme", 0, time.Minute)
	tel.Refused("acme", "address_refused")
	tel.Refused("acme", "made_up")
	tel.RateLimited("acme", 1500*time.Millisecond)
	tel.Committed("acme", "ok", 7*time.Millisecond)
	tel.Committed("acme", "unconfirmed", 30*time.Second)
	tel.Written("acme", connector.Written{
		Scope: "tenant", Events: 5, Late: 2, Unknown: 1, DeadLetters: map[string]int{"too_large": 1, "made_up": 1},
		Delays: []time.Duration{3 * time.Second}, Newest: c.at.Add(-3 * time.Second),
		Latest: []connector.LatestEvent{{Time: c.at, ID: "audit_log-1", Type: "login.failed", Actor: "eve@example.com", IP: "203.0.113.9", Scope: "tenant"}},
	})
	tel.Skipped("acme", 4)
	tel.Leading("acme", true)
	tel.Positions("acme", connector.Positions{
		Live: map[string]time.Time{"organization": c.at.Add(-time.Second)}, Deep: map[string]time.Time{"organization": c.at.Add(-time.Hour)},
		LastSuccess: c.at, BackfillTo: c.at.Add(-48 * time.Hour), BackfillTarget: c.at.Add(-24 * time.Hour), SeenIDs: 12, OffsetsRead: 90,
		ClockSkew: -2 * time.Second, ScopeStates: map[string]string{"organization": "on", "tenant": "refused"},
	})
	tel.Progressed("acme", connector.Progress{
		Read: connector.ReadHistory, From: c.at.Add(-72 * time.Hour), Reached: c.at.Add(-48 * time.Hour), Until: c.at.Add(-24 * time.Hour),
		Events: 5000, Requests: 55, Took: 2 * time.Second, PerSecond: 2500, Left: 90 * time.Second,
	})
	tel.Verified("acme", connector.Verification{
		From: c.at.Add(-720 * time.Hour), To: c.at.Add(-time.Hour), At: c.at.Add(-time.Minute), By: "verify", Host: "host-a",
		Counts: map[string]int{"api": 4218, "topic": 4216, "missing": 3, "doubled": 1, "different": 7}, Faults: 4, Late: 50 * time.Hour,
	})
	tel.Ready("acme", "")
}

func TestMetricsAtTheStart(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	golden(t, "metrics_start.txt", own(t, tel))
}

func TestMetrics(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	tellAll(tel, c)
	golden(t, "metrics.txt", own(t, tel))
	_, text := get(t, tel.Handler(), "/metrics")
	for _, want := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%sis missing", want)
		}
	}
}

func TestANameNotConfiguredMakesNoSeries(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	before := own(t, tel)
	tel.Requested("stranger", 200, 0)
	tel.Refused("stranger", "barred")
	tel.Ready("stranger", "x")
	tel.Positions("stranger", connector.Positions{LastSuccess: c.at})
	if diff := cmp.Diff(before, own(t, tel)); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	tel, c := newTelemetry(true, "acme", "zeta")
	tellAll(tel, c)
	var b strings.Builder
	for _, path := range []string{"/healthz", "/readyz", "/api/status"} {
		code, text := get(t, tel.Handler(), path)
		b.WriteString("GET " + path + "\n" + http.StatusText(code) + "\n" + text + "\n")
	}
	golden(t, "status.txt", b.String())
}

func TestNothingElseIsServed(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	for _, path := range []string{"/debug/pprof/", "/favicon.ico", "/api/", "/metrics/x"} {
		if code, _ := get(t, tel.Handler(), path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// Personal data is on the page only if asked for, and never in JSON or metrics.
func TestEventsAreShownOnlyWhenAskedFor(t *testing.T) {
	for _, show := range []bool{false, true} {
		tel, c := newTelemetry(show, "acme")
		tellAll(tel, c)
		_, page := get(t, tel.Handler(), "/")
		if got := strings.Contains(page, "eve@example.com") && strings.Contains(page, "203.0.113.9"); got != show {
			t.Errorf("asked for: %v, shown: %v\n%s", show, got, page)
		}
		for _, path := range []string{"/api/status", "/metrics", "/readyz"} {
			if _, text := get(t, tel.Handler(), path); strings.Contains(text, "eve@") || strings.Contains(text, "203.0.113") {
				t.Errorf("%s shows it:\n%s", path, text)
			}
		}
	}
}

func TestThePageEscapesAndNeedsNothingElse(t *testing.T) {
	tel, c := newTelemetry(true, "acme")
	tel.Written("acme", connector.Written{Latest: []connector.LatestEvent{{Time: c.at, Actor: "<script>alert(1)</script>"}}})
	tel.Ready("acme", "<b>broken</b>")
	_, page := get(t, tel.Handler(), "/")
	for _, never := range []string{"<script>", "<b>", "style=", "//", "http-equiv"} {
		if strings.Contains(page, never) {
			t.Errorf("the page holds %s", never)
		}
	}
}

func TestOnlyTheLatestEventsAreKept(t *testing.T) {
	tel, c := newTelemetry(true, "acme")
	for i := range 30 {
		tel.Written("acme", connector.Written{Latest: []connector.LatestEvent{{Time: c.at.Add(time.Duration(i) * time.Second), ID: "id"}}})
	}
	_, page := get(t, tel.Handler(), "/")
	if n := strings.Count(page, "· id</span>"); n != 20 || !strings.Contains(page, "12:00:29 UTC") {
		t.Errorf("%d events on\n%s", n, page)
	}
}

func TestReadiness(t *testing.T) {
	sweep := func(tel *telemetry.Telemetry, c *clock, name string) {
		tel.Positions(name, connector.Positions{LastSuccess: c.at})
	}
	tests := []struct {
		name string
		tell func(*telemetry.Telemetry, *clock)
		want string // what the body says; empty: ready
	}{
		{"nothing told yet", func(*telemetry.Telemetry, *clock) {}, "acme: starting"},
		{"a reason", func(tel *telemetry.Telemetry, _ *clock) { tel.Ready("acme", "the API answers 401: rotate the key") }, "acme: the API answers 401: rotate the key\n"},
		{"a standby", func(tel *telemetry.Telemetry, _ *clock) { tel.Ready("acme", "") }, ""},
		{"loaded, not swept", func(tel *telemetry.Telemetry, _ *clock) { tel.Ready("acme", ""); tel.Leading("acme", true) }, "acme: starting: the head"},
		{"swept", func(tel *telemetry.Telemetry, c *clock) {
			tel.Ready("acme", "")
			tel.Leading("acme", true)
			sweep(tel, c, "acme")
			c.at = c.at.Add(30 * time.Second)
		}, ""},
		{"swept too long ago", func(tel *telemetry.Telemetry, c *clock) {
			tel.Ready("acme", "")
			tel.Leading("acme", true)
			sweep(tel, c, "acme")
			c.at = c.at.Add(31 * time.Second)
		}, "acme: the head of the log was last read 31s ago, longer than three poll intervals (30s)"},
		{"ready again", func(tel *telemetry.Telemetry, c *clock) {
			tel.Leading("acme", true)
			tel.Ready("acme", "broken")
			tel.Ready("acme", "")
			sweep(tel, c, "acme")
		}, ""},
		{"the same success told again is none", func(tel *telemetry.Telemetry, c *clock) {
			tel.Ready("acme", "")
			tel.Leading("acme", true)
			p := connector.Positions{LastSuccess: c.at}
			tel.Positions("acme", p)
			c.at = c.at.Add(31 * time.Second)
			tel.Positions("acme", p)
		}, "acme: the head of the log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tel, c := newTelemetry(false, "acme")
			tt.tell(tel, c)
			code, text := get(t, tel.Handler(), "/readyz")
			gauge := strings.Contains(own(t, tel), `openai_audit_ready{organization="acme"} 1`)
			if tt.want == "" && (code != http.StatusOK || text != "ready\n" || !gauge) {
				t.Errorf("%d %q, gauge %v", code, text, gauge)
			}
			if tt.want != "" && (code != http.StatusServiceUnavailable || !strings.Contains(text, "not ready\n"+tt.want) || gauge) {
				t.Errorf("%d %q, gauge %v", code, text, gauge)
			}
		})
	}
}

func TestOneOfSeveralIsNotReady(t *testing.T) {
	tel, _ := newTelemetry(false, "a", "b")
	tel.Ready("a", "")
	tel.Ready("b", "refused: run cursor reset")
	if code, text := get(t, tel.Handler(), "/readyz"); code != http.StatusServiceUnavailable || text != "not ready\nb: refused: run cursor reset\n" {
		t.Errorf("%d %q", code, text)
	}
}

// When the history is read, position and target are the same.
func TestHistoryThatIsDone(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	tel.Positions("acme", connector.Positions{BackfillTo: c.at.Add(-time.Hour), BackfillTarget: c.at})
	tel.Positions("acme", connector.Positions{})
	text := own(t, tel)
	for _, name := range []string{"position", "target"} {
		if want := `openai_audit_backfill_` + name + `_timestamp_seconds{organization="acme"} 1.7723664e+09`; !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// An instance that lost the lead does not tell for ever how far it was, and one that
// has it again knows its newest event.
func TestGaugesOfTheLeader(t *testing.T) {
	tel, c := newTelemetry(false, "acme", "globex")
	tellAll(tel, c)
	tel.Leading("acme", false)
	standby := own(t, tel)
	for _, name := range []string{
		"newest_event_timestamp_seconds", "last_success_timestamp_seconds", "live_position_timestamp_seconds", "deep_position_timestamp_seconds",
		"backfill_position_timestamp_seconds", "backfill_target_timestamp_seconds", "api_clock_skew_seconds", "offsets_records_read", "scope_state",
	} {
		if strings.Contains(standby, "openai_audit_"+name+"{") {
			t.Errorf("a standby tells %s", name)
		}
	}
	if !strings.Contains(standby, `openai_audit_leader{organization="acme"} 0`) || !strings.Contains(standby, `openai_audit_events_total{organization="acme",scope="tenant"} 5`) {
		t.Errorf("it lacks what it should tell:\n%s", standby)
	}
	tel.Leading("acme", true)
	if want := `openai_audit_newest_event_timestamp_seconds{organization="acme"} 1.772366397e+09`; !strings.Contains(own(t, tel), want) {
		t.Errorf("%s is not in\n%s", want, own(t, tel))
	}
}

// A walk of the deep past does not replace the progress of history, and history
// stays as done. An instance that does not lead any more shows neither.
func TestEachReadHasItsOwnProgress(t *testing.T) {
	var told []connector.Progress
	tel := telemetry.New(telemetry.Config{
		Organizations: []string{"acme"}, OnProgress: func(_ string, p connector.Progress) { told = append(told, p) },
	})
	history := func() *telemetry.ReadStatus { return tel.Status().Organizations[0].History }
	tel.Leading("acme", true)
	tel.Progressed("acme", connector.Progress{Read: connector.ReadHistory, Events: 5})
	tel.Progressed("acme", connector.Progress{Read: connector.ReadDeep, Events: 7, Left: time.Second})
	if h, deep := history(), tel.Status().Organizations[0].DeepWalk; h == nil || h.Events != 5 || h.SecondsLeft != nil || deep == nil || deep.Events != 7 {
		t.Errorf("history %+v, deep %+v", h, deep)
	}
	tel.Progressed("acme", connector.Progress{Read: connector.ReadDeep, Done: true})
	tel.Progressed("acme", connector.Progress{Read: connector.ReadHistory, Events: 9, Done: true})
	tel.Positions("acme", connector.Positions{})
	if h, deep := history(), tel.Status().Organizations[0].DeepWalk; deep != nil || h == nil || !h.Done || h.Percent != 100 || *h.SecondsLeft != 0 {
		t.Errorf("when done: history %+v, deep %+v", h, deep)
	}
	tel.Leading("acme", false)
	if h := history(); h != nil || len(told) != 5 || told[4] != (connector.Progress{}) {
		t.Errorf("not leading: %+v, told %+v", h, told)
	}
}

func TestServer(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := telemetry.Listen(ctx, "127.0.0.1:0", tel.Handler())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()

	if ok, text, err := telemetry.Probe(ctx, s.Addr(), "/healthz"); !ok || text != "ok\n" || err != nil {
		t.Errorf("%v %q %v", ok, text, err)
	}
	if ok, text, err := telemetry.Probe(ctx, s.Addr(), "/readyz"); ok || !strings.HasPrefix(text, "not ready") || err != nil {
		t.Errorf("%v %q %v", ok, text, err)
	}
	if want := "http://" + s.Addr() + "/"; s.URL() != want {
		t.Errorf("the URL is %s, want %s", s.URL(), want)
	}
	if _, err := telemetry.Listen(ctx, s.Addr(), nil); err == nil || !strings.Contains(err.Error(), "HTTP_ADDR="+s.Addr()) {
		t.Errorf("a second server: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, _, err := telemetry.Probe(t.Context(), s.Addr(), "/healthz"); err == nil {
		t.Error("it is still there")
	}
}

func TestServerThatFailsSaysSo(t *testing.T) {
	s, err := telemetry.Listen(t.Context(), "127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	s.CloseListener()
	if err := s.Serve(t.Context()); err == nil {
		t.Error("nil")
	}
}

func TestLogger(t *testing.T) {
	for _, tt := range []struct {
		format     string
		isTerminal bool
		wantJSON   bool
	}{{"json", true, true}, {"text", false, false}, {"auto", true, false}, {"auto", false, true}} {
		var b bytes.Buffer
		log := telemetry.NewLogger(slog.LevelInfo, tt.format, &b, tt.isTerminal)
		log.Debug("no")
		log.Info("yes", "took", 1500*time.Millisecond, "key", connector.SecretValue("sk-secret"))
		if got := json.Valid(b.Bytes()); got != tt.wantJSON {
			t.Errorf("%+v: %s", tt, b.String())
		}
		if s := b.String(); strings.Contains(s, "no") || !strings.Contains(s, "1.5s") || strings.Contains(s, "sk-secret") {
			t.Errorf("%+v: %s", tt, s)
		}
	}
}
