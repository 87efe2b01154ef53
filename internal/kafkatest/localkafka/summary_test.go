package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name, report string
		required     bool
		want         string // in the output
		fails        string // in the error; empty: none
	}{
		{"both", "inprocess\tp\tTestA\t1.5\tpassed\ninprocess\tp\tTestB\t1\tpassed\nkafka-4.3.1\tp\tTestA\t3\tpassed\n", true, "    inprocess       2       0        0      2.5", ""},
		{"skipped, and that is fine", "inprocess\tp\tTestA\t1.5\tpassed\nkafka-4.3.1\tp\tTestA\t0\tskipped\n", false, "NOTHING WAS TESTED ON REAL KAFKA", ""},
		{"skipped, and that is not", "inprocess\tp\tTestA\t1.5\tpassed\nkafka-4.3.1\tp\tTestA\t0\tskipped\n", true, "NOTHING WAS TESTED ON REAL KAFKA", "no test passed on real Kafka"},
		{"failed only", "inprocess\tp\tTestA\t1.5\tfailed\nkafka-4.3.1\tp\tTestA\t0\tpassed\n", true, "inprocess", "no test passed on the in-process broker"},
		{"cut", "inprocess\tp\n", false, "", `line "inprocess\tp"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report")
			if err := os.WriteFile(file, []byte(test.report), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err := summary(&out, file, test.required)
			if got := out.String(); !strings.Contains(got, test.want) {
				t.Errorf("output without %q:\n%s", test.want, got)
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
