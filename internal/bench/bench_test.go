package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// TestMeasure runs a part in small, so that the benchmarks still work on the day
// on which somebody needs them. It looks at no figure.
func TestMeasure(t *testing.T) {
	cluster := kafkatest.SharedReal(t)
	program := filepath.Join(t.TempDir(), "openai-audit-kafka")
	build := exec.Command("go", "build", "-o", program, "./cmd/openai-audit-kafka")
	build.Dir = "../.." // another module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	o := options{program: program, document: file, commit: "abc", only: []string{"throughput"}, events: 10_000}
	if err := measure(t.Context(), o, cluster, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| throughput | CPU-seconds per 100,000 events | ", "MiB | ≤ 64 MiB | ", "Apache Kafka ", "| throughput | 20", "## How it is measured"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document does not say %q:\n%s", want, text)
		}
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for _, test := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 50}, {0.99, 99}, {1, 100}, {0, 1}} {
		if got := quantile(times, test.q); got != test.want {
			t.Errorf("quantile %v is %d, want %d", test.q, got, test.want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %q", n, got)
		}
	}
	for d, want := range map[time.Duration]string{999 * time.Millisecond: "999 ms", 1100 * time.Millisecond: "1.10 s"} {
		if got := seconds(d); got != want {
			t.Errorf("%v is written %q", d, got)
		}
	}
}

// reportOf is what a run of one part found.
func reportOf(part, figure string) report {
	r := report{part: part}
	r.ratio("speed", figure, "≥ 2×", false)
	r.add(plainWork, "somebody", "not measured: no such program")
	r.ran("abc")
	return r
}

func speed(part, figure string) string {
	return "| " + part + " | speed | " + figure + " | ≥ 2× | **no** |"
}

func somebody(part string) string {
	return "| " + part + " | somebody | not measured: no such program | – | – | – | – | – |"
}

// Parts that did not run keep their rows, those that did replace them, and what was
// measured on another machine goes.
func TestUpdateDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	const here, there = machineLine + "here\n- more\n", machineLine + "there\n- more\n"
	rowsIn := func() (rows []string) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "| speed |") || strings.Contains(line, "| somebody |") {
				rows = append(rows, strings.TrimSpace(line))
			}
		}
		return rows
	}
	for _, step := range []struct {
		name, heading string
		measured      report
		want          []string
	}{
		{"the first run", here, reportOf("quiet", "1×"), []string{speed("quiet", "1×"), somebody("quiet")}},
		{"another part, which is shown earlier", here, reportOf("history", "2×"),
			[]string{speed("history", "2×"), speed("quiet", "1×"), somebody("history"), somebody("quiet")}},
		{"the same part", here, reportOf("history", "3×"),
			[]string{speed("history", "3×"), speed("quiet", "1×"), somebody("history"), somebody("quiet")}},
		{"another machine", there, reportOf("quiet", "4×"), []string{speed("quiet", "4×"), somebody("quiet")}},
	} {
		if err := updateDocument(file, step.heading, step.measured); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, rowsIn()); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func TestOnly(t *testing.T) {
	var o options
	if err := o.setOnly("quiet, peers"); err != nil || len(o.only) != 2 {
		t.Errorf("%v, %v", o.only, err)
	}
	if err := o.setOnly("quite"); err == nil {
		t.Error("a part that does not exist is taken")
	}
}

// What is read of processes is that of this one.
func TestProcesses(t *testing.T) {
	pid := os.Getpid()
	rss, err := peakRSS(pid)
	if err != nil {
		if runtime.GOOS == "linux" {
			t.Fatal(err)
		}
		kafkatest.Missing(t, "/proc, so that nobody measures here: "+err.Error())
	}
	if rss < 1 || rss > 10_000 {
		t.Errorf("%.0f MiB", rss)
	}
	if _, err := cpuOf(pid); err != nil {
		t.Error(err)
	}
	if _, err := peakRSS(1 << 30); err == nil {
		t.Error("a process that is not there has memory")
	}
}

// Two parts of one run have contestants: each finds the scripts, and neither the other's.
func TestScriptsAreUnpackedForEachPart(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	for range 2 {
		path, err := l.unpack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path("loop.sh")); err != nil {
			t.Error(err)
		}
	}
}
