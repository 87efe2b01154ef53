package rooms_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The tests of the chart are a module of their own, which CI does not build: what the
// program came to need must be in it too, or "make chart-check" does not even compile.
func TestTheModuleOfTheChartFollows(t *testing.T) {
	t.Parallel()
	has := map[string]string{} // version by module
	var file struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(output(t, "mod", "edit", "-json", "docker/chart/test/go.mod")), &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Require {
		has[r.Path] = r.Version
	}
	// What its tests import of ours.
	linked := output(t, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}",
		"./internal/config", "./internal/kafkatest", "./internal/seal", "./internal/simulator")
	for line := range strings.Lines(linked) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if there, is := has[name]; name != "" && (!is || slices.Compare(numbers(there), numbers(version)) < 0) {
			t.Errorf("%s is %s here and %q in docker/chart/test: run go mod tidy there", name, version, there)
			has[name] = version // once
		}
	}
}

// numbers are those that a version begins with.
func numbers(version string) []int {
	var major, minor, patch int
	_, _ = fmt.Sscanf(version, "v%d.%d.%d", &major, &minor, &patch)
	return []int{major, minor, patch}
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %v: %v", args, err)
	}
	return string(out)
}
