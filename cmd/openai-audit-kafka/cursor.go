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
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

func newCursorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cursor",
		Short: "Show or move the cursor, accept moved topics, or start over",
		Long: `The cursor says exactly which part of an organization's log is in the topic. It is in the
offsets topic, and nowhere else.

"show" only looks. The others write: they fence a running connector first, which
then ends with 3 and goes on from the new cursor when it is started again.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCursorShowCommand(a), newCursorSetCommand(a), newCursorResetCommand(a))
	return cmd
}

func newCursorShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show how far an organization is",
		Long: `Shows the cursor as it is committed: how far each scope was read, what history is
left and how long it will take, how many written ids are remembered, and who opened
it last. It fences no instance and needs no admin key.

Exit codes: 0 shown, 1 failed, or there is none, 2 wrong usage, 78 wrong settings.`,
		Example: `  openai-audit-kafka cursor show
  openai-audit-kafka cursor show --output json | jq .floor`,
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
			report, err := ops.Cursor(cmd.Context(), operate(settings, org, log))
			switch {
			case err != nil:
				return false, outcome(cmd.Context(), err)
			case asJSON:
				return true, printJSON(out, report)
			}
			return true, report.Print(out)
		})
	}
	return cmd
}

// toLookAt returns the organizations of a command that only looks at the topics: the one
// of that name, which may not be in the settings any more, or all.
func (a *app) toLookAt(name string) (*config.Settings, *slog.Logger, []connector.Organization, error) {
	settings, log, err := a.settings(config.Options{WithoutKey: true})
	if err != nil {
		return nil, nil, nil, err
	}
	if name != "" {
		return settings, log, []connector.Organization{{Name: name}}, nil
	}
	return settings, log, settings.Connector.Organizations, nil
}

func newCursorSetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Skip to a time, or accept topics that were moved",
		Long: `--live-from T goes on from T without reading what is before it and is not
written yet: positions and floor move forward to T, and history and remembered ids
below it are dropped. The start stays, so "verify" shows what was skipped, and
"verify --repair" fills it. A time before the floor, or after now, is refused.

--accept-topics takes the topics as they are for those written to so far, after they
were moved to another cluster or renamed with what they held.

It says what it does and asks; without a terminal, --yes answers. A running connector
is fenced first.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 an instance was started
meanwhile, 78 wrong settings.`,
		Example: `  openai-audit-kafka cursor set --live-from 1h
  openai-audit-kafka cursor set --accept-topics --yes`,
		Args: cobra.NoArgs,
	}
	name, yes := organizationFlag(cmd), yesFlag(cmd)
	liveFrom := cmd.Flags().String("live-from", "", "go on from this time")
	accept := cmd.Flags().Bool("accept-topics", false, "take the topics as they are now")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (*liveFrom == "") != *accept {
			return a.usage("give --live-from T or --accept-topics, one of them")
		}
		return a.edit(cmd.Context(), *name, *yes, func(ctx context.Context, cfg ops.Config) (*ops.Edit, error) {
			if *accept {
				return ops.AcceptTopics(ctx, cfg)
			}
			to, err := a.time("live-from", *liveFrom)
			if err != nil {
				return nil, err
			}
			return ops.SkipTo(ctx, cfg, auditlog.SecondOf(to))
		})
	}
	return cmd
}

func newCursorResetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Forget the cursor, so that the next run starts over",
		Long: `Removes what is known of an organization and leaves a cursor that says "start
over". The next run is a first run: it emits again all that BACKFILL_START_TIME asks
for, also what is in the topic already. It works on a cursor that cannot be read,
and where the offsets topic was lost.

It says what it does and asks; without a terminal, --yes answers. A running connector
is fenced first.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 an instance was started meanwhile, 78
wrong settings.`,
		Example: `  openai-audit-kafka cursor reset
  openai-audit-kafka cursor reset --organization acme --yes`,
		Args: cobra.NoArgs,
	}
	name, yes := organizationFlag(cmd), yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.edit(cmd.Context(), *name, *yes, ops.Reset)
	}
	return cmd
}

func yesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().BoolP("yes", "y", false, "do not ask")
}

// cursorConfig is for commands that never need the API. An organization that was
// renamed is not in the settings any more, and its cursor may still be: listed is
// false then.
func (a *app) cursorConfig(name string) (cfg ops.Config, listed bool, err error) {
	settings, log, err := a.settings(config.Options{WithoutKey: true})
	if err != nil {
		return cfg, false, err
	}
	org := connector.Organization{Name: name}
	listed = name == "" || slices.Contains(names(settings.Connector.Organizations), name)
	if listed {
		org, err = a.organization(settings, name)
	}
	return operate(settings, org, log), listed, err
}

// edit looks, says what would be done, asks, and does it.
func (a *app) edit(ctx context.Context, name string, yes bool, plan func(context.Context, ops.Config) (*ops.Edit, error)) error {
	if !yes && !canAsk() {
		return a.usage("there is no terminal to ask on: say --yes")
	}
	cfg, listed, err := a.cursorConfig(name)
	if err != nil {
		return err
	}
	edit, err := plan(ctx, cfg)
	if err != nil {
		return outcome(ctx, err)
	}
	if edit.Unknown && !listed {
		return fmt.Errorf("--organization %s: it is not in the settings, and %s holds no state of it", name, cfg.Topics.Offsets)
	}
	for _, sentence := range edit.Does {
		fmt.Fprintln(a.stderr, sentence)
	}
	if !yes && !confirmed(os.Stdin, a.stderr) {
		return errors.New("nothing was done")
	}
	fmt.Fprintln(a.stderr, "Fencing the connector, if one is running: it ends with 3, and goes on from the new cursor when it is started again.")
	if err := edit.Apply(ctx); err != nil {
		return outcome(ctx, err)
	}
	fmt.Fprintln(a.stderr, "Done.")
	return nil
}

// canAsk reports whether somebody may answer. The null device looks like a terminal,
// and is what services get.
func canAsk() bool {
	in, err := os.Stdin.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && isTerminal(os.Stdin) && (nullErr != nil || !os.SameFile(in, null))
}

func confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "Go on? Type yes: ")
	answer, _ := bufio.NewReader(in).ReadString('\n') // no answer is no
	return strings.TrimSpace(answer) == "yes"
}

// printJSON writes a value as one document, for programs and for eyes.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
