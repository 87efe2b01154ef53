package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

func newConfigCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force, and where each came from",
		Long: `Prints every setting in force: its name, its value (secrets as ***), and whether
it is a default or came from the environment or a file.

An empty variable counts as unset. Every secret X can be a file named by X_FILE
instead. Lists are comma separated; durations take d for days. A name that is nearly
one of these is refused, others are ignored.

All settings:

` + config.HelpTable() + `
Exit codes: 0 printed, 2 wrong usage, 78 the settings are wrong; all faults are then listed.`,
		Example: `  openai-audit-kafka config
  openai-audit-kafka config | grep KAFKA_`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings, err := config.Load(a.environ, config.Options{WithoutKey: true})
			if printErr := settings.Print(a.stdout); printErr != nil {
				return printErr
			}
			for _, warning := range settings.Warnings {
				fmt.Fprintf(a.stderr, "warning: %s\n", warning)
			}
			return err // what is in force is shown even so
		},
	}
}
