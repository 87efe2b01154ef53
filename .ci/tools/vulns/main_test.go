package main

import (
	"strings"
	"testing"
)

const config = `{"config": {"protocol_version": "v1"}}`

func TestOnlyAllowedAdvisoriesPass(t *testing.T) {
	tests := []struct {
		name, report, want string
		passes             bool
	}{
		{"nothing", config, "0 advisories", true},
		{"allowed", config + `{"finding": {"osv": "GO-2026-5046", "trace": [{"module": "m"}]}}`, "depends on m", true},
		{"another", config + `{"finding": {"osv": "GO-2026-5049", "trace": [{"module": "m", "package": "p"}]}}`, "NOT ALLOWED", false},
		{"a package that is not imported", config + `{"finding": {"osv": "GO-2026-5049", "trace": [{"module": "m"}]}}`, "not imported", true},
		{
			"a package that is not imported, and a release without it",
			config + `{"finding": {"osv": "GO-2026-5049", "fixed_version": "v1.2.3", "trace": [{"module": "m"}]}}`, "NOT ALLOWED", false,
		},
		{
			"one of its packages is imported",
			config + `{"finding": {"osv": "GO-2026-5049", "trace": [{"module": "m"}]}}` +
				`{"finding": {"osv": "GO-2026-5049", "trace": [{"module": "m", "package": "p"}]}}`, "NOT ALLOWED", false,
		},
		{
			"the nearest is told",
			config + `{"finding": {"osv": "GO-2026-5046", "trace": [{"module": "m", "package": "p", "function": "F"}]}}` +
				`{"finding": {"osv": "GO-2026-5046", "trace": [{"module": "m"}]}}`, "calls p.F", true,
		},
		{"no report", "", "", false},
		{"half a report", config + `{"finding`, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := run(strings.NewReader(test.report), &out)
			if (err == nil) != test.passes || !strings.Contains(out.String(), test.want) {
				t.Errorf("error %v, output:\n%s", err, out.String())
			}
		})
	}
}
