package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// What the commands for operators share.

// usage returns an error about how the command was called.
func (a *app) usage(format string, args ...any) error {
	a.started = false
	return fmt.Errorf(format, args...)
}

// time reads the value of a flag.
func (a *app) time(flag, value string) (time.Time, error) {
	now := time.Now()
	if value == "now" {
		return now, nil
	}
	at, err := config.ParseTime(value, now)
	if err != nil {
		return at, a.usage("--%s %q: %w; %s", flag, value, err, config.TimeRemedy(value))
	}
	return at, nil
}

// outputFlag adds --output and returns what it is set to. It is checked by
// wantsJSON.
func outputFlag(cmd *cobra.Command) *string {
	output := cmd.Flags().StringP("output", "o", "text", "how to print: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return output
}

func (a *app) wantsJSON(output string) (bool, error) {
	switch output {
	case "text", "json":
		return output == "json", nil
	}
	return false, a.usage("--output %q: it is text or json", output)
}

func organizationFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("organization", "", "which one, if the settings name several; commands that write nothing take all in turn")
}

// settings loads the settings for a command that is no part of run. What it says
// goes to stderr, and only what matters there.
func (a *app) settings(opts config.Options) (*config.Settings, *slog.Logger, error) {
	settings, err := config.Load(a.environ, opts)
	if err != nil {
		return nil, nil, err
	}
	level := max(settings.Log.Level, slog.LevelWarn)
	if settings.Log.Level < slog.LevelInfo {
		level = settings.Log.Level // somebody looks for something
	}
	return settings, telemetry.NewLogger(level, settings.Log.Format, a.stderr, isTerminal(a.stderr)), nil
}

// organization returns the one that the command is about.
func (a *app) organization(s *config.Settings, name string) (connector.Organization, error) {
	all := s.Connector.Organizations
	switch at := slices.IndexFunc(all, func(o connector.Organization) bool { return o.Name == name }); {
	case at >= 0:
		return all[at], nil
	case name == "" && len(all) == 1:
		return all[0], nil
	case name == "":
		return connector.Organization{}, a.usage("there are several organizations: say which with --organization (%s)", strings.Join(names(all), ", "))
	}
	return connector.Organization{}, a.usage("--organization %s: not in the settings, which have %s", name, strings.Join(names(all), ", "))
}

// operate turns the settings into what package ops wants.
func operate(s *config.Settings, org connector.Organization, log *slog.Logger) ops.Config {
	c := s.Connector
	return ops.Config{
		Target:       c.Target(org.Name, log),
		API:          ops.API{Account: c.Account(org), Tenant: ops.Tenant(org.TenantEvents)},
		Lookback:     c.Lookback,
		DeepLookback: c.DeepLookback,
	}
}

// outcome turns an error of package ops into the command's own. If the command was told
// to stop, that is the error, together with what is not known because of it.
func outcome(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ops.ErrFenced):
		return fmt.Errorf("%w: %w", connector.ErrFenced, err)
	case ctx.Err() != nil && errors.Is(err, ops.ErrUnconfirmed):
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return cmp.Or(context.Cause(ctx), err)
}
