package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// faultLine marks the lines of a test report that kafkatest.Trials wrote: fault,
// backend, name, runs, lost, doubled, wrong, seconds.
const faultLine = "fault"

// trials are the runs of one fault on one backend.
type trials struct {
	name, backend             string
	runs, lost, doubled, more int
	seconds                   float64
}

// faultTable prints the table of faults of a test report: how many runs of each, and
// what they lost and doubled. It is an error if any of them did, or if there were
// none and some are required.
func faultTable(w io.Writer, report string, required bool) error {
	rows, err := readFaults(report)
	if err != nil {
		return fmt.Errorf("reading the test report: %w", err)
	}
	if len(rows) == 0 {
		if required {
			return errors.New("no fault was tried")
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nfault\tbackend\truns\tlost\tdoubled\twrong\tseconds")
	var sum trials
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%.0f\n", r.name, r.backend, r.runs, r.lost, r.doubled, r.more, r.seconds)
		sum.runs, sum.lost, sum.doubled, sum.more = sum.runs+r.runs, sum.lost+r.lost, sum.doubled+r.doubled, sum.more+r.more
		sum.seconds += r.seconds
	}
	fmt.Fprintf(table, "all\t\t%d\t%d\t%d\t%d\t%.0f\n", sum.runs, sum.lost, sum.doubled, sum.more, sum.seconds)
	if err := table.Flush(); err != nil {
		return err
	}
	if sum.lost+sum.doubled+sum.more > 0 {
		return fmt.Errorf("%d events lost, %d doubled, %d wrong", sum.lost, sum.doubled, sum.more)
	}
	return nil
}

// readFaults returns the rows of the table: of one fault and backend one, by
// backend, and in the order in which they were tried.
func readFaults(name string) ([]trials, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var rows []trials
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if f[0] != faultLine {
			continue
		}
		if len(f) != 8 {
			return nil, fmt.Errorf("line %q", lines.Text())
		}
		r := trials{backend: f[1], name: f[2]}
		if _, err := fmt.Sscan(strings.Join(f[3:], " "), &r.runs, &r.lost, &r.doubled, &r.more, &r.seconds); err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		at := slices.IndexFunc(rows, func(o trials) bool { return o.name == r.name && o.backend == r.backend })
		if at < 0 {
			rows = append(rows, r)
			continue
		}
		o := &rows[at]
		o.runs, o.lost, o.doubled, o.more, o.seconds = o.runs+r.runs, o.lost+r.lost, o.doubled+r.doubled, o.more+r.more, o.seconds+r.seconds
	}
	slices.SortStableFunc(rows, func(a, b trials) int { return cmp.Compare(a.backend, b.backend) })
	return rows, lines.Err()
}
