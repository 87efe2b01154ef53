package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// The connector runs as a process of its own, this program again, so that it can
// be killed as kill -9 does: none of it gets to say goodbye.

// The demo's topics.
const (
	eventsTopic  = "demo.openai.audit.events"
	offsetsTopic = "demo.openai.audit.offsets"
	dlqTopic     = "demo.openai.audit.events.dlq"
)

// settings are what the process is given, as JSON on its standard input. When
// that ends it stops in order, so it never outlives the demo.
type settings struct {
	Brokers      []string
	BaseURL      string
	Key          string // or
	KeyFile      string
	Organization string
	Since        time.Time
	Poll         time.Duration
	Verbose      bool
	Page         string // where the status page is served; empty: nowhere
	ShowEvents   bool   // on it; they are made up
}

func (s settings) config(stderr io.Writer) connector.Config {
	org := connector.DefaultOrganization()
	org.Name, org.BaseURL, org.AdminKey = s.Organization, s.BaseURL, connector.SecretValue(s.Key)
	if s.KeyFile != "" {
		org.AdminKey = connector.SecretFile(s.KeyFile)
	}
	org.BackfillStart = &connector.BackfillStart{At: s.Since}

	cfg := connector.DefaultConfig()
	cfg.Organizations = []connector.Organization{org}
	cfg.PollInterval = s.Poll
	cfg.Kafka.Brokers = s.Brokers
	cfg.Kafka.ClientID = "openai-audit-kafka-demo"
	cfg.Kafka.Topic, cfg.Kafka.OffsetsTopic, cfg.Kafka.DLQTopic = eventsTopic, offsetsTopic, dlqTopic
	level := slog.LevelWarn
	if s.Verbose {
		level = slog.LevelInfo
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	return cfg
}

// newConnectorCommand is what the demo starts.
func newConnectorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "connector",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			// Ctrl-C reaches every process of the terminal. This one stops when it
			// is told to.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			in := bufio.NewReader(a.stdin)
			line, err := in.ReadBytes('\n')
			if err != nil {
				return fmt.Errorf("reading the settings: %w", err)
			}
			var s settings
			if err := json.Unmarshal(line, &s); err != nil {
				return fmt.Errorf("reading the settings: %w", err)
			}
			cfg := s.config(a.stderr)
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			defer servePage(ctx, s, &cfg)()
			c, err := connector.New(cfg)
			if err != nil {
				return err
			}
			go func() { // ends with the input, or with the process
				_, _ = io.Copy(io.Discard, in)
				cancel()
			}()
			return c.Run(ctx)
		},
	}
}

// servePage serves the status page until the function that it returns is called. A
// demo whose address was taken meanwhile goes on without.
func servePage(ctx context.Context, s settings, cfg *connector.Config) (stop func()) {
	var reasons []string
	for _, r := range codec.Reasons() {
		reasons = append(reasons, string(r))
	}
	tel := telemetry.New(telemetry.Config{
		Version: "demo", Organizations: []string{s.Organization}, DeadLetterReasons: reasons, PollInterval: s.Poll, ShowEvents: s.ShowEvents,
	})
	cfg.Telemetry, cfg.Registerer = tel, tel.Registerer()
	if s.Page == "" {
		return func() {}
	}
	page, err := telemetry.Listen(ctx, s.Page, tel.Handler())
	if err != nil {
		cfg.Logger.Warn("there is no status page", "error", err)
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	serving.Go(func() { // until it is stopped
		if err := page.Serve(ctx); err != nil {
			cfg.Logger.Warn("the status page failed", "error", err)
		}
	})
	return func() {
		cancel()
		serving.Wait()
	}
}

// process is a connector at work.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	killed bool          // by us
	ended  chan struct{} // closed when it is gone
	err    error         // how; valid once ended
}

// start starts a connector with an empty environment. What it says goes to log.
func start(s settings, log io.Writer) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start the connector: %w", err)
	}
	line, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	// It is ended by stop or kill, and by no context.
	cmd := exec.CommandContext(context.Background(), self, "connector")
	cmd.Env = []string{}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the connector: %w", err)
	}
	p := &process{cmd: cmd, stdin: in, ended: make(chan struct{})}
	go func() { // ends with the process
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if _, err := in.Write(append(line, '\n')); err != nil {
		p.kill()
		return nil, fmt.Errorf("telling the connector its settings: %w", err)
	}
	return p, nil
}

// kill is kill -9.
func (p *process) kill() {
	p.killed = true
	_ = p.cmd.Process.Kill() // an error means that it is gone
	<-p.ended
}

// stop lets it finish what is open, and leave.
func (p *process) stop() error {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(10 * time.Second):
		p.kill()
		return errors.New("the connector did not stop within 10 s")
	}
}
