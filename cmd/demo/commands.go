package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// app is what all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	started        bool // the work has begun: later errors are not about usage
}

// options are the flags of the demo.
type options struct {
	duration time.Duration // of the live part
	rate     float64       // live events a second
	history  int           // events before the start
	seed     uint64
	brokers  []string // empty: in process
	realAPI  bool
	keyFile  string
	since    time.Duration // how much history of the real API
	verbose  bool
	settle   time.Duration // how long to wait at the end for what is missing
	realURL  string        // instead of the real API; for tests
}

func (o options) validate() error {
	switch {
	case o.duration <= 0:
		return errors.New("--duration must be above zero")
	case o.rate <= 0 || o.rate > 1000:
		return errors.New("--rate must be above 0 and at most 1000 events a second")
	case o.history < 0 || o.history > 1_000_000:
		return errors.New("--history must be from 0 to 1000000")
	case o.realAPI && o.keyFile == "":
		return errors.New("--real-api needs --admin-key-file with a file that holds an admin key")
	case !o.realAPI && o.keyFile != "":
		return errors.New("--admin-key-file is for --real-api: the simulated API has a key of its own")
	case o.since <= 0:
		return errors.New("--since must be above zero")
	}
	return nil
}

// settleTime is how long the demo waits at its end for what is missing. A poll does not reach an
// event that shows up late below a page of others that are known; the next walk of LOOKBACK does,
// 45 seconds after the one before.
const settleTime = 90 * time.Second

func newRootCommand(a *app) *cobra.Command {
	o := options{settle: settleTime}
	root := &cobra.Command{
		Use:   "demo",
		Short: "Show audit events flowing into Kafka, with nothing installed",
		Long: `Starts a Kafka broker inside this process, a simulated OpenAI API, and the real
connector between them, as a process of its own. Shows history being read, live
events as they are committed, an event that shows up late, one of the tenant
scope, and a kill -9 of the connector in the middle of a burst.

It ends by itself, or on Ctrl-C, with the proof: a new read_committed consumer
reads the topic and compares it with what the API holds, event by event and byte
by byte.

The environment is ignored, so a shell with production settings is safe. What is
real has to be asked for: --brokers writes to your Kafka, --real-api reads your
audit log. The topics are demo.openai.audit.* in every case.

Exit codes: 0 the topic equals the API, 1 it does not, or something failed, 2
wrong usage.`,
		Example: `  demo
  demo --duration 1m --rate 20 --history 50000
  demo --brokers 127.0.0.1:9092
  demo --real-api --admin-key-file key.txt --since 24h
  demo api --addr 127.0.0.1:8081`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			a.started = true
			return newStory(o, a.stdout).tell(cmd.Context())
		},
	}
	f := root.Flags()
	f.DurationVar(&o.duration, "duration", 15*time.Second, "how long live events are shown")
	f.Float64Var(&o.rate, "rate", 3, "live events a second of the simulated API")
	f.IntVar(&o.history, "history", 4000, "events the simulated API holds at the start, over 30 days")
	f.Uint64Var(&o.seed, "seed", 1, "the simulated events; the same for the same seed")
	f.StringSliceVar(&o.brokers, "brokers", nil, "write to this Kafka, host:port, without TLS and SASL, instead of the one inside")
	f.BoolVar(&o.realAPI, "real-api", false, "read api.openai.com instead of the simulated API")
	f.StringVar(&o.keyFile, "admin-key-file", "", "file with an admin key, for --real-api")
	f.DurationVar(&o.since, "since", 24*time.Hour, "how much history to read with --real-api")
	f.BoolVar(&o.verbose, "verbose", false, "show the connector's log")
	root.AddCommand(newAPICommand(a), newConnectorCommand(a))
	return root
}

func newAPICommand(a *app) *cobra.Command {
	var (
		addr    string
		rate    float64
		history int
		seed    uint64
	)
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Serve the simulated OpenAI API alone, until Ctrl-C",
		Long: `Serves the simulated audit log API, with history and with live events, so that
the connector, or anything else that reads this API, can be tried without an
OpenAI account. It accepts one key, which it prints.`,
		Example: `  demo api --addr 127.0.0.1:8081
  demo api --addr 127.0.0.1:8081 --rate 50 --history 100000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := options{duration: 1, since: 1, rate: rate, history: history}
			if err := o.validate(); err != nil {
				return err
			}
			a.started = true
			api := simulated(seed, history)
			server, err := serve(cmd.Context(), addr, api)
			if err != nil {
				return err
			}
			defer server.stop()
			fmt.Fprint(a.stdout, apiGreeting(server.baseURL, history, rate))
			api.Feed(cmd.Context(), rate) // until Ctrl-C
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&addr, "addr", "127.0.0.1:8081", "where to listen")
	f.Float64Var(&rate, "rate", 3, "live events a second")
	f.IntVar(&history, "history", 4000, "events at the start, over 30 days")
	f.Uint64Var(&seed, "seed", 1, "the events; the same for the same seed")
	cmd.AddCommand(newAPIHealthCommand(a))
	return cmd
}

func newAPIHealthCommand(a *app) *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the simulated API whether it lists events",
		Long: `Asks a simulated API that runs at the address for one event, for container
probes without a shell.

Exit codes: 0 it lists events, 1 it does not, with the reason, 2 wrong usage.`,
		Example: `  demo api health --addr 127.0.0.1:8081`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			return probe(cmd.Context(), addr)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8081", "where it listens")
	return cmd
}
