// Command openai-audit-kafka keeps a Kafka topic equal to an organization's OpenAI
// audit log. Run it with --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		cancel(stopped{<-signals}) // finish or abort what is open, and leave
		<-signals
		os.Exit(exitFailed) // leave now
	}()
	os.Exit(run(ctx, os.Args[1:], config.Environ(), os.Stdout, os.Stderr))
}

// stopped is why a command ended before its time, in the words of who reads it.
type stopped struct{ by os.Signal }

func (s stopped) Error() string { return "stopped by a signal (" + s.by.String() + ")" }

// Unwrap says that it is what a context ends with.
func (stopped) Unwrap() error { return context.Canceled }
