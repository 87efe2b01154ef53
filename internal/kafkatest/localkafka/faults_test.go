package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFaults(t *testing.T) {
	const (
		cuts  = "fault\tkafka-4.3.1\tcut\t10\t0\t0\t0\t1.5\n"
		kills = "fault\tkafka-3.9.2\tkill\t5\t0\t1\t0\t2\n"
	)
	tests := []struct {
		name, report string
		required     bool
		want         string // in the output
		fails        string // in the error; empty: none
	}{
		{"none", "inprocess\tp\tTestA\t1\tpassed\n", false, "", ""},
		{"none, and that is not fine", "inprocess\tp\tTestA\t1\tpassed\n", true, "", "no fault was tried"},
		{"one, twice", cuts + cuts, true, "cut    kafka-4.3.1  20    0     0        0      3", ""},
		{"doubled", cuts + kills, true, "all                 15    0     1        0      4", "0 events lost, 1 doubled"},
		{"cut", "fault\tx\n", true, "", `line "fault\tx"`},
		{"no number", "fault\tx\ty\tz\t0\t0\t0\t0\n", true, "", "expected integer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report")
			if err := os.WriteFile(file, []byte(test.report), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err := faultTable(&out, file, test.required)
			if !strings.Contains(out.String(), test.want) {
				t.Errorf("output without %q:\n%s", test.want, out.String())
			}
			switch {
			case test.fails == "" && err != nil, test.fails != "" && err == nil:
				t.Errorf("error %v", err)
			case err != nil && !strings.Contains(err.Error(), test.fails):
				t.Errorf("error %q, want %q in it", err, test.fails)
			}
		})
	}
}
