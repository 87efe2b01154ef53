// Command demo shows the connector at work with nothing installed but Go. Run it
// with --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit codes. They mean what those of the product mean.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		cancel() // stop here, and show the proof
		for first := time.Now(); ; {
			// GNU timeout sends one signal to the process and one to its group.
			if <-signals; time.Since(first) > time.Second {
				os.Exit(exitFailed) // leave now
			}
		}
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without the process around it. Nothing in it looks at the
// environment: a shell with production settings must not be written to.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitDone
	case errors.Is(err, errNotEqual):
		return exitFailed // it was shown
	default:
		fmt.Fprintf(stderr, "demo: %v\n", err)
		if a.started {
			return exitFailed
		}
		fmt.Fprintln(stderr, `Run "demo --help" for usage.`)
		return exitUsage
	}
}
