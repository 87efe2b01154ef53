package connector_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// rejectTenant answers requests for the tenant's list with 400, from the one after
// as many as are let through.
func rejectTenant(let int64) func(http.RoundTripper) http.RoundTripper {
	var asked atomic.Int64
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("tenant_only") != "true" || asked.Add(1) <= let {
				return next.RoundTrip(r)
			}
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Request: r,
				Body: io.NopCloser(strings.NewReader(`{"error":{"message":"Unknown parameter: tenant_only","code":"unknown_parameter"}}`))}, nil
		})
	}
}

// spread adds events of the organization over a time.
func (w *world) spread(events int, from, to time.Time) {
	every := to.Sub(from) / time.Duration(events)
	for n := range events {
		at := from.Add(time.Duration(n) * every)
		w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(at), VisibleAt: at, Scopes: []auditlog.Scope{auditlog.ScopeOrganization}})
	}
}

// A tenant list that the API does not know any more does not hold up the
// organization's history, its floor or its readiness.
func TestTenantListRejectedForGood(t *testing.T) {
	for name, let := range map[string]int64{"from the first request": 0, "in the middle of a backfill": 2} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.cfg.PollInterval = time.Minute
				now := time.Now()
				w.backfill(now.Add(-30 * 24 * time.Hour))
				w.spread(3000, w.since.Time(), now)
				w.through = rejectTenant(let)
				i := w.start()
				time.Sleep(26 * time.Hour)
				if r := w.report(); !r.OK() {
					t.Error(r)
				}
				if !i.ready() {
					t.Errorf("not ready: %s", i.reason())
				}
				c := w.cursor()
				if lag := time.Since(c.Floor.Time()); lag > 26*time.Hour {
					t.Errorf("the floor is %v behind: nothing is ever forgotten", lag)
				}
				if state := c.Scopes[auditlog.ScopeTenant].State; state != auditlog.StateRefused {
					t.Errorf("the tenant scope is %s", state)
				}
				w.must(i.stop())
			})
		})
	}
}

