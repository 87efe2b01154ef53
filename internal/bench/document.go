package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// method is how the parts measure, for readers of the document.
//
//go:embed method.md
var method string

const machineLine = "- Machine: "

// heading says on what all this ran.
func heading(kafka string) string {
	return machineLine + machine() + "; API, broker and program share it\n" +
		"- Broker: Apache " + strings.Replace(kafka, "kafka-", "Kafka ", 1) + ", one node, as tests start it (512 MiB heap, first compiler only)\n" +
		"- Go: " + strings.TrimPrefix(runtime.Version(), "go") + "\n"
}

// updateDocument writes the tables. Rows of parts that were not run now are kept,
// if they were measured on this machine: figures of two machines do not compare.
func updateDocument(file, heading string, measured report) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all := measured
	for _, row := range kept(string(old), heading) {
		if !measured.has(row.part) {
			all.rows = append(all.rows, row)
		}
	}
	return os.WriteFile(file, []byte(document(heading, all)), 0o644)
}

func (r *report) has(part string) bool {
	for _, row := range r.rows {
		if row.part == part {
			return true
		}
	}
	return false
}

// kept reads the rows of an earlier document.
func kept(text, heading string) (rows []row) {
	if line, _, _ := strings.Cut(heading, "\n"); !strings.Contains(text, line+"\n") {
		return nil
	}
	at := -1
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			at = tableOf(title)
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		if at < 0 || !strings.HasPrefix(line, "| ") || len(cells) != len(tables[at].head) || cells[0] == tables[at].head[0] {
			continue
		}
		rows = append(rows, row{at, cells[0], cells[1:]})
	}
	return rows
}

func tableOf(title string) int {
	for i, t := range tables {
		if t.title == title {
			return i
		}
	}
	return -1
}

// document writes it all as Markdown.
func document(heading string, all report) string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n`make bench` measures and writes this page; nothing here is written by hand.\n\n" + heading)
	for i, t := range tables {
		rows := all.inOrder(i)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s | %s |\n", row.part, strings.Join(row.cells, " | "))
		}
	}
	return b.String() + "\n" + method
}
