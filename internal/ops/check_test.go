package ops_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

var usualRun = ops.RunSettings{CreateTopics: true, Partitions: 1, Replication: -1}

// want is a finding that a report must have: its name, state, and words of its
// cause or remedy.
type want struct {
	name  string
	state ops.CheckState
	words string
}

func wantFindings(t *testing.T, r *ops.CheckReport, all ...want) {
	t.Helper()
	anyFailed := false
	for _, w := range all {
		anyFailed = anyFailed || w.state == ops.Failed
		found := false
		for _, f := range r.Checks {
			found = found || f.Name == w.name && f.State == w.state && strings.Contains(f.Cause+"; "+f.Remedy, w.words)
			if f.State != ops.OK && (f.Cause == "" || f.Remedy == "") {
				t.Errorf("%s lacks cause or remedy: %+v", f.Name, f)
			}
		}
		if !found {
			t.Errorf("no finding %+v", w)
		}
	}
	if r.OK() == anyFailed || r.Guarantee == "" {
		t.Errorf("OK is %v; %s", r.OK(), r.Guarantee)
	}
	if t.Failed() {
		var text strings.Builder
		_ = r.Print(&text)
		t.Logf("\n%s", &text)
	}
}

func TestCheckOfTheAPI(t *testing.T) {
	c := kafkatest.InProcess(t)
	always := func(f simulator.Fault) func(*world) {
		return func(w *world) { w.api.SetFaults(map[simulator.Fault]float64{f: 1}) }
	}
	key := func(k string) func(*world) {
		return func(w *world) { w.ops.API.Key = func() (string, error) { return k, nil } }
	}
	url := func(u string) func(*world) {
		return func(w *world) { w.ops.API.BaseURL, w.ops.API.Transport = u, nil }
	}
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   want
	}{
		{"no key", func(w *world) { w.ops.API.Key = nil }, want{"api key", ops.Failed, "there is no admin key"}},
		{"an empty key", key(""), want{"api key", ops.Failed, "the key is empty"}},
		{"a project key", key("sk-proj-000000000000"), want{"api key", ops.Failed, "it is no admin key"}},
		{"a revoked key", key("sk-admin-revoked00000"), want{"api key", ops.Failed, "was revoked"}},
		{"without the scope", always(simulator.MissingScope403), want{"api key", ops.Failed, "api.audit_logs.read"}},
		{"refused without a reason", always(simulator.Refused403), want{"api key", ops.Failed, "said no reason"}},
		{"rate limited", always(simulator.RateLimitBare), want{"api key", ops.Warning, "429"}},
		{"a server error", always(simulator.ServerError), want{"api key", ops.Failed, "HTTP 500"}},
		{"somebody else's page", always(simulator.HTML), want{"api key", ops.Failed, "OPENAI_BASE_URL"}},
		{"a wrong path", func(w *world) { w.ops.API.BaseURL += "/v2" }, want{"api key", ops.Failed, "HTTP 404"}},
		{"a wrong host", url("https://api.openai.invalid/v1"), want{"api key", ops.Failed, "cannot be looked up"}},
		{"nobody there", url("https://127.0.0.1:1/v1"), want{"api key", ops.Failed, "cannot be reached"}},
		{"oldest first", always(simulator.Reversed), want{"page direction", ops.Failed, "newest first"}},
		{"nothing listed", func(w *world) {
			w.api = simulator.New(simulator.Config{})
			w.ops.API.Transport = simulator.Transport(w.api)
		},
			want{"audit logging", ops.Failed, "not turned on"}},
		{"no tenant events", func(w *world) { w.api.AllowTenant(false) }, want{"tenant events", ops.Warning, "left out"}},
		{"no tenant events, and wanted", func(w *world) { w.api.AllowTenant(false); w.ops.API.Tenant = ops.TenantOn },
			want{"tenant events", ops.Failed, "OPENAI_TENANT_EVENTS=on"}},
		{"the clock", always(simulator.DateOff), want{"api clock", ops.Warning, "6h0m"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c, simulator.Config{Seed: 1})
			w.api.Generate(300, ago(100*time.Hour), ago(time.Hour))
			tt.change(w)
			r := ops.Check(t.Context(), w.ops, usualRun)
			wantFindings(t, r, tt.want)
		})
	}
}

func TestCheckOfTLSToTheAPI(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{})
	server := newTLSServer(t, w.api)
	w.ops.API.BaseURL, w.ops.API.Transport = server+"/v1", nil
	wantFindings(t, ops.Check(t.Context(), w.ops, usualRun), want{"api key", ops.Failed, "TLS to the API failed"})
	w.ops.API.BaseURL = strings.Replace(w.connector.Organizations[0].BaseURL, "http:", "https:", 1)
	wantFindings(t, ops.Check(t.Context(), w.ops, usualRun), want{"api key", ops.Failed, "TLS to the API failed"})
}

