package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

func newSchemaCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print, register or check the Avro schema of the events",
		Long: `The Avro schema of the events topic. A version is never changed once it is
released; a new one appends fields with defaults.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "print",
		Short: "Print the newest version of the schema",
		Long: `Prints the newest version of the Avro schema of openai.audit.AuditEvent, as it is
registered. Needs no settings and no network.`,
		Example: `  openai-audit-kafka schema print > audit_event.avsc`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, strings.TrimSpace(schemas.Latest().Text))
			return err
		},
	}, newSchemaRegisterCommand(a), newSchemaCheckCommand(a))
	return cmd
}
