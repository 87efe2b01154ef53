package kafka

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A token is used until a fifth of its time is left. When the endpoint fails then, it is
// used for the rest of its time, and no longer.
func TestTokenIsRenewedInTime(t *testing.T) {
	issued, fails := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if fails {
			http.Error(w, "<html>busy</html>", http.StatusServiceUnavailable)
			return
		}
		issued++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 3600}`, issued)
	}))
	defer server.Close()
	o := &OAuth{TokenURL: server.URL, ClientID: "audit", ClientSecret: func() (string, error) { return "s", nil }}
	// later is what the clock does: d passes.
	later := func(d time.Duration) {
		o.renew, o.token.Expiry = o.renew.Add(-d), o.token.Expiry.Add(-d)
	}
	expect := func(when, want string) {
		t.Helper()
		if got, err := o.bearer(t.Context()); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", when, got, err, want)
		}
	}
	expect("at first", "token-1")
	later(47 * time.Minute)
	expect("with more than a fifth left", "token-1")
	later(2 * time.Minute)
	expect("with less", "token-2")
	later(49 * time.Minute)
	fails = true
	expect("while the endpoint fails", "token-2")
	later(11*time.Minute - 4*time.Second)
	expect("with seconds left", "") // a broker would refuse what kgo does with it
	later(time.Minute)
	expect("after its end", "")
	fails = false
	expect("when the endpoint is back", "token-3")
}
