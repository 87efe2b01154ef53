package main

import (
	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

func newSchemaRegisterCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "register",
		Short: "Register the schema",
		Long: `Registers the newest version of the schema under <topic>-value in the schema
registry, for a connector that may not do it itself. A new subject gets the
compatibility FULL_TRANSITIVE first. What is registered already stays as it is.

Exit codes: 0 it is registered, 1 failed, 2 wrong usage, 78 wrong settings.`,
		Example: `  SCHEMA_REGISTRY_URL=https://registry openai-audit-kafka schema register`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.registryConfig()
			if err != nil {
				return err
			}
			return outcome(cmd.Context(), ops.RegisterSchema(cmd.Context(), cfg, a.stdout))
		},
	}
}

func newSchemaCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the schema against the registry's subject",
		Long: `Compares the newest version of the schema with every version under <topic>-value in
the schema registry, by the rules of Avro. It writes nothing.

Exit codes: 0 the connector can write with it, 1 failed, 2 wrong usage, 4 it does not
fit, or is not registered and may not be, 78 wrong settings.`,
		Example: `  SCHEMA_REGISTRY_URL=https://registry openai-audit-kafka schema check`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.registryConfig()
			if err != nil {
				return err
			}
			ok, err := ops.CheckSchema(cmd.Context(), cfg, a.painted())
			if err == nil && !ok {
				return reportedError{errFound}
			}
			return outcome(cmd.Context(), err)
		},
	}
}

func (a *app) registryConfig() (ops.Config, error) {
	settings, log, err := a.settings(config.Options{WithoutKey: true})
	if err != nil {
		return ops.Config{}, err
	}
	if settings.Connector.Registry.URL == "" {
		return ops.Config{}, config.Faults{{Variable: "SCHEMA_REGISTRY_URL", Problem: "not set", Remedy: "set it: without it there is no registry to ask"}}
	}
	return operate(settings, settings.Connector.Organizations[0], log), nil
}
