package openai_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func TestBrokenBody(t *testing.T) {
	for _, test := range []struct {
		fault simulator.Fault
		want  openai.Kind
	}{
		{simulator.TwoDocuments, openai.KindMalformed},
		{simulator.NDJSON, openai.KindMalformed},
		{simulator.EmptyObject, openai.KindMalformed},
		{simulator.HTML, openai.KindMalformed},
		{simulator.CutBody, openai.KindMalformed},
		{simulator.CutGzip, openai.KindUnavailable},
		{simulator.ResetInBody, openai.KindUnavailable},
		{simulator.HangInBody, openai.KindUnavailable},
		{simulator.EndlessBody, openai.KindMalformed},
		{simulator.GzipBomb, openai.KindMalformed},
	} {
		for _, noGzip := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				api := simulator.New(simulator.Config{NoGzip: noGzip, EndlessBytes: 4 << 20})
				fill(api, 250)
				c := newClient(t, api, func(cfg *openai.Config) { cfg.MaxBodyBytes = 1 << 20 })

				api.Script(simulator.None, test.fault)
				_, events, done, err := read(t.Context(), c, all)
				if err != nil || !done {
					t.Errorf("%s once: complete %v, error %v", test.fault, done, err)
				}
				checkComplete(t, api, auditlog.ScopeOrganization, events)

				api.SetFaults(map[simulator.Fault]float64{test.fault: 1})
				pages, _, _, err := read(t.Context(), c, all)
				e := checkKind(t, err, test.want)
				if len(pages) > 0 || e.Status != 200 && test.fault != simulator.CutGzip && test.want == openai.KindMalformed {
					t.Errorf("%s always: %d pages, status %d", test.fault, len(pages), e.Status)
				}
				if strings.Contains(e.Error(), "example.com") {
					t.Errorf("%s: the error quotes an event: %v", test.fault, e)
				}
			})
		}
	}
}

func TestLargePageIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 250)
		raw := fmt.Appendf(nil, `{"id":"large","effective_at":%d,"text":%q}`, start+99, strings.Repeat("x", 60_000))
		api.AddRaw(auditlog.ScopeOrganization, start+99, raw)
		bounded := func(n int64) *openai.Client {
			return newClient(t, api, func(cfg *openai.Config) { cfg.MaxBodyBytes = n })
		}
		_, events, done, err := read(t.Context(), bounded(61_000), all)
		if err != nil || !done {
			t.Fatalf("complete %v, error %v", done, err)
		}
		checkComplete(t, api, auditlog.ScopeOrganization, events)
		_, _, _, err = read(t.Context(), bounded(60_000), all)
		if e := checkKind(t, err, openai.KindMalformed); !strings.Contains(e.Error(), "60000 bytes") {
			t.Errorf("the error does not name the limit: %v", e)
		}
	})
}

func TestRateLimit(t *testing.T) {
	for _, test := range []struct {
		fault      simulator.Fault
		retryAfter time.Duration
		offset     time.Duration // of the server's clock
		least      time.Duration
		most       time.Duration
	}{
		{simulator.RateLimitSeconds, time.Second, 0, time.Second, time.Second},
		{simulator.RateLimitSeconds, 120 * time.Second, 0, 120 * time.Second, 120 * time.Second},
		{simulator.RateLimitMillis, 1500 * time.Millisecond, 0, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{simulator.RateLimitDate, 30 * time.Second, 0, 30 * time.Second, 30 * time.Second},
		{simulator.RateLimitDate, 30 * time.Second, 5 * time.Hour, 30 * time.Second, 30 * time.Second},
		{simulator.RateLimitBare, 0, 0, time.Second, 3 * time.Second},
		{simulator.RateLimitUserAction, 0, 0, time.Second, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{RetryAfter: test.retryAfter, DateOffset: test.offset})
			fill(api, 10)
			var told time.Duration
			limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: 8})
			c := newClient(t, api, func(cfg *openai.Config) {
				cfg.Limiter = limiter
				cfg.OnRateLimited = func(wait time.Duration) {
					told += wait
					if limiter.PausedUntil().Before(time.Now()) {
						t.Errorf("%s: the limiter says it is not paused", test.fault)
					}
				}
			})
			api.Script(test.fault)
			begin := time.Now()
			if _, events, _, err := read(t.Context(), c, all); err != nil || len(events) != 10 {
				t.Errorf("%s: %d events, error %v", test.fault, len(events), err)
			}
			took := time.Since(begin)
			if took < test.least || took > test.most || told < test.least || told > took {
				t.Errorf("%s: waited %v, told of %v, want %v to %v", test.fault, took, told, test.least, test.most)
			}
			if !limiter.PausedUntil().IsZero() || limiter.InFlight() != 0 {
				t.Errorf("%s: paused until %v, %d in flight at the end", test.fault, limiter.PausedUntil(), limiter.InFlight())
			}
		})
	}
}

