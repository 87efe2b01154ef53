package openai_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestOwnSecondOfAStray holds that only the API itself, and only for the same
// organization, says that an event's own second does not list it.
func TestOwnSecondOfAStray(t *testing.T) {
	const refusal = `{"error":{"message":"effective_at is out of range","type":"invalid_request_error","code":null}}`
	const empty = `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`
	for name, test := range map[string]struct {
		status       int
		organization string
		body         string
		events       int // that the walk gives; 0: it fails
	}{
		"the API refuses the time":      {400, "org-x", refusal, 4},
		"the API refuses the time, 422": {422, "org-x", refusal, 4},
		"its own second is empty":       {200, "org-x", empty, 4},
		"another organization's second": {200, "org-y", empty, 0},
		"nobody's second":               {200, "", empty, 0},
		"a proxy's redirect":            {302, "", "<html>sign in", 0},
		"a proxy's 404":                 {404, "", "<html>not found", 0},
		"the API's 404":                 {404, "org-x", refusal, 0},
		"a proxy's 400":                 {400, "", "<html>bad request", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Organization: "org-x"})
			fill(api, 3)
			api.AddRaw(auditlog.ScopeOrganization, start+1, fmt.Appendf(nil, `{"id":"stray","type":"login.succeeded","effective_at":%d}`, start-5000))
			c := newClient(t, api, func(cfg *openai.Config) {
				cfg.Transport = simulator.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("effective_at[gte]") != fmt.Sprint(int64(start-5000)) {
						api.ServeHTTP(w, r)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					if test.organization != "" {
						w.Header().Set("Openai-Organization", test.organization)
					}
					w.WriteHeader(test.status)
					fmt.Fprint(w, test.body)
				}))
			})
			_, events, done, err := read(t.Context(), c, openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 11, Bounded: true, ToEnd: true})
			if want := test.events > 0; done != want || (err == nil) != want || len(events) != test.events {
				t.Errorf("%s: %d events, complete %v, %v; want %d events", name, len(events), done, err, test.events)
			}
		})
	}
}
