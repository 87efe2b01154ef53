package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// part is what ran on one backend.
type part struct {
	passed, failed, skipped int
	seconds                 float64
}

// summary prints a line for each backend in the report. Where real Kafka is
// required, a backend on which no test passed is an error: a suite that did not
// run must not look like one that did.
func summary(w io.Writer, report string, required bool) error {
	parts, err := readReport(report)
	if err != nil {
		return fmt.Errorf("reading the test report: %w", err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nbackend\tpassed\tfailed\tskipped\tseconds\t")
	onKafka := 0
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.1f\t\n", name, p.passed, p.failed, p.skipped, p.seconds)
		if name != "inprocess" {
			onKafka += p.passed
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var faults []error
	// Whatever was tried, however little: what lost or doubled something is loud.
	if err := faultTable(w, report, false); err != nil {
		faults = append(faults, err)
	}
	if onKafka == 0 {
		fmt.Fprintln(w, "\n*** NOTHING WAS TESTED ON REAL KAFKA ***")
		faults = append(faults, errors.New("no test passed on real Kafka, which REQUIRE_KAFKA=1 asks for"))
	}
	if parts["inprocess"].passed == 0 {
		faults = append(faults, errors.New("no test passed on the in-process broker"))
	}
	if !required {
		return nil
	}
	return errors.Join(faults...)
}

// readReport adds up the lines that kafkatest wrote: backend, package, test,
// seconds, result. A file that is not there is a run without such tests.
func readReport(name string) (map[string]part, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parts := map[string]part{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if f[0] == faultLine {
			continue // the other table's
		}
		if len(f) != 5 {
			return nil, fmt.Errorf("line %q", lines.Text())
		}
		seconds, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			return nil, err
		}
		p := parts[f[0]]
		p.seconds += seconds
		switch f[4] {
		case "passed":
			p.passed++
		case "skipped":
			p.skipped++
		default:
			p.failed++
		}
		parts[f[0]] = p
	}
	return parts, lines.Err()
}
