package release_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

const unit = root + "/.ci/ship/openai-audit-kafka.service"

// exposure is the most that "systemd-analyze security" may say of the unit; docs/
// operations.md has the figure. 0 is best, 10 is worst.
const exposure = 1.1

func TestUnit(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range config.Table() {
		known[s.Name], known[s.Name+config.FileSuffix] = true, true
	}
	for _, m := range regexp.MustCompile(`(?m)^Environment=([A-Z_]+)=`).FindAllStringSubmatch(string(text), -1) {
		if !known[m[1]] {
			t.Errorf("%s is no setting", m[1])
		}
	}
	if strings.Contains(string(text), "\nProcSubset=pid\n") {
		t.Error("process_start_time_seconds is not among the metrics then, and an alert is mute")
	}
	if !strings.Contains(string(text), "\nRestartPreventExitStatus=78\n") {
		t.Error("it is restarted with wrong settings, for ever, or not after a crash")
	}
}

// TestUnitExposure asks systemd, where it is there, whether it knows every line, and
// how much the unit may do.
func TestUnitExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		kafkatest.Missing(t, "systemd-analyze: install the package systemd")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	// The program is not installed here, and "verify" would say just that.
	here := strings.ReplaceAll(string(text), "/usr/local/bin/openai-audit-kafka", "/bin/true")
	copied := filepath.Join(t.TempDir(), "openai-audit-kafka.service")
	if err := os.WriteFile(copied, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", copied).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", copied).CombinedOutput()
	if err != nil {
		kafkatest.Missing(t, fmt.Sprintf("systemd 250 or later, which judges a unit offline: %v\n%s", err, out))
	}
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no figure in %s", out)
	}
	if got, err := strconv.ParseFloat(string(m[1]), 64); err != nil || got > exposure {
		t.Errorf("the exposure is %v, and was %v: %v\n%s", got, exposure, err, out)
	}
}
