package kafkatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Prometheus returns the path of promtool, or of prometheus itself. A machine without
// them skips the test, or fails it, as Missing does.
func Prometheus(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	cache, _ := os.UserCacheDir()
	// Where "make stack" and CI unpack Debian's package.
	path := filepath.Join(cache, "openai-audit-kafka", "prometheus-debian", "usr", "bin", program)
	if _, err := os.Stat(path); err != nil {
		Missing(t, program+": install the package prometheus")
	}
	return path
}
