package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

func newTransactionsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transactions",
		Short: "List transactions that hang, and end them",
		Long: `Lists transactions that hang in the topics: a partition has them open, and they do
not end by themselves, since Kafka lost their markers (KAFKA-20734 in 4.3.1, an
unclean election, a lost disk). read_committed consumers of such a partition see
nothing behind them. It fences no instance and writes nothing. It needs READ on the
topics.

Exit codes: 0 nothing hangs, 4 something does, 1 failed, 2 wrong usage, 78 wrong
settings.`,
		Example: `  openai-audit-kafka transactions
  openai-audit-kafka transactions --output json | jq .hanging
  openai-audit-kafka transactions end --yes`,
		Args: cobra.NoArgs,
	}
	name, output := organizationFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := a.wantsJSON(*output)
		if err != nil {
			return err
		}
		settings, log, organizations, err := a.toLookAt(*name)
		if err != nil {
			return err
		}
		return a.inTurn(cmd.Context(), organizations, asJSON, func(org connector.Organization, out io.Writer) (bool, error) {
			found, err := ops.ListTransactions(cmd.Context(), operate(settings, org, log))
			switch {
			case err != nil:
				return false, outcome(cmd.Context(), err)
			case asJSON:
				return !found.Found(), printJSON(out, found)
			}
			return !found.Found(), found.Print(out)
		})
	}
	cmd.AddCommand(newTransactionsEndCommand(a))
	return cmd
}

func newTransactionsEndCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "end",
		Short: "End the organization's hanging transactions, as they were decided",
		Long: `Ends the organization's hanging transactions, in all partitions alike: committed where a
partition has the commit marker or something was built on it, aborted where one has
the abort marker, otherwise as the coordinator had it. It needs what the connector needs,
and ClusterAction on the cluster and READ on the topics. A running connector is
fenced first. You can stop it at any moment and run it again.

Exit codes: 0 done, or nothing hung, 1 failed, 2 wrong usage, 3 an instance was
started meanwhile, 78 wrong settings.`,
		Example: `  openai-audit-kafka transactions end --yes
  openai-audit-kafka transactions end --organization acme --yes`,
		Args: cobra.NoArgs,
	}
	name, yes := organizationFlag(cmd), yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !*yes && !canAsk() {
			return a.usage("there is no terminal to ask on: say --yes")
		}
		cfg, _, err := a.cursorConfig(*name)
		if err != nil {
			return err
		}
		found, err := ops.ListTransactions(cmd.Context(), cfg)
		if err != nil {
			return outcome(cmd.Context(), err)
		}
		if err := found.Print(a.stderr); err != nil {
			return err
		}
		writers := found.Writers(cfg)
		if len(writers) == 0 {
			fmt.Fprintf(a.stderr, "No transaction of %s hangs: there is nothing to end.\n", found.Organization)
			return nil
		}
		if !*yes && !confirmed(os.Stdin, a.stderr) {
			return errors.New("nothing was done")
		}
		fmt.Fprintln(a.stderr, "Fencing the writer, if one is running: it ends with 3, and goes on when it is started again.")
		ended, err := ops.EndTransactions(cmd.Context(), cfg, writers)
		for _, e := range ended {
			fmt.Fprintf(a.stdout, "It was %v.\n", e)
		}
		if err != nil {
			return outcome(cmd.Context(), err)
		}
		if len(ended) == 0 {
			fmt.Fprintf(a.stderr, "No transaction of %s hangs any more, and nothing was written.\n", cfg.Organization)
		}
		return nil
	}
	return cmd
}