func TestCheckOfTopics(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := func(of func(ops.Topics) string, settings map[string]string) func(*world) {
			return func(w *world) { c.CreateTopic(of(w.ops.Topics), 1, settings) }
		}
		events := func(t ops.Topics) string { return t.Events }
		offsets := func(t ops.Topics) string { return t.Offsets }
		dlq := func(t ops.Topics) string { return t.DLQ }
		history := usualRun
		history.Backfill = new(ago(90 * days))
		no := usualRun
		no.CreateTopics = false
		asEvent := func(f func(*world)) func(*world) {
			return func(w *world) { w.ops.EventTime = true; f(w) }
		}
		settingsOf := func(of func(ops.Topics) string) func(*world) string {
			return func(w *world) string { return "settings of " + of(w.ops.Topics) }
		}
		topicOf := func(w *world) string { return "topic " + w.ops.Topics.Events }
		for _, tt := range []struct {
			name   string
			change func(*world)
			run    ops.RunSettings
			of     func(*world) string
			state  ops.CheckState
			words  string
		}{
			{"to be made", func(*world) {}, usualRun, topicOf, ops.OK, "is made at the first start"},
			{"missing", func(*world) {}, no, topicOf, ops.Failed, "kafka-topics.sh"},
			{"replication 1", topic(events, nil), usualRun, settingsOf(events), ops.Warning, "a lost broker loses data"},
			{"not compacted", topic(offsets, map[string]string{"cleanup.policy": "delete"}), usualRun, settingsOf(offsets), ops.Failed, "cleanup.policy=delete"},
			{"compacted and deleted", topic(offsets, map[string]string{"cleanup.policy": "compact,delete"}), usualRun, settingsOf(offsets), ops.Failed, "must have compact alone"},
			{"min ISR above the replicas", topic(dlq, map[string]string{"min.insync.replicas": "2"}), usualRun, settingsOf(dlq), ops.Failed, "nothing can be written"},
			{"small records", topic(events, map[string]string{"max.message.bytes": "10000"}), usualRun, settingsOf(events), ops.Warning, "become dead letters"},
			{"a week's retention", topic(events, map[string]string{"retention.ms": "604800000"}), history, settingsOf(events), ops.Warning, "retention.ms"},
			{"a week's retention of event times", asEvent(topic(events, map[string]string{"retention.ms": "604800000"})), history, settingsOf(events), ops.Failed, "within minutes"},
			{"LogAppendTime", asEvent(topic(events, map[string]string{"message.timestamp.type": "LogAppendTime"})), usualRun, settingsOf(events), ops.Warning, "no effect"},
			{"old times refused", asEvent(topic(events, map[string]string{"retention.ms": "-1", "message.timestamp.before.max.ms": "604800000"})), history, settingsOf(events), ops.Failed, "refuses records older than"},
			{"late times refused", asEvent(topic(events, map[string]string{"message.timestamp.before.max.ms": "60000"})), usualRun, settingsOf(events), ops.Failed, "shows up late"},
			{"times ahead refused", topic(events, map[string]string{"message.timestamp.after.max.ms": "100"}), usualRun, settingsOf(events), ops.Warning, "a host clock ahead"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w := newWorld(t, c, simulator.Config{Seed: 1})
				w.api.Generate(3, ago(time.Hour), ago(time.Minute))
				tt.change(w)
				wantFindings(t, ops.Check(t.Context(), w.ops, tt.run), want{tt.of(w), tt.state, tt.words})
			})
		}
	})
}

