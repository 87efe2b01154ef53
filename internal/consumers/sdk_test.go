package consumers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestSDK: OpenAI's own SDK for Python, when strict, takes what the simulated API
// answers for what OpenAI answers, and the topic holds the events that it lists: each
// once, of both scopes.
func TestSDK(t *testing.T) {
	python := kafkatest.Python(t)
	api := simulator.New(simulator.Config{})
	now := auditlog.SecondOf(time.Now())
	for seed := range uint64(20) { // of each type that OpenAI documents; the strict SDK refuses others
		for n, kind := range simulator.Types() {
			id, at := fmt.Sprintf("audit_log-%d-%s", seed, kind.Name), now-86400*auditlog.Second(1+seed)-auditlog.Second(n)
			api.Add(simulator.Event{
				ID: id, Type: kind.Name, Scopes: []auditlog.Scope{kind.Scope}, EffectiveAt: at, Raw: simulator.Example(kind.Name, id, at, seed),
			})
		}
	}
	server := httptest.NewServer(api)
	defer server.Close()

	cmd := exec.CommandContext(patient(t), python, filepath.Join("testdata", "sdk.py"), server.URL+"/v1", simulator.Key)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the SDK does not take an answer: %v", err)
	}
	listed := strings.Fields(strings.ReplaceAll(string(out), " ", "/"))
	slices.Sort(listed)
	if len(listed) != api.Len() {
		t.Errorf("the SDK lists %d events, want %d", len(listed), api.Len())
	}
	if diff := cmp.Diff(listed, topicOf(t, server.URL, api.Len())); diff != "" {
		t.Errorf("the topic differs from what the SDK lists (-SDK +topic):\n%.3000s", diff)
	}
}

// topicOf returns scope and id of each event that the connector writes from the API,
// once there are as many as given, and it has been stopped.
func topicOf(t *testing.T, api string, count int) []string {
	t.Helper()
	c := kafkatest.InProcess(t)
	org := connector.DefaultOrganization()
	org.AdminKey, org.BaseURL = connector.SecretValue(simulator.Key), api+"/v1"
	org.BackfillStart = &connector.BackfillStart{At: time.Now().AddDate(0, 0, -31)}
	cfg := connector.DefaultConfig()
	cfg.Organizations = []connector.Organization{org}
	cfg.Kafka.Brokers = c.Brokers()
	cfg.Logger = slog.New(slog.DiscardHandler)
	conn, err := connector.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(ctx) }()
	reader := c.Client(kgo.ConsumeTopics(cfg.Kafka.Topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.UnknownTopicRetries(-1))
	for read := 0; read < count && ctx.Err() == nil; {
		read += reader.PollFetches(ctx).NumRecords()
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, r := range c.Read(t, cfg.Kafka.Topic, kgo.ReadCommitted()) {
		event, err := kafkatest.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event.Scope+"/"+event.ID)
	}
	slices.Sort(events)
	return events
}
