package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

// The exit codes, which scripts and supervisors rely on.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2  // wrong usage of the command line; Go ends a crash with it too
	exitFenced   = 3  // another instance took over
	exitFound    = 4  // check, verify or schema check found something
	exitSettings = 78 // wrong settings, which no restart fixes: EX_CONFIG of sysexits.h
)

// app is what all commands share.
type app struct {
	environ        []string
	stdout, stderr io.Writer
	started        bool // a command's own work has begun: later errors are not about usage
}

// run is the program without the process around it.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	a := &app{environ: environ, stdout: stdout, stderr: stderr}
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := a.exitCode(err)
	if _, reported := errors.AsType[reportedError](err); !reported {
		fmt.Fprintf(stderr, "openai-audit-kafka: %v\n", err)
	}
	if !a.started {
		fmt.Fprintf(stderr, "Run %q for usage.\n", cmd.CommandPath()+" --help")
	}
	return code
}

// reportedError is an error that the user has seen already.
type reportedError struct{ error }

func (e reportedError) Unwrap() error { return e.error }

// errFound says that a command worked and what it looked for is there.
var errFound = errors.New("something was found")

func (a *app) exitCode(err error) int {
	_, faults := errors.AsType[config.Faults](err)
	switch {
	case faults:
		return exitSettings
	case !a.started:
		return exitUsage
	case errors.Is(err, connector.ErrFenced):
		return exitFenced
	case errors.Is(err, errFound):
		return exitFound
	}
	return exitFailed
}

func newRootCommand(a *app) *cobra.Command {
	root := newRunCommand(a)
	root.Use = "openai-audit-kafka"
	root.Short = "Keep a Kafka topic equal to an organization's OpenAI audit log"
	root.Long = rootHelp
	root.Example = rootExamples
	root.SilenceUsage, root.SilenceErrors = true, true
	root.Args = onlyCommands
	root.Version = thisBuild().version
	root.SetVersionTemplate(versionLine())
	// Arguments and flags are checked before this is called.
	root.PersistentPreRun = func(*cobra.Command, []string) { a.started = true }
	root.AddCommand(newRunCommand(a), newConfigCommand(a), newHealthCommand(a), newSchemaCommand(a), newVersionCommand(a),
		newTailCommand(a), newCursorCommand(a), newVerifyCommand(a), newCheckCommand(a), newTransactionsCommand(a), newSealCommand(a))
	a.complete(root)
	return root
}

const rootHelp = `Keeps a Kafka topic equal to an organization's OpenAI audit log: every event
exactly once for read_committed consumers, with the only state in Kafka.

Without a command it runs the connector. All settings are environment variables;
these come first, "openai-audit-kafka config --help" lists all:

  OPENAI_ADMIN_KEY         admin key with Audit Logs: Read, or OPENAI_ADMIN_KEY_FILE
  KAFKA_BROKERS            bootstrap servers (localhost:9092)
  KAFKA_TOPIC              the events (openai.audit.events)
  BACKFILL_START_TIME      read history from then: 30d, 2026-01-01, earliest
  SCHEMA_REGISTRY_URL      a schema registry, if there is one
  HTTP_ADDR                status page and metrics (127.0.0.1:8080)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 fenced by another instance, 4 check,
verify or schema check found something, 78 wrong settings.`

const rootExamples = `  OPENAI_ADMIN_KEY_FILE=/run/secrets/key KAFKA_BROKERS=kafka:9092 openai-audit-kafka
  openai-audit-kafka config
  openai-audit-kafka health --ready`