func TestCheckOfTheState(t *testing.T) {
	c := kafkatest.InProcess(t)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   want
	}{
		{"good", func(*world) {}, want{"cursor", ops.OK, "floor"}},
		{"nobody at work", func(*world) {}, want{"instance", ops.OK, "none is at work"}},
		{"unreadable", func(w *world) { w.produceState(w.cursor().Partition, "cursor/default", []byte("{")) }, want{"cursor", ops.Failed, "cannot be read"}},
		{"newer", func(w *world) { w.produceState(w.cursor().Partition, "cursor/default", []byte(`{"version":99}`)) }, want{"cursor", ops.Failed, "newer version"}},
		{"lost", func(w *world) { w.ops.Topics.Offsets = c.Name("new"); w.makeOffsets() }, want{"cursor", ops.Failed, "the state was lost"}},
		{"another topic", func(w *world) { w.ops.Topics.Events = c.Name("new") }, want{"cursor", ops.Failed, "accept-topics"}},
		{"another framing", func(w *world) { w.ops.Registry.URL, w.ops.Registry.Subject = registry.URL(), "s" }, want{"cursor", ops.Failed, "framed as single-object"}},
		{"another organization's key", func(w *world) {
			w.ops.API.Transport = simulator.Transport(otherAPI())
		}, want{"cursor", ops.Failed, "the key belongs to org-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, c, simulator.Config{Seed: 1, Organization: "org-1"})
			w.api.Generate(30, ago(10*days), ago(time.Hour))
			w.backfill(time.Now().Add(-20 * days))
			w.runUntilEqual(time.Now().Add(-20 * days))
			tt.change(w)
			wantFindings(t, ops.Check(t.Context(), w.ops, usualRun), tt.want)
		})
	}
}

func otherAPI() *simulator.API {
	api := simulator.New(simulator.Config{Organization: "org-2"})
	api.Generate(3, ago(time.Hour), ago(time.Minute))
	return api
}

func (w *world) makeOffsets() {
	w.cluster.CreateTopic(w.ops.Topics.Offsets, 16, map[string]string{"cleanup.policy": "compact"})
}

func TestCheckOfTheRegistry(t *testing.T) {
	c := kafkatest.InProcess(t)
	locked := srfake.New(srfake.WithAuth("Basic c3ZjOnB3"))
	t.Cleanup(locked.Close)
	open := srfake.New()
	t.Cleanup(open.Close)
	open.SeedSchema("taken-value", 1, 1, foreignSchema)
	for name, tt := range map[string]struct {
		url, subject string
		register     bool
		want         want
	}{
		"unreachable":             {"http://127.0.0.1:1", "s", true, want{"schema registry", ops.Failed, "unavailable"}},
		"unauthorized":            {locked.URL(), "s", true, want{"schema registry", ops.Failed, "SCHEMA_REGISTRY_PASSWORD"}},
		"to be registered":        {open.URL(), "s", true, want{"schema registry", ops.OK, "at the first start"}},
		"may not be registered":   {open.URL(), "s", false, want{"schema registry", ops.Failed, "may not be"}},
		"something else is there": {open.URL(), "taken-value", true, want{"schema registry", ops.Failed, "does not fit"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c, simulator.Config{Seed: 1})
			w.api.Generate(3, ago(time.Hour), ago(time.Minute))
			w.ops.Registry.URL, w.ops.Registry.Subject, w.ops.Registry.AutoRegister = tt.url, tt.subject, tt.register
			wantFindings(t, ops.Check(t.Context(), w.ops, usualRun), tt.want)
		})
	}
}

// Check beside a connector at work writes nothing and fences nobody.
func TestCheckDisturbsNobody(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 1})
		w.api.Generate(30, ago(time.Hour), ago(time.Minute))
		stop := w.start()
		eventually(t, "there is a cursor", func() bool { _, err := ops.Cursor(t.Context(), w.ops); return err == nil })
		proxy := c.Proxy()
		w.ops.Connection.Dial = proxy.Dial
		wantFindings(t, ops.Check(t.Context(), w.ops, usualRun), want{"instance", ops.OK, "is at work since"})
		for _, writes := range []kmsg.Key{kmsg.InitProducerID, kmsg.Produce, kmsg.EndTxn, kmsg.CreateTopics, kmsg.AddPartitionsToTxn} {
			if n := proxy.Count(writes.Int16()).Requests; n != 0 {
				t.Errorf("check sent %d %s requests", n, writes.Name())
			}
		}
		w.api.Step(3, 0, 0)
		eventually(t, "the connector goes on", func() bool { return len(w.report(time.Now().Add(-30*time.Second)).Missing) == 0 })
		if err := stop(); err != nil {
			t.Errorf("it was disturbed: %v", err)
		}
	})
}

