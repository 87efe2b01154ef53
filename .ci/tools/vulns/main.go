// Command vulns reads what govulncheck -format json found, and fails on all but
// the advisories that were looked at and do not concern us.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// allowed are advisories on the decoder of hamba/avro/v2, which nothing of ours
// calls: a lint rule and a test hold that. They name no symbols, so every
// importer is reported.
var allowed = map[string]bool{
	"GO-2026-5046": true,
	"GO-2026-5047": true,
	"GO-2026-5048": true,
}

// message is one of govulncheck's messages, as far as it is of use here.
type message struct {
	Config  *struct{} `json:"config"`
	Finding *finding  `json:"finding"`
}

type finding struct {
	OSV   string  `json:"osv"`
	Fixed string  `json:"fixed_version"`
	Trace []frame `json:"trace"` // the vulnerable place first
}

type frame struct {
	Module   string `json:"module"`
	Package  string `json:"package"`
	Function string `json:"function"`
}

// depth says how near it is to us: a function that we reach, a package that we
// import, or just a module that is there.
func (f finding) depth() (n int, text string) {
	switch {
	case len(f.Trace) == 0:
		return 0, "?"
	case f.Trace[0].Function != "":
		return 3, "calls " + f.Trace[0].Package + "." + f.Trace[0].Function
	case f.Trace[0].Package != "":
		return 2, "imports " + f.Trace[0].Package
	default:
		return 1, "depends on " + f.Trace[0].Module
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vulnerabilities:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	found, err := read(in)
	if err != nil {
		return err
	}
	bad := 0
	for _, id := range slices.Sorted(maps.Keys(found)) {
		f, verdict := found[id], "NOT ALLOWED"
		depth, how := f.depth()
		switch {
		case allowed[id]:
			verdict = "allowed"
		case depth == 1 && f.Fixed == "":
			// A module that we need for another of its packages, and no release of it is
			// without the advisory. Once we import the package, the depth is 2.
			verdict = "not imported"
		default:
			bad++
		}
		fmt.Fprintf(out, "%s: %s, fixed in %s: %s\n", id, how, cmp.Or(f.Fixed, "no version"), verdict)
	}
	if bad > 0 {
		return fmt.Errorf("%d that are not allowed: upgrade, or say in .ci/tools/vulns why it does not concern us", bad)
	}
	fmt.Fprintf(out, "%d advisories, all of them allowed or not imported\n", len(found))
	return nil
}

// read returns the nearest finding of each advisory.
func read(in io.Reader) (map[string]finding, error) {
	found, scanned := map[string]finding{}, false
	for d := json.NewDecoder(in); ; {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading govulncheck's report: %w", err)
		}
		scanned = scanned || m.Config != nil
		if f := m.Finding; f != nil {
			before, _ := found[f.OSV].depth()
			if now, _ := f.depth(); now > before || before == 0 {
				found[f.OSV] = *f
			}
		}
	}
	if !scanned {
		return nil, errors.New("govulncheck's report is empty")
	}
	return found, nil
}
