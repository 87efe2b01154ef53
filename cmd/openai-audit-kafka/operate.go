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
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
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
	return cmd.Flags().String("organization", "", "which one, where the settings name several; what only looks takes all in turn")
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
	k := c.Kafka
	headers := make([]kafka.Header, len(k.Headers))
	for i, h := range k.Headers {
		headers[i] = kafka.Header{Key: h.Name, Value: []byte(h.Value)}
	}
	cfg := ops.Config{
		Organization:    org.Name,
		Connection:      connection(k, log),
		Topics:          k.Topics(),
		TransactionalID: k.TransactionalID,
		Compression:     k.Compression,
		Headers:         headers,
		EventTime:       k.Timestamp == connector.TimestampEvent,
		API: ops.API{
			BaseURL:           org.BaseURL,
			KeySetting:        org.KeySetting,
			BaseURLSetting:    org.BaseURLSetting,
			Concurrency:       c.APIConcurrency,
			RequestsPerMinute: c.APIRequestsPerMinute,
			Tenant:            ops.Tenant(org.TenantEvents),
		},
		Lookback:     c.Lookback,
		DeepLookback: c.DeepLookback,
		Registry:     registry(c),
		Logger:       log,
	}
	if org.AdminKey.IsSet() {
		cfg.API.Key = org.AdminKey.Read
	}
	return cfg
}

func connection(k connector.Kafka, log *slog.Logger) kafka.Connection {
	return kafka.Connection{
		Brokers:  k.Brokers,
		ClientID: k.ClientID,
		TLS:      kafka.TLS(k.TLS),
		SASL: kafka.SASL{
			Mechanism:  k.SASL.Mechanism,
			Username:   k.SASL.Username,
			Password:   k.SASL.Password.Read,
			Token:      k.SASL.Token.Read,
			Extensions: k.SASL.Extensions,
			OAuth: &kafka.OAuth{
				TokenURL: k.SASL.OAuth.TokenURL, ClientID: k.SASL.OAuth.ClientID, Scope: k.SASL.OAuth.Scope, Audience: k.SASL.OAuth.Audience,
				ClientSecret: k.SASL.OAuth.ClientSecret.Read, Assertion: k.SASL.OAuth.Assertion.Read,
			},
			Kerberos: kafka.Kerberos(k.SASL.Kerberos),
			AWS: &kafka.AWS{
				AccessKeyID:     k.SASL.AWS.AccessKeyID.Read,
				SecretAccessKey: k.SASL.AWS.SecretAccessKey.Read,
				SessionToken:    k.SASL.AWS.SessionToken.Read,
				RoleARN:         k.SASL.AWS.RoleARN,
				Region:          k.SASL.AWS.Region,
			},
		},
		Logger: log,
	}
}

func registry(c connector.Config) codec.RegistryConfig {
	r := c.Registry
	return codec.RegistryConfig{
		URL: r.URL, Username: r.Username, Password: r.Password.Read, CAFile: r.CAFile,
		AutoRegister: r.AutoRegister, Subject: schemas.Subject(c.Kafka.Topic),
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