func TestCheckOfConnectionsAndRights(t *testing.T) {
	t.Parallel()
	c := kafkatest.Real(t, kafkatest.Secured())
	s := c.Security()
	w := newWorld(t, c, simulator.Config{Seed: 1})
	w.api.Generate(3, ago(time.Hour), ago(time.Minute))
	for _, name := range []string{w.ops.Topics.Events, w.ops.Topics.DLQ} {
		c.CreateTopic(name, 1, nil)
	}
	w.makeOffsets()
	fixed := func(secret string) kafka.Secret { return func() (string, error) { return secret, nil } }
	good := kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: kafkatest.User, Password: fixed(kafkatest.Password)}
	secure := kafka.TLS{Enabled: true, CAFile: s.CAFile}

	brokers := func(state ops.CheckState, words string) []want { return []want{{"brokers", state, words}} }
	for _, tt := range []struct {
		name  string
		conn  kafka.Connection
		wants []want
	}{
		{"nobody there", kafka.Connection{Brokers: []string{"127.0.0.1:1"}}, brokers(ops.Failed, "cannot be reached")},
		{"a wrong password", kafka.Connection{Brokers: s.SASL, SASL: kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: kafkatest.User, Password: fixed("wrong")}}, brokers(ops.Failed, "KAFKA_SASL_PASSWORD")},
		{"a wrong mechanism", kafka.Connection{Brokers: s.SASL, SASL: kafka.SASL{Mechanism: "OAUTHBEARER", Token: fixed("x")}}, brokers(ops.Failed, "KAFKA_SASL_MECHANISM")},
		{"no SASL", kafka.Connection{Brokers: s.SASL}, brokers(ops.Failed, "KAFKA_SASL_MECHANISM")},
		{"no TLS", kafka.Connection{Brokers: s.SASLTLS, SASL: good}, brokers(ops.Failed, "KAFKA_TLS")},
		{"TLS to a plain port", kafka.Connection{Brokers: s.SASL, SASL: good, TLS: secure}, brokers(ops.Failed, "KAFKA_TLS")},
		{"an unknown CA", kafka.Connection{Brokers: s.SASLTLS, SASL: good, TLS: kafka.TLS{Enabled: true}}, brokers(ops.Failed, "KAFKA_TLS_CA_FILE")},
		{"no client certificate", kafka.Connection{Brokers: s.MTLS, TLS: secure}, brokers(ops.Failed, "KAFKA_TLS_CERT_FILE")},
		{"mutual TLS", kafka.Connection{Brokers: s.MTLS, TLS: kafka.TLS{Enabled: true, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile}}, []want{
			{"brokers", ops.OK, "they answer"}, {"topic " + w.ops.Topics.Events, ops.Failed, "WRITE on Topic:" + w.ops.Topics.Events},
		}},
		{"no rights at all", kafka.Connection{Brokers: s.SASLTLS, SASL: good, TLS: secure}, []want{
			{"transactional id", ops.Failed, "WRITE on TransactionalId:" + w.ops.Topics.Offsets + "/default"},
			{"topic " + w.ops.Topics.Offsets, ops.Failed, "and READ"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := w.ops
			cfg.Connection = tt.conn
			wantFindings(t, ops.Check(t.Context(), cfg, usualRun), tt.wants...)
		})
	}

	w.ops.Connection = kafka.Connection{Brokers: s.SASL, SASL: good}
	allow := func(acls *kadm.ACLBuilder, operations ...kadm.ACLOperation) {
		t.Helper()
		acls = acls.Allow("User:" + kafkatest.User).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).Operations(operations...)
		if _, err := c.Admin().CreateACLs(t.Context(), acls); err != nil {
			t.Fatal(err)
		}
	}
	allow(kadm.NewACLs().Topics(w.ops.Topics.Events, w.ops.Topics.DLQ, w.ops.Topics.Offsets), kadm.OpWrite)
	allow(kadm.NewACLs().TransactionalIDs(w.ops.Topics.Offsets+"/default"), kadm.OpWrite)
	eventually(t, "the rights count", func() bool {
		return !strings.Contains(printed(ops.Check(t.Context(), w.ops, usualRun)), "TransactionalId")
	})
	wantFindings(t, ops.Check(t.Context(), w.ops, usualRun),
		want{"topic " + w.ops.Topics.Offsets, ops.Failed, "READ on Topic:" + w.ops.Topics.Offsets},
		want{"topic " + w.ops.Topics.Events, ops.Warning, "READ on Topic:" + w.ops.Topics.Events},
		want{"topic " + w.ops.Topics.DLQ, ops.Warning, "DESCRIBE_CONFIGS on Topic:" + w.ops.Topics.DLQ})
	allow(kadm.NewACLs().Topics(w.ops.Topics.Offsets), kadm.OpRead)
	eventually(t, "the last right counts", func() bool { return ops.Check(t.Context(), w.ops, usualRun).OK() })
}

func printed(r *ops.CheckReport) string {
	var text strings.Builder
	_ = r.Print(&text)
	return text.String()
}

func newTLSServer(t *testing.T, handler http.Handler) (url string) {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that are to fail
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

var foreignSchema = sr.Schema{Type: sr.TypeAvro, Schema: `{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}`}
