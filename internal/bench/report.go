package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table is one of the tables in which a part shows what it found. The first column
// of each names the part.
type table struct {
	title string
	head  []string
}

// tables are in the order in which they are shown.
var tables = []table{
	{"Ratios", []string{"part", "what", "measured", "aim", "met"}},
	{"Aims", []string{"part", "what", "measured", "aim", "met"}},
	{"Peers on the same work", []string{"part", "program", "events/s", "CPU-s per 100,000", "RSS MiB", "lost", "doubled", "delivers"}},
	{"Peers when things go wrong", []string{"part", "program", "events", "lost", "of them late", "doubled"}},
	{"Growth", []string{"part", "events", "events/s", "CPU-s per 100,000", "RSS MiB", "records of state written", "restart in the middle, to its first commit"}},
	{"Other figures", []string{"part", "what", "measured"}},
	{"Runs", []string{"part", "measured at", "commit"}},
}

const (
	ratios = iota
	aims
	plainWork
	hardWork
	growing
	figures
	runs
)

// row is one row of a table, without the part.
type row struct {
	table int
	part  string
	cells []string
}

// report is what one or more parts found.
type report struct {
	part string // of the rows added
	rows []row
}

// add adds a row. Cells at its end that there is nothing to say in may be left out.
func (r *report) add(table int, cells ...string) {
	for len(cells) < len(tables[table].head)-1 {
		cells = append(cells, "–")
	}
	r.rows = append(r.rows, row{table, r.part, cells})
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

// ratio and aim add a figure and whether it is as good as was wanted.
func (r *report) ratio(what, measured, aim string, ok bool) {
	r.add(ratios, what, measured, aim, met(ok))
}

func (r *report) aim(what, measured, aim string, ok bool) {
	r.add(aims, what, measured, aim, met(ok))
}

// figure adds one that nothing was wanted of.
func (r *report) figure(what, measured string) { r.add(figures, what, measured) }

// ran notes when the part was measured.
func (r *report) ran(commit string) {
	r.add(runs, time.Now().UTC().Format("2006-01-02 15:04 MST"), commit)
}

// inOrder returns the rows of a table in the order of the parts.
func (r *report) inOrder(table int) []row {
	rows := slices.DeleteFunc(slices.Clone(r.rows), func(row row) bool { return row.table != table })
	names := partNames()
	slices.SortStableFunc(rows, func(a, b row) int {
		return slices.Index(names, a.part) - slices.Index(names, b.part)
	})
	return rows
}

// print writes the tables as plain text.
func (r *report) print(w io.Writer) {
	for i, t := range tables {
		rows := r.inOrder(i)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n\n", t.title)
		columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(columns, strings.Join(t.head, "\t"))
		for _, row := range rows {
			fmt.Fprintln(columns, strings.ReplaceAll(row.part+"\t"+strings.Join(row.cells, "\t"), "**", ""))
		}
		_ = columns.Flush() // the terminal: there is nobody to tell
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// seconds writes a time in seconds, or in milliseconds below one.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// quantile is the time that the share q of them does not exceed.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	at := int(q*float64(len(sorted))+0.9999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
