package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// signedIn is a broker with every way to sign in, and the settings for each.
type signedIn struct {
	t    *testing.T
	c    *kafkatest.Cluster
	dir  string // of secrets
	ways map[string][]string
}

func newSignedIn(t *testing.T) *signedIn {
	t.Helper()
	w := &signedIn{t: t, c: kafkatest.Real(t, kafkatest.Secured()), dir: t.TempDir()}
	s := w.c.Security()
	w.write("password", kafkatest.Password+"\n")
	w.write("token", s.Token(kafkatest.User, time.Now().Add(time.Hour)))
	brokers := func(addresses []string) string { return "KAFKA_BROKERS=" + strings.Join(addresses, ",") }
	ca := "KAFKA_TLS_CA_FILE=" + s.CAFile
	password := []string{"KAFKA_SASL_USERNAME=" + kafkatest.User, "KAFKA_SASL_PASSWORD_FILE=" + w.file("password")}
	sasl := func(mechanism string, more ...string) []string {
		return append([]string{brokers(s.SASLTLS), ca, "KAFKA_SASL_MECHANISM=" + mechanism}, more...)
	}
	w.ways = map[string][]string{
		"mutual TLS":            {brokers(s.MTLS), ca, "KAFKA_TLS_CERT_FILE=" + s.CertFile, "KAFKA_TLS_KEY_FILE=" + s.KeyFile},
		"PLAIN over TLS":        sasl("PLAIN", password...),
		"SCRAM-SHA-256":         sasl("SCRAM-SHA-256", password...),
		"SCRAM-SHA-512":         sasl("SCRAM-SHA-512", password...),
		"OAUTHBEARER over TLS":  sasl("OAUTHBEARER", "KAFKA_SASL_TOKEN_FILE="+w.file("token")),
		"a token endpoint":      sasl("OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN_URL="+w.endpoint(), "KAFKA_SASL_OAUTH_CLIENT_ID=audit", "KAFKA_SASL_OAUTH_CLIENT_SECRET=s"),
		"PLAIN on loopback":     append([]string{brokers(s.SASL), "KAFKA_SASL_MECHANISM=PLAIN"}, password...),
		"SCRAM-512 without TLS": append([]string{brokers(s.SASL), "KAFKA_SASL_MECHANISM=SCRAM-SHA-512"}, password...),
	}
	return w
}

