package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// tokenEndpoint gives tokens that end soon, and fails when told to.
type tokenEndpoint struct {
	*httptest.Server
	token  func(ends time.Time) string
	life   atomic.Int64 // a time.Duration
	given  atomic.Int64
	denied atomic.Int64
	fails  atomic.Bool
}

func newTokenEndpoint(t *testing.T, life time.Duration, token func(ends time.Time) string) *tokenEndpoint {
	e := &tokenEndpoint{token: token}
	e.life.Store(int64(life))
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if e.fails.Load() {
		e.denied.Add(1)
		http.Error(w, "<html>busy</html>", http.StatusServiceUnavailable)
		return
	}
	e.given.Add(1)
	life := time.Duration(e.life.Load())
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": %d}`, e.token(time.Now().Add(life)), int(life.Seconds()))
}

// rotating is a running connector whose credentials change.
type rotating struct {
	t      *testing.T
	c      *kafkatest.Cluster
	name   string
	api    *simulator.API
	p      *process
	topics []string
}

// newRotating starts the program with the settings of a way to sign in, on topics of its own.
func newRotating(t *testing.T, c *kafkatest.Cluster, name string, environ ...string) *rotating {
	t.Helper()
	r := &rotating{t: t, c: c, name: name, api: simulator.New(simulator.Config{Seed: 13}), topics: []string{name + ".events", name + ".dlq"}}
	server := httptest.NewServer(r.api)
	t.Cleanup(server.Close)
	r.p = start(t, append(environ, "OPENAI_ADMIN_KEY="+simulator.Key, "OPENAI_BASE_URL="+server.URL+"/v1", "POLL_INTERVAL=1s", "HTTP_ADDR=off", "BACKFILL_START_TIME=1d",
		"KAFKA_TOPIC="+r.topics[0], "KAFKA_DLQ_TOPIC="+r.topics[1], "KAFKA_OFFSETS_TOPIC="+name+".offsets"))
	return r
}

// equal adds events and fails the test unless the topic gets each exactly once.
func (r *rotating) equal(when string) {
	r.t.Helper()
	r.api.Step(20, 0, 0)
	if report := await(r.t, r.c, r.api, r.topics); !report.OK() {
		r.t.Fatalf("%s, %s: %v\n%s", r.name, when, report, r.p.log.String())
	}
}

// until adds events until something is so.
func (r *rotating) until(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not so: %s\n%s", r.name, what, r.p.log.String())
		}
		r.api.Step(2, 0, 0)
	}
}

func (r *rotating) says(text string) bool { return strings.Contains(r.p.log.String(), text) }

func (r *rotating) stop() {
	r.t.Helper()
	r.p.signal(syscall.SIGTERM)
	if code := r.p.exit(stopLimit); code != exitDone {
		r.t.Errorf("%s: exit code %d\n%s", r.name, code, r.p.log.String())
	}
}