// What is refused for another cause than a right that is missing leaves the scope as
// it was, though it is the tenant's list alone that a proxy keeps from us.
func TestOnlyAMissingRightRefusesAScope(t *testing.T) {
	for name, answer := range map[string]struct {
		status  int
		body    string
		refuses bool
	}{
		"a proxy's 403":     {403, "<html>blocked</html>", false},
		"a proxy's 404":     {404, "default backend - 404", false},
		"an allow list":     {401, `{"error":{"code":"ip_not_authorized","message":"no"}}`, false},
		"another host":      {401, `{"error":{"code":"incorrect_hostname","message":"no"}}`, false},
		"a country":         {403, `{"error":{"code":"unsupported_country_region_territory","message":"no"}}`, false},
		"the right to read": {403, `{"error":{"code":"insufficient_scope","message":"no"}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.since = auditlog.SecondOf(time.Now())
				w.through = func(next http.RoundTripper) http.RoundTripper {
					return roundTrip(func(r *http.Request) (*http.Response, error) {
						if r.URL.Query().Get("tenant_only") != "true" {
							return next.RoundTrip(r)
						}
						return &http.Response{StatusCode: answer.status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(answer.body))}, nil
					})
				}
				i := w.start()
				time.Sleep(30 * time.Minute)
				if state := w.cursor().Scopes[auditlog.ScopeTenant].State; (state == auditlog.StateRefused) != answer.refuses {
					t.Errorf("the tenant scope is %s", state)
				}
				if ready, reason := i.readiness(w); ready != answer.refuses {
					t.Errorf("ready %v, because: %s", ready, reason)
				}
				w.must(i.stop())
			})
		})
	}
}

// A tenant list that fails for a day, for whatever cause but a refusal, holds up neither the
// organization's history nor its floor. It is reported as failing, and not as refused, and
// what it missed comes, once, when it can be read.
func TestTenantListFailsForADay(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"a proxy's page": {http.StatusForbidden, "<html>blocked</html>"},
		"an outage":      {http.StatusServiceUnavailable, `{"error":{"message":"no"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.cfg.PollInterval = time.Minute
				now := time.Now()
				w.backfill(now.Add(-30 * 24 * time.Hour))
				w.spread(3000, w.since.Time(), now)
				var answers atomic.Bool
				w.through = func(next http.RoundTripper) http.RoundTripper {
					return roundTrip(func(r *http.Request) (*http.Response, error) {
						if answers.Load() || r.URL.Query().Get("tenant_only") != "true" {
							return next.RoundTrip(r)
						}
						return &http.Response{StatusCode: answer.status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(answer.body))}, nil
					})
				}
				i := w.start()
				time.Sleep(26 * time.Hour)
				if r := w.report(); !r.OK() {
					t.Error(r)
				}
				c := w.cursor()
				if lag := time.Since(c.Floor.Time()); lag > 26*time.Hour {
					t.Errorf("the floor is %v behind: nothing is ever forgotten", lag)
				}
				if state := c.Scopes[auditlog.ScopeTenant].State; state != "failing" || i.scopeState("tenant") != "failing" {
					t.Errorf("the tenant scope is %s, and told to be %s", state, i.scopeState("tenant"))
				}
				if i.ready() || !strings.Contains(i.reason(), "reading tenant events") {
					t.Errorf("ready %v, because: %s", i.ready(), i.reason())
				}
				for _, ago := range []time.Duration{20 * 24 * time.Hour, 20 * time.Hour, time.Minute} {
					w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(time.Now().Add(-ago)), Scopes: []auditlog.Scope{auditlog.ScopeTenant}})
				}
				answers.Store(true)
				time.Sleep(time.Hour)
				if r := w.report(); !r.OK() || r.Topic != 3003 {
					t.Error(r)
				}
				if state := i.scopeState("tenant"); state != "on" || !i.ready() {
					t.Errorf("the tenant scope is told to be %s, ready %v", state, i.ready())
				}
				w.must(i.stop())
			})
		})
	}
}

// scopeState is what was last told of the scope.
func (r *instance) scopeState(scope string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positions.ScopeStates[scope]
}

// A key that is replaced, while the connector runs, by one of another organization:
// none of that one is written.
func TestKeyOfAnotherOrganization(t *testing.T) {
	inBubble(t, simulator.Config{Organization: "org-one"}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		other := simulator.New(simulator.Config{Organization: "org-two"})
		var replaced atomic.Bool
		w.through = func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if replaced.Load() {
					return simulator.Transport(other).RoundTrip(r)
				}
				return next.RoundTrip(r)
			})
		}
		i := w.start()
		time.Sleep(time.Minute)
		replaced.Store(true)
		other.Add(simulator.Event{ID: "audit_log-of-two", EffectiveAt: auditlog.SecondOf(time.Now()), VisibleAt: time.Now()})
		err := i.end(5 * time.Minute)
		if !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "org-two") {
			t.Errorf("it ended with: %v", err)
		}
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
	})
}

// New events that are large are not held in memory all at once: the polls leave
// them to windows.
func TestLargeEventsAtTheHead(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(time.Minute)
		at := auditlog.SecondOf(time.Now())
		for n := range 400 {
			raw := fmt.Sprintf(`{"id":"audit_log-large%d","type":"project.created","effective_at":%d,"padding":"%s"}`,
				n, at, strings.Repeat("x", 300_000))
			w.api.AddRaw(auditlog.ScopeOrganization, at, []byte(raw))
		}
		time.Sleep(3 * time.Minute) // each poll reads a page of 30 MB
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
		// Not more than a page, though ten pages are new.
		if i.mostAtOnce() > 100 {
			t.Errorf("%d events in one transaction", i.mostAtOnce())
		}
		w.must(i.stop())
	})
}
