// Command provenance says in SLSA's form (https://slsa.dev/spec/v1.1/provenance) what
// the files of a release were made from. It reads lines as those of SHA256SUMS and
// prints an in-toto statement. There is no time of the run in it and no name of the
// machine: the same release has the same bytes each time.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	source  = "https://github.com/openai-audit-kafka/openai-audit-kafka"
	recipe  = source + "/blob/main/.ci/ship/release"
	program = source + "/.ci/ship/release"
)

type digest map[string]string

type artifact struct {
	Name   string `json:"name,omitempty"`
	URI    string `json:"uri,omitempty"`
	Digest digest `json:"digest"`
}

func main() {
	version := flag.String("version", "", "the version of the release")
	commit := flag.String("commit", "", "the commit it is made from")
	goVersion := flag.String("go", "", "the version of Go that builds it")
	targets := flag.String("targets", "", "what it is built for")
	flag.Parse()
	subjects, err := read(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(statement(subjects, *version, *commit, *goVersion, strings.Fields(*targets)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "provenance:", err)
		os.Exit(1)
	}
}

// read returns the files that the lines name.
func read(r io.Reader) (files []artifact, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 64 {
			return nil, fmt.Errorf("no line of sha256sum: %q", lines.Text())
		}
		files = append(files, artifact{Name: name, Digest: digest{"sha256": sum}})
	}
	return files, lines.Err()
}

func statement(subjects []artifact, version, commit, goVersion string, targets []string) any {
	type object = map[string]any
	return object{
		"_type":         "https://in-toto.io/Statement/v1",
		"predicateType": "https://slsa.dev/provenance/v1",
		"subject":       subjects,
		"predicate": object{
			"buildDefinition": object{
				"buildType":          recipe,
				"externalParameters": object{"version": version, "targets": targets},
				"internalParameters": object{"go": goVersion},
				"resolvedDependencies": []artifact{
					{URI: "git+" + source + "@" + version, Digest: digest{"gitCommit": commit}},
				},
			},
			"runDetails": object{"builder": object{"id": program}},
		},
	}
}