// A broker that wants everybody to sign in every three seconds, with Kerberos, and with tokens whose
// signature, audience and extensions it checks. Tokens end under load and their endpoint fails for
// longer than one lives; the key of their signature is changed, beside the old one and in its place;
// the key of the keytab is changed, and the KDC goes away. Nothing is lost, and nothing is there twice.
func TestCredentialsChangeUnderRunningConnectors(t *testing.T) {
	t.Parallel() // it starts a broker of its own
	kdc := kafkatest.NewKDC(t)
	keytab := kdc.Keytab(kafkatest.User)
	c := kafkatest.Real(t, kafkatest.Kerberized(kdc), kafkatest.TokenExtensions(), kafkatest.KeysByURL(), kafkatest.Properties(map[string]string{"connections.max.reauth.ms": "3000"}))
	s := c.Security()
	acls := kadm.NewACLs().Topics("kerberos.", "token.").TransactionalIDs("kerberos.", "token.").
		Operations(kadm.OpRead, kadm.OpWrite, kadm.OpCreate, kadm.OpDescribeConfigs).
		Allow("User:" + kafkatest.User).AllowHosts("*").ResourcePatternType(kadm.ACLPatternPrefixed)
	kafkatest.Grant(t, c, acls)
	way := func(addresses []string, mechanism string, more ...string) []string {
		return append([]string{"KAFKA_BROKERS=" + strings.Join(addresses, ","), "KAFKA_SASL_MECHANISM=" + mechanism}, more...)
	}
	kerberos := []string{"KAFKA_SASL_USERNAME=" + kafkatest.User + "@" + kafkatest.Realm, "KAFKA_SASL_KERBEROS_KEYTAB_FILE=" + keytab, "KAFKA_SASL_KERBEROS_CONFIG_FILE=" + kdc.ConfigFile}
	ca := "KAFKA_TLS_CA_FILE=" + s.CAFile
	endpoint := newTokenEndpoint(t, 8*time.Second, func(ends time.Time) string { return s.Token(kafkatest.User, ends) })
	tokens := []string{ca, "KAFKA_SASL_OAUTH_TOKEN_URL=" + endpoint.URL, "KAFKA_SASL_OAUTH_CLIENT_ID=audit", "KAFKA_SASL_OAUTH_CLIENT_SECRET=s"}
	extension := "KAFKA_SASL_OAUTH_EXTENSIONS=logicalCluster=lkc-1"

	ends := time.Now().Add(time.Hour)
	ours, others := s.Token(kafkatest.User, ends), s.Token("admin", ends)
	forged := ours[:strings.LastIndexByte(ours, '.')] + others[strings.LastIndexByte(others, '.'):]
	for name, tt := range map[string]struct {
		environ []string
		refusal string // part of the error; empty: none
	}{
		"Kerberos":             {way(s.SASL, "GSSAPI", kerberos...), ""},
		"Kerberos over TLS":    {way(s.SASLTLS, "GSSAPI", append(kerberos, ca)...), ""},
		"a signed token":       {way(s.SASLTLS, "OAUTHBEARER", append(tokens, extension)...), ""},
		"no extension":         {way(s.SASLTLS, "OAUTHBEARER", tokens...), "logicalCluster"},
		"somebody's signature": {way(s.SASLTLS, "OAUTHBEARER", ca, extension, "KAFKA_SASL_TOKEN="+forged), "invalid_token"},
	} {
		if err := tryOnce(t, tt.environ); (err == nil) != (tt.refusal == "") || err != nil && !strings.Contains(err.Error(), tt.refusal) ||
			err != nil && kafka.Classify(err) != kafka.ClassAuthentication {
			t.Errorf("%s: %v, want %q", name, err, tt.refusal)
		}
	}

	t.Run("a token endpoint", func(t *testing.T) {
		t.Parallel()
		r := newRotating(t, c, "token", way(s.SASLTLS, "OAUTHBEARER", append(tokens, extension)...)...)
		r.equal("with the first token")
		first := endpoint.given.Load()
		r.until("two more tokens were used", func() bool { return endpoint.given.Load() >= first+2 })
		r.equal("with later ones")
		endpoint.fails.Store(true)
		r.until("the last token has ended", func() bool { return r.says("the token endpoint answered 503") })
		endpoint.fails.Store(false)
		r.equal("with the endpoint back")

		s.ChangeKey(true)
		changed := endpoint.given.Load()
		endpoint.life.Store(int64(time.Hour))
		r.until("the next token is of the second key", func() bool { return endpoint.given.Load() > changed })
		r.equal("with it, for an hour")
		changed = endpoint.given.Load()
		s.ChangeKey(false) // the second one leaked
		r.until("the token is refused long before its end, and replaced", func() bool { return endpoint.given.Load() > changed })
		r.equal("with a token of the third key")
		r.stop()
	})
	t.Run("Kerberos", func(t *testing.T) {
		t.Parallel()
		r := newRotating(t, c, "kerberos", way(s.SASL, "GSSAPI", kerberos...)...)
		r.equal("with the first keytab")
		old, err := os.ReadFile(keytab)
		if err != nil {
			t.Error(err)
		}
		_ = kdc.Keytab(kafkatest.User) // the new key, and at once the old file again
		replaced, err := os.ReadFile(keytab)
		if err := errors.Join(err, os.WriteFile(keytab, old, 0o600)); err != nil {
			t.Error(err)
		}
		r.until("the old key is refused", func() bool { return r.says("the KDC answered KDC_ERR_PREAUTH_FAILED") })
		if err := os.WriteFile(keytab, replaced, 0o600); err != nil {
			t.Error(err)
		}
		r.equal("with the new keytab")
		kdc.Stop()
		r.until("the KDC is missed", func() bool { return r.says("no answer from a KDC") })
		kdc.Start()
		r.equal("with the KDC back")
		r.stop()
	})
}

// tryOnce asks the brokers once with the settings.
func tryOnce(t *testing.T, environ []string) error {
	t.Helper()
	settings, err := config.Load(append([]string{"OPENAI_ADMIN_KEY=" + simulator.Key}, environ...), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := settings.Connector.Target("default", nil).Connection.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.Ping(t.Context())
}
