package kafka_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// provider stands in for an identity provider, and for the broker that believes it. Each
// token is another one.
type provider struct {
	*httptest.Server
	want url.Values // what a request must have; without them it is refused
	user string     // in the header, if not empty
	mu   sync.Mutex
	last int
	seen []string // the first messages of clients
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, password, _ := r.BasicAuth()
	ok := user == p.user && (user == "" || password == "s%2Bcret") && r.FormValue("grant_type") == "client_credentials"
	for name := range p.want {
		ok = ok && r.PostFormValue(name) == p.want.Get(name)
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": "invalid_client", "error_description": "who is that?", "echo": %q}`, r.Form.Encode())
		return
	}
	p.last++
	fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer"}`, p.last)
}

// broker starts one that asks before each request once more, and refuses tokens of others as
// Kafka does: with a reason first, and with an error after the answer to that.
func (p *provider) broker(t *testing.T) *kafkatest.Cluster {
	k := kafkatest.InProcess(t)
	k.Fake().ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		return r.ResponseKind(), nil, true
	})
	k.Fake().ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		p.mu.Lock()
		defer p.mu.Unlock()
		message := string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.SessionLifetimeMillis = 1
		switch {
		case message == "\x01":
			answer.ErrorCode, answer.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr(`{"status":"invalid_token"}`)
		case !strings.HasPrefix(message, "n,,\x01auth=Bearer token-"):
			answer.SASLAuthBytes = []byte(`{"status":"invalid_token"}`)
		}
		p.seen = append(p.seen, message)
		return answer, nil, true
	})
	return k
}

func TestTokenEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		oauth *kafka.OAuth
		user  string
		want  url.Values
		fails string // part of what the error says
	}{
		"a secret": {&kafka.OAuth{ClientID: "audit", ClientSecret: fixed("s+cret"), Scope: "a b", Audience: "kafka"}, "audit", url.Values{"scope": {"a b"}, "audience": {"kafka"}}, ""},
		"a secret in the body": {&kafka.OAuth{ClientID: "audit", ClientSecret: fixed("s+cret")}, "",
			url.Values{"client_id": {"audit"}, "client_secret": {"s+cret"}}, ""},
		"an assertion": {&kafka.OAuth{ClientID: "audit", Assertion: fixed("a.b.c"), Scope: "a"}, "",
			url.Values{"client_id": {"audit"}, "client_assertion": {"a.b.c"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "scope": {"a"}}, ""},
		"a wrong secret":  {&kafka.OAuth{ClientID: "audit", ClientSecret: fixed("wr0ng")}, "nobody", nil, `401 Unauthorized: "invalid_client": "who is that?"`},
		"a refused token": {nil, "", nil, `{"status":"invalid_token"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{want: c.want, user: c.user}
			p.Server = httptest.NewServer(p)
			defer p.Close()
			sasl := kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: c.oauth, Token: fixed("stale"), Extensions: map[string]string{"logicalCluster": "lkc-1"}}
			if c.oauth != nil {
				c.oauth.TokenURL = p.URL + "/token"
			}
			cl, err := kafka.Connection{Brokers: p.broker(t).Brokers(), SASL: sasl}.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if c.fails != "" {
				err := cl.Ping(t.Context())
				if kafka.Classify(err) != kafka.ClassAuthentication || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "wr0ng") {
					t.Errorf("%v, %s", err, kafka.Classify(err))
				}
				return
			}
			for range 3 {
				if err := cl.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if last := p.seen[len(p.seen)-1]; p.last < 3 || !strings.HasSuffix(last, "\x01logicalCluster=lkc-1\x01\x01") {
				t.Errorf("%d tokens, the last message is %q", p.last, last)
			}
		})
	}
}
