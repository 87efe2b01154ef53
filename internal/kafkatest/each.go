package kafkatest

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Each runs the test twice: as subtest "inprocess" on a broker of its own, and as
// subtest "kafka-<version>" on the shared real one. It is the one place that
// decides which backends run. The options are those of the in-process broker.
func Each(t *testing.T, test func(t *testing.T, c *Cluster), opts ...Option) {
	t.Helper()
	t.Run(inProcess, func(t *testing.T) { test(t, InProcess(t, opts...)) })
	version := defaultVersion()
	if brokers := os.Getenv(brokersVariable); brokers != "" && brokers != "off" {
		version = strings.TrimPrefix(External(nil).backend, "kafka-")
	}
	t.Run(backendName(version), func(t *testing.T) { test(t, SharedReal(t)) })
}

// record notes for the summary which broker the test ran on, how it ended and
// how long it took. The Makefile names the file in TEST_REPORT.
func record(t testing.TB, backend string) {
	file := os.Getenv("TEST_REPORT")
	if file == "" {
		return
	}
	begin := time.Now()
	t.Cleanup(func() {
		result := "passed"
		switch {
		case t.Failed():
			result = "failed"
		case t.Skipped():
			result = "skipped"
		}
		took := time.Since(begin)
		if begin.Year() == bubbleYear {
			took = 0
		}
		line := fmt.Sprintf("%s\t%s\t%s\t%.1f\t%s\n", backend, testedPackage(), t.Name(), took.Seconds(), result)
		if err := appendTo(file, line); err != nil {
			t.Errorf("adding to the test report: %v", err)
		}
	})
}

// bubbleYear is when every synctest bubble begins. What passes in one is no time
// that anybody waited.
const bubbleYear = 2000

// appendTo adds the line in one write, so that lines of processes that run side
// by side do not mix.
func appendTo(file, line string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// testedPackage returns the path of the package whose test binary this is.
func testedPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	return strings.TrimSuffix(info.Path, ".test")
}
