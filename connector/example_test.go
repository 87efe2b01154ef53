package connector_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What is wrong with a config is said at once, by field.
func ExampleNew() {
	cfg := connector.DefaultConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Organizations = []connector.Organization{connector.DefaultOrganization()}
	cfg.Kafka.Compression = "zst"

	_, err := connector.New(cfg)
	if wrong, ok := errors.AsType[connector.ConfigError](err); ok {
		for _, field := range wrong {
			fmt.Println(field)
		}
	}
	// Output:
	// Organizations[0].AdminKey: not set; give an admin key with Audit Logs: Read
	// Kafka.Compression: not one of its values; set none, gzip, snappy, lz4, zstd
}

// Run works until its context ends, which is no error.
func ExampleConnector_Run() {
	cfg, end := exampleConfig() // an API and a broker in this process
	defer end()
	org := &cfg.Organizations[0]
	org.BackfillStart = &connector.BackfillStart{At: time.Now().AddDate(0, 0, -30)}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cfg.Telemetry = untilHistoryIsRead{stop: cancel}
	c, err := connector.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ended:", c.Run(ctx))
	// Output:
	// history of default is read: 100 events
	// ended: <nil>
}

// What needs a decision ends Run with an error that says which.
func ExampleConnector_Run_errors() {
	cfg, end := exampleConfig()
	defer end()
	cfg.Kafka.CreateTopics = false // and they do not exist
	c, err := connector.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	switch err := c.Run(context.Background()); {
	case errors.Is(err, connector.ErrFenced):
		fmt.Println("another instance writes for the organization")
	case errors.Is(err, connector.ErrRefused):
		fmt.Println("a decision is needed")
	}
	// Output:
	// a decision is needed
}

// untilHistoryIsRead is a telemetry that waits for one thing, and embeds the rest.
type untilHistoryIsRead struct {
	connector.NoTelemetry
	stop context.CancelFunc
}

// Progressed is told how far history is. It is called once with Done.
func (u untilHistoryIsRead) Progressed(organization string, p connector.Progress) {
	if p.Read == connector.ReadHistory && p.Done {
		fmt.Printf("history of %s is read: %d events\n", organization, p.Events)
		u.stop()
	}
}

// A telemetry implements what it is about, and embeds NoTelemetry for the rest.
func ExampleTelemetry() {
	var t connector.Telemetry = untilHistoryIsRead{stop: func() { fmt.Println("stopping") }}
	t.Ready("default", "")
	t.Progressed("default", connector.Progress{Read: connector.ReadHistory, Events: 3, Done: true})
	// Output:
	// history of default is read: 3 events
	// stopping
}

// exampleConfig returns a config for a simulated API with a hundred events, and for a
// broker in this process. end stops both.
func exampleConfig() (cfg connector.Config, end func()) {
	api := simulator.New(simulator.Config{})
	for n := range 100 {
		at := time.Now().Add(-time.Duration(n+48) * time.Hour)
		api.Add(simulator.Event{ID: fmt.Sprintf("audit_log-%d", n), EffectiveAt: auditlog.SecondOf(at)})
	}
	server := httptest.NewServer(api)
	cluster, err := kafkatest.StartInProcess()
	if err != nil {
		log.Fatal(err)
	}
	org := connector.DefaultOrganization()
	org.AdminKey, org.BaseURL = connector.SecretValue(simulator.Key), server.URL+"/v1"
	cfg = connector.DefaultConfig()
	cfg.Organizations = []connector.Organization{org}
	cfg.Kafka.Brokers = cluster.Brokers()
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg, func() {
		server.Close()
		cluster.Close()
	}
}