// endpoint starts a token endpoint whose tokens are what is in the file.
func (w *signedIn) endpoint() string {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		token, err := os.ReadFile(w.file("token"))
		if err != nil {
			w.t.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600}`, token)
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}

func (w *signedIn) file(name string) string { return filepath.Join(w.dir, name) }

func (w *signedIn) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// connects reports whether a new connection comes about with the settings.
func (w *signedIn) connects(settings *config.Settings, within time.Duration) error {
	w.t.Helper()
	client, err := settings.Connector.Target("default", slog.New(slog.DiscardHandler)).Connection.Client(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	// The one who is asked must know us, or a broker would say no to nobody.
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	return errors.Join(err, topics.Error())
}

// How long a connection may take, and how long one is tried that must not come about.
const patience, refused = 30 * time.Second, time.Second

// Every way to sign in works on a real broker, from the settings on, and what is
// replaced on disk counts for the next connection.
func TestWaysToSignIn(t *testing.T) {
	t.Parallel() // it starts a broker of its own
	w := newSignedIn(t)
	s := w.c.Security()
	loaded := map[string]*config.Settings{}
	for way, environ := range w.ways {
		settings, err := config.Load(append([]string{"OPENAI_ADMIN_KEY=" + simulator.Key}, environ...), config.Options{})
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		if err := w.connects(settings, patience); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		loaded[way] = settings
	}
	for way, replaced := range map[string]struct{ spoil, restore func() }{
		"SCRAM-SHA-256":        {func() { w.write("password", "old") }, func() { w.write("password", kafkatest.Password) }},
		"SCRAM-SHA-512":        {func() { w.write("password", "old") }, func() { w.write("password", kafkatest.Password) }},
		"PLAIN over TLS":       {func() { w.write("password", "old") }, func() { w.write("password", kafkatest.Password) }},
		"OAUTHBEARER over TLS": {func() { w.write("token", s.Token(kafkatest.User, time.Now().Add(-time.Minute))) }, func() { w.write("token", s.Token(kafkatest.User, time.Now().Add(time.Hour))) }},
		"a token endpoint":     {func() { w.write("token", s.Token(kafkatest.User, time.Now().Add(-time.Minute))) }, func() { w.write("token", s.Token(kafkatest.User, time.Now().Add(time.Hour))) }},
		"mutual TLS": {func() { w.rewrite(s.CertFile, "no certificate") }, func() {
			if err := s.Renew(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		replaced.spoil()
		if err := w.connects(loaded[way], refused); err == nil {
			t.Errorf("%s: what was broken on disk was not read", way)
		}
		replaced.restore()
		if err := w.connects(loaded[way], patience); err != nil {
			t.Errorf("%s: what was replaced on disk was not read: %v", way, err)
		}
	}
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	w.rewrite(s.CAFile, "no certificate")
	if err := w.connects(loaded["SCRAM-SHA-512"], refused); err == nil {
		t.Error("a CA that was broken on disk was not read")
	}
	w.rewrite(s.CAFile, string(ca))
	if err := w.connects(loaded["SCRAM-SHA-512"], patience); err != nil {
		t.Errorf("a CA that was replaced on disk was not read: %v", err)
	}
	for _, way := range []string{"mutual TLS", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		w.connectsInFIPSMode(way)
	}
}

// connectsInFIPSMode fails unless the program signs in with what FIPS 140-3 allows. The
// module that was certified is in a binary of its own: see "make fips-check".
func (w *signedIn) connectsInFIPSMode(way string) {
	w.t.Helper()
	for args, want := range map[string]string{"version": "FIPS 140-3 mode", "check": "ok       brokers"} {
		cmd := exec.CommandContext(w.t.Context(), os.Args[0], asProgram, args)
		cmd.Env = append([]string{"GODEBUG=fips140=on", "OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=http://127.0.0.1:1/v1"}, w.ways[way]...)
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), want) { // no API answers, which is no matter here
			w.t.Errorf("%s, in FIPS mode: %s does not say %q:\n%s", way, args, want, out)
		}
	}
}

func (w *signedIn) rewrite(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// The password is changed under a running connector, by SCRAM over TLS: its next
// connection takes the new one from the file, and nothing is lost.
func TestPasswordChangedUnderARunningConnector(t *testing.T) {
	t.Parallel() // it starts a broker of its own
	w := newSignedIn(t)
	acls := kadm.NewACLs().Topics("openai.audit.events", "openai.audit.events.dlq", "openai.audit.offsets").
		TransactionalIDs("openai.audit.offsets/default").Operations(kadm.OpRead, kadm.OpWrite, kadm.OpCreate, kadm.OpDescribeConfigs).
		Allow("User:" + kafkatest.User).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
	kafkatest.Grant(t, w.c, acls)
	api := simulator.New(simulator.Config{Seed: 9})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	p := start(t, slices.Concat(w.ways["SCRAM-SHA-512"], []string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + server.URL + "/v1", "POLL_INTERVAL=1s", "HTTP_ADDR=off", "BACKFILL_START_TIME=1d",
	}))
	equal := func(when string) {
		t.Helper()
		api.Step(20, 0, 0)
		if r := await(t, w.c, api, []string{"openai.audit.events", "openai.audit.events.dlq"}); !r.OK() {
			t.Fatalf("%s: %v\n%s", when, r, p.log.String())
		}
	}
	equal("with the first password")
	changed, err := w.c.Admin().AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{
		User: kafkatest.User, Mechanism: kadm.ScramSha512, Iterations: 8192, Password: "a new one",
	}})
	if err != nil || changed.Error() != nil {
		t.Fatal(err, changed.Error())
	}
	equal("on the connections from before")
	// The broker goes away, and what it finds when it is back is the old password.
	if err := errors.Join(w.c.Node(0).Kill(), w.c.Node(0).Start()); err != nil {
		t.Fatal(err)
	}
	w.c.WaitReady()
	api.Step(20, 0, 0) // or it would have nothing to say to the broker
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(p.log.String(), "SASL_AUTHENTICATION_FAILED"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the old password was not refused\n%s", p.log.String())
		}
	}
	w.write("password", "a new one")
	equal("with the new password")
	p.signal(syscall.SIGTERM)
	if code := p.exit(stopLimit); code != exitDone {
		t.Errorf("exit code %d\n%s", code, p.log.String())
	}
}
