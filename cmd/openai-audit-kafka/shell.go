package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// What makes the commands pleasant in a shell: completion, what was meant, colours.

// complete makes values complete: those of --organization by the settings, those of
// --consumers by what check knows, and no files where none is taken.
func (a *app) complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.complete(sub)
	}
	if cmd.ValidArgsFunction == nil && cmd.Args != nil && cmd.Args(cmd, []string{"file"}) != nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "organization":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, a.organizations)
		case "consumers":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(ops.Consumers(), cobra.ShellCompDirectiveNoFileComp))
		case "from", "to", "live-from", "lines", "name", "prove":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
}

// organizations are the names in the settings, as far as those can be read.
func (a *app) organizations(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	settings, _ := config.Load(a.environ, config.Options{WithoutKey: true})
	return names(settings.Connector.Organizations), cobra.ShellCompDirectiveNoFileComp
}

// onlyCommands is for a command that has others and takes no arguments: it says which
// one was meant.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		for i, name := range meant {
			meant[i] = "`" + name + "`"
		}
		text += "; did you mean " + strings.Join(meant, " or ") + "?"
	}
	return errors.New(text)
}

// painted returns where findings are printed: with colours on a terminal, unless
// NO_COLOR says otherwise.
func (a *app) painted() io.Writer {
	refused := slices.ContainsFunc(a.environ, func(v string) bool {
		return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" || v == "TERM=dumb"
	})
	if refused || !isTerminal(a.stdout) {
		return a.stdout
	}
	return painter{a.stdout}
}

// painter colours the state with which a line of findings begins.
type painter struct{ out io.Writer }

var colours = map[ops.CheckState]string{ops.OK: "\x1b[32m", ops.Warning: "\x1b[33m", ops.Failed: "\x1b[31m"}

func (p painter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		state, _, _ := bytes.Cut(line, []byte(" "))
		if colour := colours[ops.CheckState(state)]; colour != "" {
			line = slices.Concat([]byte(colour), state, []byte("\x1b[0m"), line[len(state):])
		}
		if _, err := p.out.Write(line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
