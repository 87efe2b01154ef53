package ops_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func always(f simulator.Fault) func(*world) {
	return func(w *world) { w.api.SetFaults(map[simulator.Fault]float64{f: 1}) }
}

func withKey(key string) func(*world) {
	return func(w *world) { w.ops.API.Key = func() (string, error) { return key, nil } }
}

func both(a, b func(*world)) func(*world) { return func(w *world) { a(w); b(w) } }

func baseURL(address string) func(*world) {
	return func(w *world) { w.ops.API.BaseURL, w.ops.API.Transport = address, nil }
}

// anotherAPI is asked in place of the world's.
func anotherAPI(c simulator.Config, events int, scopes ...auditlog.Scope) func(*world) {
	return func(w *world) {
		w.api = simulator.New(c)
		for range events {
			w.add("", time.Hour, scopes...)
		}
		w.ops.API.Transport = simulator.Transport(w.api)
	}
}

var apiKey = named("api key")

// keyCauses are about the admin key, and what it may read.
var keyCauses = []cause{
	{name: "all is well", wrong: func(*world) {}, of: apiKey, state: ops.OK, words: "may read organization events"},
	{name: "no key", wrong: func(w *world) { w.ops.API.Key = nil }, of: apiKey, state: ops.Failed, words: "there is no admin key"},
	{name: "an empty key", wrong: withKey(""), of: apiKey, state: ops.Failed, words: "the key is empty"},
	{name: "a key's file that cannot be read", wrong: func(w *world) {
		w.ops.API.Key = func() (string, error) { return "", errors.New("open key: no such file or directory") }
	}, of: apiKey, state: ops.Failed, words: "no such file"},
	{name: "a project's key", wrong: withKey("sk-proj-000000000000"), of: apiKey, state: ops.Failed, words: "it is no admin key"},
	{name: "a project's key that is known", wrong: both(withKey("sk-proj-000000000000"), always(simulator.MissingScope403)),
		of: apiKey, state: ops.Failed, words: "may not read audit logs"},
	{name: "a revoked key", wrong: withKey("sk-admin-revoked00000"), of: apiKey, state: ops.Failed, words: "was revoked"},
	{name: "a key without the scope", wrong: always(simulator.MissingScope403), of: apiKey, state: ops.Failed, words: "api.audit_logs.read"},
	{name: "refused without a reason", wrong: always(simulator.Refused403), of: apiKey, state: ops.Failed, words: "named no right"},
	{name: "an address that is not on the organization's list", wrong: always(simulator.AddressRefused), of: apiKey, state: ops.Failed, words: "IP allow list"},
	{name: "a host that is not the organization's", wrong: always(simulator.OtherHost), of: apiKey, state: ops.Failed, words: "OPENAI_BASE_URL=https://eu.api.openai.com/v1"},
	{name: "a country that is not served", wrong: always(simulator.CountryRefused), of: apiKey, state: ops.Failed, words: "does not serve the country"},
	{name: "a proxy that refuses", wrong: always(simulator.ProxyRefuses), of: apiKey, state: ops.Failed, words: "neither the key nor a right"},
	{name: "no right to tenant events", wrong: func(w *world) { w.api.AllowTenant(false) },
		of: named("tenant events"), state: ops.Warning, words: "left out"},
	{name: "no right to tenant events, which are wanted", wrong: func(w *world) { w.api.AllowTenant(false); w.ops.API.Tenant = ops.TenantOn },
		of: named("tenant events"), state: ops.Failed, words: "OPENAI_TENANT_EVENTS=on"},
	{name: "tenant events turned off", wrong: func(w *world) { w.api.AllowTenant(false); w.ops.API.Tenant = ops.TenantOff },
		of: named("tenant events"), state: ops.OK, words: "turned off"},
	{name: "audit logging is off", wrong: anotherAPI(simulator.Config{}, 0),
		of: named("audit logging"), state: ops.Failed, words: "in no scope and at no time"},
	{name: "audit logging is off, and no right to tenant events", wrong: anotherAPI(simulator.Config{TenantForbidden: true}, 0),
		of: named("audit logging"), state: ops.Failed, words: "could not be asked for"},
	{name: "only tenant events are logged", wrong: anotherAPI(simulator.Config{}, 3, auditlog.ScopeTenant),
		of: named("audit logging"), state: ops.Warning, words: "tenant events only"},
	{name: "the newest events have no id", wrong: func(w *world) {
		for range 150 {
			w.api.AddRaw(auditlog.ScopeOrganization, ago(0), []byte(`{"effective_at":`+unix(0)+`}`))
		}
	}, of: apiKey, state: ops.OK, words: "may read organization events"},
}

// apiCauses are about the way to the API, and what answers there.
var apiCauses = []cause{
	{name: "a wrong path", wrong: func(w *world) { w.ops.API.BaseURL += "/v2" }, of: apiKey, state: ops.Failed, words: "HTTP 404"},
	{name: "no URL", wrong: baseURL("api.openai.com"), of: apiKey, state: ops.Failed, words: "https://host/v1"},
	{name: "somebody else's page", wrong: always(simulator.HTML), of: apiKey, state: ops.Failed, words: "OPENAI_BASE_URL"},
	{name: "a redirect", wrong: always(simulator.Redirect), of: apiKey, state: ops.Failed, words: "redirect"},
	{name: "a host that does not exist", wrong: baseURL("https://api.openai.invalid/v1"), of: apiKey, state: ops.Failed, words: "cannot be looked up"},
	{name: "nobody listens", wrong: baseURL("https://127.0.0.1:1/v1"), of: apiKey, state: ops.Failed, words: "cannot be reached"},
	{name: "a proxy that is not there", wrong: throughProxy("http://127.0.0.1:1"), of: apiKey, state: ops.Failed, words: "HTTPS_PROXY"},
	{name: "a proxy that wants a password", wrong: func(w *world) {
		w.ops.API.Transport = answering(http.StatusProxyAuthRequired)
	}, of: apiKey, state: ops.Failed, words: "wants a user and a password"},
	{name: "a certificate of nobody we know", wrong: func(w *world) { baseURL(tlsServer(w) + "/v1")(w) }, of: apiKey, state: ops.Failed, words: "unknown authority"},
	{name: "TLS where there is none", wrong: func(w *world) {
		baseURL(strings.Replace(w.connector.Organizations[0].BaseURL, "http:", "https:", 1))(w)
	}, of: apiKey, state: ops.Failed, words: "TLS to the API failed"},
	{name: "the rate limit is used up", wrong: always(simulator.RateLimitBare), of: apiKey, state: ops.Warning, words: "429"},
	{name: "the API fails", wrong: always(simulator.ServerError), of: apiKey, state: ops.Failed, words: "HTTP 500"},
	{name: "clocks apart", wrong: always(simulator.DateOff), of: named("api clock"), state: ops.Warning, words: "6h0m apart"},
	{name: "oldest first", wrong: always(simulator.Reversed), of: named("page direction"), state: ops.Failed, words: "newest first"},
}

func throughProxy(address string) func(*world) {
	return func(w *world) {
		proxy, err := url.Parse(address)
		if err != nil {
			w.t.Fatal(err)
		}
		baseURL("https://api.openai.com/v1")(w)
		w.ops.API.Transport = &http.Transport{Proxy: http.ProxyURL(proxy)}
	}
}

// answering is a transport on which everything is answered with the status.
type answering int

func (status answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader("no"))}, nil
}

func tlsServer(w *world) (address string) {
	server := httptest.NewUnstartedServer(w.api)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that are to fail
	server.StartTLS()
	w.t.Cleanup(server.Close)
	return server.URL
}
