package ops_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// world is a simulated API, a broker, the real connector between them, and an
// operator beside it.
type world struct {
	t         *testing.T
	api       *simulator.API
	cluster   *kafkatest.Cluster
	connector connector.Config
	ops       ops.Config
	settings  ops.RunSettings // of check
	log       *lockedBuffer
	asks      *kadm.Client
}

func newWorld(t *testing.T, c *kafkatest.Cluster, api simulator.Config) *world {
	t.Helper()
	w := &world{t: t, api: simulator.New(api), cluster: c, log: &lockedBuffer{}}
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("TEST_LOG") != "" {
			t.Logf("the log:\n%s", w.log)
		}
	})
	logger := slog.New(slog.NewTextHandler(w.log, nil))

	cfg := connector.DefaultConfig()
	cfg.PollInterval = time.Second
	cfg.Logger = logger
	k := &cfg.Kafka
	k.Brokers, k.Topic, k.DLQTopic, k.OffsetsTopic = c.Brokers(), c.Name("events"), c.Name("dlq"), c.Name("offsets")
	org := connector.DefaultOrganization()
	org.AdminKey, org.BaseURL = connector.SecretValue(simulator.Key), server.URL+"/v1"
	cfg.Organizations = []connector.Organization{org}
	w.connector = cfg

	w.ops = ops.Config{
		Target: cfg.Target(org.Name, logger),
		API:    ops.API{Account: cfg.Account(org), Tenant: ops.TenantAuto},
	}
	w.ops.API.Transport, w.ops.API.Concurrency = simulator.Transport(w.api), 4
	w.ops.Connection.ClientID, w.ops.Connection.Dial = "ops", c.Dial
	return w
}

// inKafka is the side of a world that is in Kafka: what its topics hold, and what a test
// does to them behind the connector's back.
type inKafka struct{ *world }

func (w *world) kafka() inKafka { return inKafka{w} }

func (w *world) backfill(from time.Time) {
	w.connector.Organizations[0].BackfillStart = &connector.BackfillStart{At: from}
}

// start runs the connector until the returned function is called, which returns
// how it ended.
func (w *world) start() (stop func() error) {
	w.t.Helper()
	return w.run().stop
}

// running is a connector at work.
type running struct {
	stop func() error
	done <-chan struct{}
}

func (w *world) run() running {
	w.t.Helper()
	c, err := connector.New(w.connector)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var ended error
	go func() { defer close(done); ended = c.Run(ctx) }()
	r := running{done: done, stop: func() error {
		cancel()
		<-done
		return ended
	}}
	w.t.Cleanup(func() { _ = r.stop() })
	return r
}

// runUntilEqual runs the connector until the topic holds what is asked for.
func (w *world) runUntilEqual(since time.Time) {
	w.t.Helper()
	stop := w.start()
	eventually(w.t, "the topic equals the API", func() bool {
		_, err := ops.Cursor(w.t.Context(), w.ops)
		return err == nil && w.kafka().exists() && w.report(since).OK()
	})
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	w.kafka().awaitMarkers()
}

// awaitMarkers waits until what was committed is stable.
func (w inKafka) awaitMarkers() {
	w.t.Helper()
	w.cluster.AwaitMarkers(w.t, w.ops.Topics.Events, w.ops.Topics.DLQ, w.ops.Topics.Offsets)
}

// admin is one client for what is asked again and again.
func (w inKafka) admin() *kadm.Client {
	if w.asks == nil {
		w.asks = w.cluster.Admin()
	}
	return w.asks
}

// exists reports whether the connector has made its topics.
func (w inKafka) exists() bool {
	found, err := w.kafka().admin().ListTopics(w.t.Context(), w.ops.Topics.Events, w.ops.Topics.DLQ, w.ops.Topics.Offsets)
	return err == nil && found.Error() == nil
}

// report compares the topic with what the API holds since a time.
func (w *world) report(since time.Time) kafkatest.Report {
	w.t.Helper()
	var truth []kafkatest.Want
	for ev := range w.api.Truth() {
		if ev.EffectiveAt < auditlog.SecondOf(since) {
			continue
		}
		for _, scope := range ev.Scopes {
			truth = append(truth, kafkatest.Want{ID: ev.ID, Scope: string(scope), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw})
		}
	}
	records := w.cluster.Read(w.t, w.ops.Topics.Events, kgo.ReadCommitted())
	return kafkatest.Compare(truth, append(records, w.cluster.Read(w.t, w.ops.Topics.DLQ, kgo.ReadCommitted())...))
}

// wantEqual fails unless the topic holds exactly what the API does since a time.
func (w *world) wantEqual(since time.Time) {
	w.t.Helper()
	if r := w.report(since); !r.OK() {
		w.t.Errorf("the topic does not equal the API: %s", r)
	}
}

// cursor reads the cursor as an operator does, who takes longer than markers.
func (w *world) cursor() ops.CursorReport {
	w.t.Helper()
	w.kafka().awaitMarkers()
	r, err := ops.Cursor(w.t.Context(), w.ops)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		w.t.Fatalf("the cursor is none: %v", err)
	}
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within three minutes: %s", what)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
