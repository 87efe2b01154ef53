package main

import (
	"crypto/fips140"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker; see the Makefile. A build without it knows what Go knows.
var version, commit string

type build struct{ version, commit string }

// thisBuild returns what is known of this binary, with a word for what is not.
func thisBuild() build {
	b := build{version, commit}
	info, ok := debug.ReadBuildInfo()
	if ok && b.version == "" {
		b.version = info.Main.Version
	}
	for i := 0; ok && b.commit == "" && i < len(info.Settings); i++ {
		if s := info.Settings[i]; s.Key == "vcs.revision" {
			b.commit = s.Value
		}
	}
	if b.version == "" || b.version == "(devel)" {
		b.version = "dev"
	}
	if b.commit == "" {
		b.commit = "unknown"
	}
	return b
}

func versionLine() string {
	b := thisBuild()
	mode := ""
	if fips140.Enabled() {
		mode = ", FIPS 140-3 mode with module " + fips140.Version()
	}
	return fmt.Sprintf("openai-audit-kafka %s (commit %s, %s%s)\n", b.version, b.commit, runtime.Version(), mode)
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit and Go version",
		Long:    "Prints the version, the commit it was built from, and the version of Go; in the FIPS variant also its module.",
		Example: "  openai-audit-kafka version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.stdout, versionLine())
			return err
		},
	}
}
