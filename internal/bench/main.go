// Command bench measures how fast the connector is and what it costs: the released
// binary on real Kafka, beside a simulated API and the programs that people use
// instead. "make bench" runs it, in this folder.
//
// The API is served by this process, the broker is started by it, and both share
// the machine with what is measured. Progress goes to standard error, tables to
// standard output and to docs/benchmarks.md. A part that was not run this time
// keeps its rows there, with their date, if they are from the same machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// part is one measurement, which can be run alone.
type part struct {
	name string
	run  func(context.Context, *lab) error
	long bool // runs only when it is asked for
}

// parts are all there are, in the order in which they run and are shown.
var parts = []part{
	{name: "loop", run: loop},
	{name: "history", run: history},
	{name: "throughput", run: throughput},
	{name: "organizations", run: organizations},
	{name: "freshness", run: freshness},
	{name: "restart", run: restart},
	{name: "quiet", run: quiet},
	{name: "takeover", run: takeover},
	{name: "peers", run: peers},
	{name: "growth", run: growth, long: true},
}

func partNames() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return names
}

// options are the flags.
type options struct {
	program, document, commit string
	only                      []string
	events, quiet             int
	faucet                    bool
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "../../bin/openai-audit-kafka", "the `binary` to measure, as it is released")
	flag.StringVar(&o.document, "document", "../../docs/benchmarks.md", "the `file` to write; empty: none")
	flag.StringVar(&o.commit, "commit", "unknown", "the `commit` that the binary was built from")
	flag.IntVar(&o.events, "events", 1_000_000, "`events` of history; other parts take a tenth or less of it")
	flag.IntVar(&o.quiet, "organizations", 100, "how many quiet `organizations` one process has")
	flag.BoolVar(&o.faucet, "faucet", false, "build faucet-stream if it is not there yet, which takes minutes")
	flag.Func("only", "run these `parts` alone, with commas between: "+strings.Join(partNames(), ", "), o.setOnly)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) setOnly(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(partNames(), name) {
			return fmt.Errorf("there is no part %q", name)
		}
		o.only = append(o.only, name)
	}
	return nil
}

// bench starts Kafka and runs the parts.
func bench(ctx context.Context, o options) error {
	if o.events < 10_000 {
		return fmt.Errorf("-events %d: fewer than 10,000 measure nothing but the start", o.events)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(os.Stderr, "starting Kafka")
	cluster, err := kafkatest.StartReal(ctx, dir)
	if err != nil {
		return err
	}
	defer cluster.Close()
	return measure(ctx, o, cluster, dir)
}

// measure runs the parts that are wanted. One that fails is said in the end, and
// leaves the others and their rows alone.
func measure(ctx context.Context, o options, cluster *kafkatest.Cluster, dir string) error {
	length, err := cluster.Length()
	if err != nil {
		return err
	}
	defer length.Close()
	l := &lab{options: o, cluster: cluster, length: length, dir: dir}

	var faults []error
	var measured report
	for _, p := range parts {
		if asked := slices.Contains(o.only, p.name); !asked && (p.long || len(o.only) > 0) {
			continue
		}
		began := time.Now()
		l.report = report{part: p.name}
		l.say("%s", p.name)
		if err := p.run(ctx, l); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
			l.say("%s FAILED: %v", p.name, err)
			continue
		}
		l.say("%s took %v", p.name, time.Since(began).Round(time.Second))
		l.report.ran(o.commit)
		measured.rows = append(measured.rows, l.report.rows...)
	}
	measured.print(os.Stdout)
	if o.document != "" && len(measured.rows) > 0 {
		faults = append(faults, updateDocument(o.document, heading(cluster.Backend()), measured))
	}
	return errors.Join(faults...)
}
