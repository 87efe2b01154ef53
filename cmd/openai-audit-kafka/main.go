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
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		cancel() // finish or abort what is open, and leave
		<-signals
		os.Exit(exitFailed) // leave now
	}()
	os.Exit(run(ctx, os.Args[1:], config.Environ(), os.Stdout, os.Stderr))
}
