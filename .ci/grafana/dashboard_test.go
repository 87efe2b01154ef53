// Package grafana holds the dashboards to Grafana's schema, as far as its SDK knows it.
package grafana

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// faults returns what the dashboard has that Grafana's schema has not, in panels, their
// options and their queries, and values of another kind or out of range.
func faults(text []byte) error {
	var board dashboard.Dashboard
	err := board.UnmarshalJSONStrict(text)
	if all := (cog.BuildErrors{}); errors.As(err, &all) && len(all) == 0 {
		err = nil // none is not nil there
	}
	return errors.Join(err, board.Validate())
}

func TestDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../../docker/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := faults(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		// A check that finds nothing shows nothing.
		for right, wrong := range map[string]string{
			`"gridPos"`:            `"gridpos"`,
			`"legendFormat"`:       `"legend"`,
			`"schemaVersion": 39`:  `"schemaVersion": "39"`,
			`"type": "timeseries"`: `"type": 7`,
			`"reduceOptions"`:      `"reduce"`,
		} {
			if !bytes.Contains(text, []byte(right)) {
				t.Errorf("%s has no %s, which this test spoils", file, right)
			}
			if faults(bytes.Replace(text, []byte(right), []byte(wrong), 1)) == nil {
				t.Errorf("%s with %s is taken too", file, wrong)
			}
		}
	}
}