func TestRateLimitForEver(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.RateLimitSeconds, simulator.RateLimitUserAction} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Faults: map[simulator.Fault]float64{fault: 1}})
			_, _, _, err := read(t.Context(), newClient(t, api, nil), all)
			e := checkKind(t, err, openai.KindRateLimited)
			if n := api.Requests().Total; n > 20 || e.Tries != n {
				t.Errorf("%s: %d requests, %d tries told", fault, n, e.Tries)
			}
		})
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{RetryAfter: time.Hour})
		api.Script(simulator.RateLimitSeconds)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		_, _, _, err := read(ctx, newClient(t, api, nil), all)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestTransientAuth(t *testing.T) {
	for _, test := range []struct {
		fault simulator.Fault
		times int
		want  openai.Kind // empty: none
		tries int
	}{
		{simulator.Refused401, 1, "", 2},
		{simulator.Refused403, 1, "", 2},
		{simulator.Refused401, 4, "", 5},
		{simulator.Refused401, 5, openai.KindRefused, 5},
		{simulator.Refused403, 9, openai.KindRefused, 5},
		{simulator.MissingScope401, 1, openai.KindForbidden, 1},
		{simulator.MissingScope403, 1, openai.KindForbidden, 1},
		{simulator.WrongKey, 1, openai.KindUnauthorized, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			fill(api, 10)
			api.Script(slices.Repeat([]simulator.Fault{test.fault}, test.times)...)
			_, events, _, err := read(t.Context(), newClient(t, api, nil), all)
			if n := api.Requests().Total; n != test.tries {
				t.Errorf("%s %d times: %d requests, want %d", test.fault, test.times, n, test.tries)
			}
			if test.want == "" {
				if err != nil || len(events) != 10 {
					t.Errorf("%s %d times: %d events, error %v", test.fault, test.times, len(events), err)
				}
				return
			}
			if e := checkKind(t, err, test.want); !e.Denied() || !strings.Contains(e.Error(), "key") {
				t.Errorf("%s: denied %v, %v; want a remedy that names the key", test.fault, e.Denied(), e)
			}
		})
	}
}

// Not every 401 and 403 is about the key. What is not has its own words, which quote
// the answer without what tells of a person, and says nothing about a right.
func TestRefusalsThatAreNotTheKeys(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   openai.Kind
		lacks  bool // a right, so that a scope counts as refused
		words  string
	}{
		{401, `{"error":{"code":"ip_not_authorized","message":"Your IP 203.0.113.7 is not authorized."}}`, openai.KindAddressRefused, false, `HTTP 401 [ip_not_authorized]: "Your IP *** is not authorized."`},
		{401, `{"error":{"code":"incorrect_hostname","message":"Use eu.api.openai.com instead"}}`, openai.KindOtherHost, false, "OPENAI_BASE_URL=https://eu.api.openai.com/v1,"},
		{401, `{"error":{"code":"incorrect_hostname","message":"Use https://evil.example/v1 instead"}}`, openai.KindOtherHost, false, "OPENAI_BASE_URL=https://<host>/v1,"},
		{403, `{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}`, openai.KindCountryRefused, false, "does not serve the country"},
		{403, `<html>Blocked by policy</html>`, openai.KindBarred, false, `"<html>Blocked by policy</html>"`},
		{401, ``, openai.KindBarred, false, "proxy or firewall"},
		{403, `{"message":"Forbidden"}`, openai.KindBarred, false, "proxy or firewall"},
		{403, `{"error":"Forbidden"}`, openai.KindBarred, false, "proxy or firewall"},
		{401, `{"error":{"code":"account_deactivated","message":"The account was deactivated."}}`, openai.KindBarred, false, `[account_deactivated]: "The account was deactivated."`},
		{403, `{"error":{"code":"insufficient_permissions","message":"x"}}`, openai.KindForbidden, true, "[insufficient_permissions]"},
		{401, `{"error":{"code":null,"message":"You have insufficient permissions for this operation."}}`, openai.KindRefused, true, "insufficient permissions"},
		{403, `{"error":{"message":"Missing scopes: api.audit_logs.read"}}`, openai.KindForbidden, true, "Missing scopes"},
		{401, `{"error":{"message":"You didn't provide an API key."}}`, openai.KindUnauthorized, false, "the key is wrong"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := openai.New(openai.Config{
				BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return simulator.Key, nil },
				Transport: simulator.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(test.status)
					io.WriteString(w, test.body)
				})),
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = read(t.Context(), c, all)
			if e := checkKind(t, err, test.want); e.LacksRight() != test.lacks || !strings.Contains(e.Error(), test.words) {
				t.Errorf("%d %s: lacks a right %v, %v", test.status, test.body, e.LacksRight(), e)
			}
		})
	}
}

func TestReplacedKeyIsUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 250)
		key := simulator.Key
		c := newClient(t, api, func(cfg *openai.Config) {
			cfg.Key = func() (string, error) { return key, nil }
			cfg.OnRequest = func(code int, _ time.Duration) {
				if code == http.StatusUnauthorized {
					key = "sk-admin-new" // the file is replaced while the answer is on its way
				}
			}
		})
		for page, err := range c.Pages(t.Context(), all) {
			if err != nil {
				t.Fatal(err)
			}
			if !page.Last {
				api.SetKeys("sk-admin-new")
			}
		}
		if n := api.Requests().Total; n != 4 {
			t.Errorf("%d requests, want 4: three pages, one of them twice", n)
		}
	})
}

func TestUnreadableKey(t *testing.T) {
	for _, test := range []struct {
		key string
		err error
	}{
		{"", nil}, {"sk-admin-two\nlines", nil}, {"", errors.New("no such file")},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			c := newClient(t, api, func(cfg *openai.Config) { cfg.Key = func() (string, error) { return test.key, test.err } })
			_, _, _, err := read(t.Context(), c, all)
			checkKind(t, err, openai.KindKeyUnreadable)
			if n := api.Requests().Total; n != 0 {
				t.Errorf("%d requests without a key", n)
			}
			if test.key != "" && strings.Contains(err.Error(), test.key) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestSecretInLog(t *testing.T) {
	const secret = "sk-admin-VerySecret0123456789"
	leaks := map[string]http.HandlerFunc{
		"quoted in an error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s.","code":%q}}`, secret, secret)
		},
		"quoted where the excerpt ends": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, strings.Repeat("x", 190)+secret)
		},
		"where a long body is cut, and the key with it": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x"+strings.Repeat(" ", 64<<10-len("x"+secret[:20]))+secret)
		},
		"in a page that is none": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>"+secret) },
		"in a request id": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Request-Id", secret)
			w.WriteHeader(http.StatusInternalServerError)
		},
		"in a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/?key="+secret, http.StatusFound)
		},
	}
	for name, handler := range leaks {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			c, err := openai.New(openai.Config{
				BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return secret, nil },
				Transport: simulator.Transport(handler), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = read(t.Context(), c, all)
			var e *openai.Error
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", name, err)
			}
			for _, output := range []string{err.Error(), log.String(), e.Body, e.Code, e.RequestID, fmt.Sprintf("%+v", c), fmt.Sprint(*e)} {
				if strings.Contains(output, "VerySecret") {
					t.Errorf("%s: the key is in %q", name, output)
				}
			}
		})
	}
	t.Run("in the transport's error", func(t *testing.T) {
		c, err := openai.New(openai.Config{
			BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return secret, nil }, Attempts: 1,
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("cannot send %v", r.Header)
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err = read(t.Context(), c, all); err == nil || strings.Contains(err.Error(), "VerySecret") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("as the base URL", func(t *testing.T) {
		for _, url := range []string{secret, "https://user:" + secret + "@host/v1", "https://host/%zz" + secret} {
			if _, err := openai.New(openai.Config{BaseURL: url, Key: func() (string, error) { return "x", nil }}); err == nil || strings.Contains(err.Error(), "VerySecret") {
				t.Errorf("%q: %v", url, err)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestShouldRetryCountsMoreThanTheStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		header string
		want   int
	}{
		{500, "", 5}, {500, "false", 1}, {418, "", 1}, {418, "true", 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			c, err := openai.New(openai.Config{
				BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return "k", nil },
				Transport: simulator.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests++
					w.Header().Set("X-Should-Retry", test.header)
					w.WriteHeader(test.status)
				})),
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := read(t.Context(), c, all); err == nil || requests != test.want {
				t.Errorf("status %d, x-should-retry %q: %d requests, error %v; want %d", test.status, test.header, requests, err, test.want)
			}
		})
	}
}

// TestOverTheWire runs the default transport against a real server, where gzip,
// cuts and resets are those of net/http.
func TestOverTheWire(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 1})
	api.Generate(3000, start, start+3600)
	server := httptest.NewServer(api)
	defer server.Close()
	c, err := openai.New(openai.Config{BaseURL: server.URL + "/v1/", Key: func() (string, error) { return simulator.Key, nil }})
	if err != nil {
		t.Fatal(err)
	}
	api.Script(simulator.CutGzip, simulator.Reset, simulator.ResetInBody)
	_, events, done, err := read(t.Context(), c, all)
	if err != nil || !done {
		t.Fatalf("complete %v, error %v", done, err)
	}
	checkComplete(t, api, auditlog.ScopeOrganization, events)
	if n := api.Requests().Faults; n[simulator.CutGzip]+n[simulator.Reset]+n[simulator.ResetInBody] != 3 {
		t.Errorf("the faults were %v, want each once", n)
	}
}
