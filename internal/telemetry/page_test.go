package telemetry_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry/pagestates"
)

var (
	unseen = regexp.MustCompile(`<span class="unseen">.*?</span>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// text is what a reader sees of a part of the page.
func text(page, from, to string) string {
	_, rest, _ := strings.Cut(page, from)
	part, _, _ := strings.Cut(rest, to)
	return tags.ReplaceAllString(unseen.ReplaceAllString(part, ""), "")
}

// Every state begins with its sentence, on the page and in JSON.
func TestThePageBeginsWithOneSentence(t *testing.T) {
	for _, state := range pagestates.All() {
		t.Run(state.Name, func(t *testing.T) {
			_, page := get(t, state.Handler(), "/")
			if got := text(page, `<h1 id="state">`, "</h1>"); got != state.Text {
				t.Errorf("%q\nwant %q", got, state.Text)
			}
			organizations := state.Status().Organizations
			if len(organizations) == 1 && organizations[0].Sentence != state.Text {
				t.Errorf("the JSON says %q", organizations[0].Sentence)
			}
		})
	}
}

func state(t *testing.T, name string) pagestates.State {
	t.Helper()
	all := pagestates.All()
	at := slices.IndexFunc(all, func(s pagestates.State) bool { return s.Name == name })
	if at < 0 {
		t.Fatalf("there is no state %s", name)
	}
	return all[at]
}

// What is wrong is followed by what to do, and the reason in full is at hand.
func TestTheRemedyFollowsTheCause(t *testing.T) {
	s := state(t, "not-ready")
	_, page := get(t, s.Handler(), "/")
	for _, want := range []string{
		"<strong>Do:</strong> Put a valid one (sk-admin-…) into OPENAI_ADMIN_KEY or its file, it is read again.",
		"HTTP 401 [invalid_api_key req_5d1c]", "<title>Not reading · openai-audit-kafka</title>", `href="icons/bad.svg"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has not: %s", want)
		}
	}
}

func TestCausesOfReasons(t *testing.T) {
	for reason, want := range map[string][2]string{
		"reading tenant events: listing audit logs: HTTP 503: \"upstream\": after 8 tries: it is tried again; if it stays, check the network": {
			"OpenAI's API answers HTTP 503", "it is tried again; if it stays, check the network",
		},
		"Kafka has not confirmed a transaction since 2026-03-01T12:00:00Z; check that the brokers can be reached": {
			"Kafka has not confirmed a transaction since 2026-03-01T12:00:00Z", "check that the brokers can be reached",
		},
		"starting again after: writing: the user may not use a topic: grant WRITE": {"the user may not use a topic", "grant WRITE"},
		"broken": {"broken", ""},
	} {
		tel, _ := newTelemetry(false, "acme")
		tel.Ready("acme", reason)
		o := tel.Status().Organizations[0]
		if o.Sentence != "Not reading: "+want[0]+" since 12:00 UTC" || o.Remedy != want[1] {
			t.Errorf("%s\nis %q, to do %q", reason, o.Sentence, o.Remedy)
		}
	}
}

// No call reports that a success has become too old: it counts from when it was
// too old, and not from when somebody looked.
func TestUnreadinessCountsFromWhenItBegan(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	tel.Leading("acme", true)
	tel.Ready("acme", "")
	c.at = c.at.Add(time.Minute)
	tel.Positions("acme", connector.Positions{LastSuccess: c.at})
	c.at = c.at.Add(10 * time.Minute)
	if since := tel.Status().Organizations[0].Since; !since.Equal(c.at.Add(-9*time.Minute - 30*time.Second)) {
		t.Errorf("since %v, now %v", since, c.at)
	}
	_, page := get(t, tel.Handler(), "/")
	if want := "not ready for 10 minutes"; !strings.Contains(page, want) { // 1 and 9½ minutes of the last hour
		t.Errorf("the chart does not say %q: %s", want, page)
	}
}

