package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

func newTailCommand(a *app) *cobra.Command {
	opts := ops.TailOptions{}
	names := formatNames()
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print the newest events of the topic",
		Long: `Prints the newest events of the topic as lines of JSON: what read_committed
consumers see, of all partitions and organizations, decoded, oldest first. With
--follow it goes on with what comes, until it is stopped. It needs no admin key.

` + formatsHelp() + `
Exit codes: 0 done or stopped, 1 failed, or a record could not be decoded,
2 wrong usage, 78 wrong settings.`,
		Example: `  openai-audit-kafka tail
  openai-audit-kafka tail -n 100 --format raw | jq -r .type
  openai-audit-kafka tail -n 0 --follow`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(ops.Formats(), opts.Format) {
				return a.usage("--format %q: it is one of %v", opts.Format, ops.Formats())
			}
			if opts.Lines < 0 {
				return a.usage("-n %d: a number of events is not negative", opts.Lines)
			}
			settings, log, err := a.settings(config.Options{WithoutKey: true})
			if err != nil {
				return err
			}
			cfg := operate(settings, settings.Connector.Organizations[0], log)
			err = ops.Tail(cmd.Context(), cfg, opts, a.stdout)
			if cmd.Context().Err() != nil {
				return nil
			}
			return outcome(cmd.Context(), err)
		},
	}
	cmd.Flags().IntVarP(&opts.Lines, "lines", "n", 10, "how many of the newest events")
	cmd.Flags().BoolVarP(&opts.Follow, "follow", "f", false, "go on with what comes")
	cmd.Flags().StringVar((*string)(&opts.Format), "format", string(ops.FormatJSON), "how to print: "+strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func formatNames() (names []string) {
	for _, format := range ops.Formats() {
		names = append(names, string(format))
	}
	return names
}

// formatsHelp says what each format is.
func formatsHelp() string {
	meanings := map[ops.Format]string{
		ops.FormatJSON: "every column of the record, times as RFC 3339",
		ops.FormatRaw:  "the event as the API sent it",
	}
	var b strings.Builder
	for _, format := range ops.Formats() {
		meaning := meanings[format]
		if c, ok := codec.CopyNamed(string(format)); ok && meaning == "" {
			meaning = "the event " + c.Form
		}
		fmt.Fprintf(&b, "  %-6s %s\n", format, meaning)
	}
	return b.String()
}
