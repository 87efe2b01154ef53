package kafka

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// endpoint gives tokens of an hour, token-1 first.
type endpoint struct {
	*OAuth
	t      *testing.T
	issued int
	fails  bool
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if e.fails {
			http.Error(w, "<html>busy</html>", http.StatusServiceUnavailable)
			return
		}
		e.issued++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 3600}`, e.issued)
	}))
	t.Cleanup(server.Close)
	e.OAuth = &OAuth{TokenURL: server.URL, ClientID: "audit", ClientSecret: func() (string, error) { return "s", nil }}
	return e
}

// later is what the clock does: d passes.
func (e *endpoint) later(d time.Duration) {
	e.renew, e.token.Expiry = e.renew.Add(-d), e.token.Expiry.Add(-d)
	if !e.trial.since.IsZero() {
		e.trial.since = e.trial.since.Add(-d)
	}
}

func (e *endpoint) expect(when, want string) {
	e.t.Helper()
	if got, err := e.bearer(e.t.Context()); got != want || (err == nil) != (want != "") {
		e.t.Errorf("%s: %q, %v, want %q", when, got, err, want)
	}
}

// A token is used until a fifth of its time is left. When the endpoint fails then, it is
// used for the rest of its time, and no longer.
func TestTokenIsRenewedInTime(t *testing.T) {
	e := newEndpoint(t)
	later := func(d time.Duration) { e.taken(); e.later(d) } // brokers take each
	e.expect("at first", "token-1")
	later(47 * time.Minute)
	e.expect("with more than a fifth left", "token-1")
	later(2 * time.Minute)
	e.expect("with less", "token-2")
	later(49 * time.Minute)
	e.fails = true
	e.expect("while the endpoint fails", "token-2")
	later(11*time.Minute - 4*time.Second)
	e.expect("with seconds left", "") // a broker would refuse what kgo does with it
	later(time.Minute)
	e.expect("after its end", "")
	e.fails = false
	e.expect("when the endpoint is back", "token-3")
}

// Brokers refuse a token long before its end once the key of its signature is gone from
// their list, or once it was revoked. Then another one is asked for, but not at each of
// their refusals, and not because two connections are opened at once.
func TestRefusedTokenIsReplaced(t *testing.T) {
	e := newEndpoint(t)
	e.expect("at first", "token-1")
	e.expect("for a second connection", "token-1")
	e.taken()
	e.later(10 * time.Minute)
	e.expect("minutes after it was taken", "token-1")
	e.later(9 * time.Second)
	e.expect("seconds after that, refused", "token-1")
	e.later(2 * time.Second)
	e.expect("refused for longer", "token-2")
	e.later(9 * time.Second)
	e.expect("the next one, refused", "token-2")
	e.later(2 * time.Second)
	e.fails = true
	e.expect("the next one, and the endpoint fails", "token-2")
	e.fails = false
	e.later(11 * time.Second)
	e.expect("the endpoint is back", "token-3")
	e.taken()
	e.later(30 * time.Minute)
	e.expect("taken", "token-3")
}