func TestTheHourIsDrawn(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	tel.Leading("acme", true)
	tel.Ready("acme", "")
	tel.Positions("acme", connector.Positions{LastSuccess: c.at})
	tel.Committed("acme", "ok", time.Millisecond)
	tel.Written("acme", connector.Written{Scope: "organization", Events: 8, Late: 2, Delays: []time.Duration{time.Second, 3 * time.Second, 9 * time.Second}})
	tel.Written("acme", connector.Written{Scope: "organization", Events: 5000, History: true})
	_, page := get(t, tel.Handler(), "/")
	for _, want := range []string{
		"Last hour: 8 events, 2 of them late, 5,000 of history, at most 8 a minute",
		"<title>12:00 UTC: 8 events, 2 of them late, 5,000 of history</title>",
		`<rect class="events" x="590" y="4.0" width="8" height="96.0"/><rect class="late" x="590" y="4.0" width="8" height="24.0"/>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has not: %s", want)
		}
	}
	if d := tel.Status().Organizations[0].Delay; d == nil || *d != (telemetry.DelayStatus{Events: 3, P50: 3, P99: 9}) {
		t.Errorf("delay %+v", d)
	}
	// An hour and a day later it is out of sight.
	for _, later := range []time.Duration{time.Hour, 23 * time.Hour} {
		c.at = c.at.Add(later)
		_, page = get(t, tel.Handler(), "/")
		if strings.Contains(text(page, "<figcaption>", "</figcaption>"), "8") {
			t.Errorf("after %v: %s", later, page)
		}
	}
	if !strings.Contains(page, "Last day: 0 events") || tel.Status().Organizations[0].Delay != nil {
		t.Errorf("after a day: %s", page)
	}
}

func TestSeveralOrganizationsHaveAPageEach(t *testing.T) {
	s := state(t, "several")
	_, page := get(t, s.Handler(), "/")
	for _, want := range []string{`<a href="organizations/acme" id="to-acme">`, "Standing by for host-b, which is ready"} {
		if !strings.Contains(page, want) {
			t.Errorf("the overview has not: %s", want)
		}
	}
	code, page := get(t, s.Handler(), "/organizations/globex")
	if code != http.StatusOK || !strings.Contains(page, "<title>globex: Not reading · ") || !strings.Contains(page, `href="../page.css"`) {
		t.Errorf("%d %s", code, page)
	}
	if code, text := get(t, s.Handler(), "/organizations/stranger"); code != http.StatusNotFound || !strings.Contains(text, "no organization of this name") {
		t.Errorf("a stranger: %d %s", code, text)
	}
}

// Whatever is answered has the same headers, and nothing is allowed inline.
func TestEveryAnswerHasTheHeaders(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/status", "/page.js", "/page.css", "/icons/good.svg", "/nothing"} {
		w := httptest.NewRecorder()
		tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q", path, header, got)
			}
		}
	}
}

// A name that somebody else made mean 127.0.0.1 is not answered to on loopback.
func TestLoopbackAnswersToItsOwnNames(t *testing.T) {
	for _, test := range []struct {
		addr, host string
		want       int
	}{
		{"127.0.0.1:0", "localhost:8080", 200},
		{"127.0.0.1:0", "LOCALHOST", 200},
		{"127.0.0.1:0", "127.0.0.1:1", 200},
		{"127.0.0.1:0", "127.8.8.8", 200},
		{"127.0.0.1:0", "[::1]:8080", 200},
		{"127.0.0.1:0", "rebound.example:8080", 421},
		{"127.0.0.1:0", "localhost.example", 421},
		{"127.0.0.1:0", "10.0.0.1", 421},
		{"localhost:0", "localhost", 200},
		{":0", "audit.example:8080", 200},
	} {
		tel, _ := newTelemetry(false, "acme")
		ctx, cancel := context.WithCancel(t.Context())
		s, err := telemetry.Listen(ctx, test.addr, tel.Handler())
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		_, port, _ := strings.Cut(s.Addr()[strings.LastIndex(s.Addr(), ":"):], ":")
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/api/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.want || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s, asked as %s: %d, want %d", test.addr, test.host, resp.StatusCode, test.want)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// An instance that stands by cannot see that another one hangs. It sees that nothing
// is written, and says so.
func TestALeaderThatWritesNothingIsNotReady(t *testing.T) {
	tel, c := newTelemetry(false, "acme")
	tel.Ready("acme", "")
	tel.Watched("acme", connector.Leader{Host: "host-b", Since: c.at.Add(-3 * time.Hour), Seen: c.at.Add(-10 * time.Minute)})
	if at := tel.Status().Organizations[0].AtWork; at == nil || !at.Ready || at.Host != "host-b" {
		t.Errorf("%+v", at)
	}
	c.at = c.at.Add(2 * time.Minute)
	o := tel.Status().Organizations[0]
	if o.AtWork.Ready || o.State != telemetry.StateStandbyUnready || !o.Ready ||
		o.Sentence != "Standing by for host-b, which is not ready: it has written nothing for 12 minutes, not even that it is alive" {
		t.Errorf("%+v %+v", o, o.AtWork)
	}
	tel.Leading("acme", true)
	if body, _ := json.Marshal(tel.Status().Organizations[0]); strings.Contains(string(body), "at_work") {
		t.Errorf("it leads itself: %s", body)
	}
}
