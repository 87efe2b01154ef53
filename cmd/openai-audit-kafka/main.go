// Command openai-audit-kafka keeps a Kafka topic equal to an organization's OpenAI
// audit log. Run it with --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, cancel, os.Exit) // ends with the process
	os.Exit(run(ctx, os.Args[1:], config.Environ(), os.Stdout, os.Stderr))
}

// sameSignal is how long after the first signal another one is the same: GNU timeout
// sends one to the process and one to its group.
const sameSignal = time.Second

// obey ends the context at the first signal: what is open is finished or aborted. At a
// second one the process leaves now.
func obey(signals <-chan os.Signal, cancel context.CancelCauseFunc, exit func(int)) {
	cancel(stopped{<-signals})
	for first := time.Now(); ; {
		if <-signals; time.Since(first) > sameSignal {
			exit(exitFailed)
			return
		}
	}
}

// stopped is why a command ended before its time, in the words of its reader.
type stopped struct{ by os.Signal }

func (s stopped) Error() string { return "stopped by a signal (" + s.by.String() + ")" }

// Unwrap says that it is what a context ends with.
func (stopped) Unwrap() error { return context.Canceled }
