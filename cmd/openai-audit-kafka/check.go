package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

func newCheckCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try everything that run needs, and write nothing",
		Long: `Tries everything that run needs: the key and what it may read, audit logging, the
API's clock and order, the brokers, each ACL, the topics and their settings, the
schema registry, and the cursor. It prints one line for each, with cause and remedy,
then the guarantee that holds, and how many were ok. It writes nothing and fences no
instance, so you can run it beside a running connector.

With --consumers it also says which of the programs that read your topic cannot read
what is written, by codec or framing: ` + strings.Join(ops.Consumers(), ", ") + `.

ok: as it should be. warning: it works, at a price. failed: run would not work.

Exit codes: 0 nothing failed, 2 wrong usage, 4 something failed, 78 wrong settings.`,
		Example: `  openai-audit-kafka check
  openai-audit-kafka check --consumers kafkajs,clickhouse
  openai-audit-kafka check --output json | jq '.checks[] | select(.state != "ok")'`,
		Args: cobra.NoArgs,
	}
	name, output := organizationFlag(cmd), outputFlag(cmd)
	readers := cmd.Flags().StringSlice("consumers", nil, "the programs that read the topic, as above")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if unknown := ops.UnknownConsumer(*readers); unknown != "" {
			return a.usage("--consumers does not know %q: it takes %s", unknown, strings.Join(ops.Consumers(), ", "))
		}
		asJSON, err := a.wantsJSON(*output)
		if err != nil {
			return err
		}
		settings, log, err := a.settings(config.Options{WithoutKey: true})
		if err != nil {
			return err
		}
		organizations, err := a.chosen(settings, *name)
		if err != nil {
			return err
		}
		for _, warning := range settings.Warnings {
			fmt.Fprintf(a.stderr, "warning: %s\n", warning)
		}
		tenants, sources := &ops.Tenants{}, ops.Sources()
		return a.inTurn(cmd.Context(), organizations, asJSON, func(org connector.Organization, out io.Writer) (bool, error) {
			run := runSettings(settings.Connector, org)
			run.Tenants, run.Sources, run.Consumers = tenants, sources, *readers
			report := ops.Check(cmd.Context(), operate(settings, org, log), run)
			switch err := context.Cause(cmd.Context()); {
			case err != nil:
				return false, err
			case asJSON:
				return report.OK(), printJSON(out, report)
			}
			return report.OK(), report.Print(a.painted())
		})
	}
	return cmd
}

// runSettings is what the settings say about a start of the connector.
func runSettings(c connector.Config, org connector.Organization) ops.RunSettings {
	s := ops.RunSettings{GroupID: c.Kafka.GroupID, Verifies: c.VerifyEvery > 0, Repairs: c.VerifyEvery > 0 && c.VerifyRepair,
		BackfillSetting: org.BackfillSetting, TenantSetting: org.TenantEventsSetting}
	if b := org.BackfillStart; b != nil {
		s.Backfill = new(auditlog.Second)
		if !b.Earliest {
			*s.Backfill = auditlog.SecondOf(b.At)
		}
	}
	return s
}
