package openai_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The clocks of a few of the API's servers are wrong, by hours in either direction: a
// walk begins when it does by the others. Ours, which is ahead, does not count.
func TestOddClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{DateOffset: -time.Hour})
		c := newClient(t, api, nil)
		faults := []simulator.Fault{simulator.DateBehind, simulator.None, simulator.None, simulator.DateOff, simulator.DateMissing}
		var began auditlog.Second
		for n := range 100 {
			time.Sleep(time.Minute)
			api.Script(faults[n%len(faults)])
			page, err := c.Newest(t.Context(), auditlog.ScopeOrganization, 1)
			if err != nil {
				t.Fatal(err)
			}
			want := auditlog.SecondOf(time.Now().Add(-time.Hour))
			if n >= 2 && (page.Began != want || page.Skew != -time.Hour) {
				t.Fatalf("answer %d: began %v, skew %v; want %v, -1h", n+1, page.Began, page.Skew, want)
			}
			if page.Began < began {
				t.Fatalf("answer %d: began %v, and the one before %v", n+1, page.Began, began)
			}
			began = page.Began
		}
		// All servers' clocks are set: that counts once most of the answers say so.
		for range 31 {
			api.Script(simulator.DateBehind)
			if _, err := c.Newest(t.Context(), auditlog.ScopeOrganization, 1); err != nil {
				t.Fatal(err)
			}
		}
		q := openai.Query{Scope: auditlog.ScopeOrganization, From: start}
		api.Script(simulator.DateBehind)
		pages, _, _, err := read(t.Context(), c, q)
		if want := auditlog.SecondOf(time.Now().Add(-7 * time.Hour)); err != nil || pages[0].Began != want {
			t.Errorf("%+v, %v; want %v", pages, err, want)
		}
	})
}
