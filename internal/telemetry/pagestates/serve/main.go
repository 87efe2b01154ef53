// Command serve serves every state of the status page on a port of its own, for
// make page-check. It prints a JSON object of their addresses. It reads lines: "stop live"
// ends the server of that state, "later live" moves its clock by a minute.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry/pagestates"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run ends with its standard input.
func run(ctx context.Context) error {
	type served struct {
		URL  string `json:"url"`
		Text string `json:"text"`
	}
	all, orders := map[string]served{}, map[string]func(){}
	for _, state := range pagestates.All() {
		ctx, cancel := context.WithCancel(ctx)
		server, err := telemetry.Listen(ctx, "127.0.0.1:0", state.Handler())
		if err != nil {
			cancel()
			return err
		}
		go func() { _ = server.Serve(ctx) }() // ends with ctx, or with the process
		all[state.Name] = served{"http://" + server.Addr() + "/", state.Text}
		orders["stop "+state.Name] = cancel
		orders["later "+state.Name] = func() { state.Clock.Set(state.Clock.Now().Add(time.Minute)) }
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if order, ok := orders[lines.Text()]; ok {
			order()
		}
	}
	return lines.Err()
}
