package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// stopLimit is how long the connector may take to leave. It needs less; this is
// for the day on which it hangs, when a supervisor should not have to kill it.
const stopLimit = 8 * time.Second

var errHung = errors.New("it did not stop within 8 s and was left; the next start resolves what was open")

func newRunCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the connector until it is stopped",
		Long: `Runs the connector until it is stopped. This is also what the program does
without a command.

If something fails that may pass or that you can fix while it runs, such as a broker
that is away or a key that is refused, it stays alive and is not ready, with the
reason in the log, on the status page and at /readyz. If something needs a decision,
it ends with 1 and says what to do.

SIGINT or SIGTERM: finish or abort the open transaction and leave within 8 s.
A second one, a second later or more: leave now.

Exit codes: 0 stopped, 1 failed, 2 wrong usage, 3 fenced by another instance, 78
wrong settings. A supervisor should start it again after each but 78: Go ends a
crash with 2.`,
		Example: `  openai-audit-kafka run
  BACKFILL_START_TIME=90d openai-audit-kafka run
  LOG_LEVEL=debug LOG_FORMAT=text openai-audit-kafka run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := config.LoadWhenThere(cmd.Context(), a.environ, config.Options{}, func(s *config.Settings, missing config.Faults) {
				telemetry.NewLogger(s.Log.Level, s.Log.Format, a.stderr, isTerminal(a.stderr)).Info("waiting for secrets, as SECRETS_WAIT says", "missing", missing.Error())
			})
			if cmd.Context().Err() != nil {
				return nil // stopped while it waited: nothing was begun
			}
			if err != nil {
				return err
			}
			out, showProgress, endProgress := a.stderr, func(string, connector.Progress) {}, func() {}
			if isTerminal(a.stderr) && settings.Log.Format != "json" {
				line := newProgressLine(a.stderr)
				out, showProgress, endProgress = line, line.show, line.end
			}
			log := telemetry.NewLogger(settings.Log.Level, settings.Log.Format, out, isTerminal(a.stderr))
			err = serve(cmd.Context(), settings, log, a.environ, showProgress)
			endProgress()
			if err != nil {
				log.Error("stopped", "error", err, "exit_code", a.exitCode(err))
				return reportedError{err}
			}
			log.Info("stopped")
			return nil
		},
	}
}

// serve runs the connector, and the status page beside it.
func serve(ctx context.Context, settings *config.Settings, log *slog.Logger, environ []string, showProgress func(string, connector.Progress)) error {
	build := thisBuild()
	cfg := settings.Connector
	tel := telemetry.New(telemetry.Config{
		Version: build.version, Commit: build.commit,
		Organizations: names(cfg.Organizations), DeadLetterReasons: reasons(),
		PollInterval: cfg.PollInterval, RequestsPerMinute: cfg.APIRequestsPerMinute, ShowEvents: settings.HTTP.ShowEvents, OnProgress: showProgress,
	})
	cfg.Logger, cfg.Telemetry, cfg.Registerer = log, keepMemory(tel, cfg, environ), tel.Registerer()
	for _, warning := range settings.Warnings {
		log.Warn("settings", "warning", warning)
	}
	c, err := connector.New(cfg)
	if err != nil {
		return err
	}
	var page *telemetry.Server
	if settings.HTTP.Addr != "" {
		if page, err = telemetry.Listen(ctx, settings.HTTP.Addr, tel.Handler()); err != nil {
			return err
		}
		log.Info("serving the status page", "addr", page.Addr(), "url", page.URL())
	}
	log.Info("starting", "version", build.version, "organizations", names(cfg.Organizations),
		"brokers", cfg.Kafka.Brokers, "topic", cfg.Kafka.Topic)
	stopPage := servePage(ctx, page, log)
	defer stopPage() // last, so that the last moments can be seen
	return runUntilStopped(ctx, c.Run)
}

// servePage serves in the background until the function it returns is called,
// which waits. A page that fails does not stop the events.
func servePage(ctx context.Context, page *telemetry.Server, log *slog.Logger) (stop func()) {
	if page == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { // until stop, which waits for it
		if err := page.Serve(ctx); err != nil {
			log.Error("the status page failed", "error", err)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// runUntilStopped waits for work, and once ctx has ended no longer than stopLimit.
func runUntilStopped(ctx context.Context, work func(context.Context) error) error {
	result := make(chan error, 1)
	go func() { result <- work(ctx) }() // ends with ctx; if it hangs, with the process
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err
	case <-time.After(stopLimit):
		return errHung
	}
}

func names(organizations []connector.Organization) (names []string) {
	for _, o := range organizations {
		names = append(names, o.Name)
	}
	return names
}

func reasons() (names []string) {
	for _, r := range codec.Reasons() {
		names = append(names, string(r))
	}
	return names
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
