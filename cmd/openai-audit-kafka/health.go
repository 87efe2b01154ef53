package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// healthLimit is below the timeouts that probes usually have.
const healthLimit = 3 * time.Second

func newHealthCommand(a *app) *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the running instance whether it lives, or is ready",
		Long: `Asks the running instance at HTTP_ADDR, for container probes without a shell:
whether it lives, or with --ready whether the last sweep succeeded in time. With
HTTP_ADDR=off no instance can be asked. It then counts as healthy, since this command
runs and a container ends with its program. Whether it is ready is not known.

Exit codes: 0 yes, 1 no, with the reason, 2 wrong usage.`,
		Example: `  openai-audit-kafka health
  openai-audit-kafka health --ready`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Only the address matters here. The instance that has to work with the
			// other settings reports their faults.
			settings, _ := config.Load(a.environ, config.Options{WithoutKey: true})
			if settings.HTTP.Addr == "" {
				return a.unasked(ready)
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthLimit)
			defer cancel()
			ok, text, err := telemetry.Probe(ctx, settings.HTTP.Addr, path)
			if err != nil {
				return fmt.Errorf("asking the instance at HTTP_ADDR=%s: %w", settings.HTTP.Addr, err)
			}
			if !ok {
				return errors.New(strings.TrimSpace(text))
			}
			fmt.Fprint(a.stdout, text)
			return nil
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready, not only whether it lives")
	return cmd
}

// unasked answers where no instance listens. A supervisor must not replace for ever
// what it cannot ask: the process is there, or its container would not be. Whether it is
// ready is not known.
func (a *app) unasked(ready bool) error {
	if ready {
		return errors.New("HTTP_ADDR=off: no instance can be asked whether it is ready; set an address, or look at its log")
	}
	fmt.Fprintln(a.stdout, "HTTP_ADDR=off: no instance was asked; it counts as healthy, since this command runs")
	return nil
}
