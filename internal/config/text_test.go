package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

func TestParseTime(t *testing.T) {
	tests := map[string]time.Time{
		"2026-02-03T04:05:06Z":      time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		"2026-02-03T04:05:06+02:00": time.Date(2026, 2, 3, 2, 5, 6, 0, time.UTC),
		"2026-02-03":                time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC),
		"1767225600":                time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"1000000000":                time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC),
		"36h":                       now.Add(-36 * time.Hour),
		"1d12h":                     now.Add(-36 * time.Hour),
		"30d":                       now.Add(-30 * 24 * time.Hour),
	}
	for text, want := range tests {
		if got, err := config.ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-5", "-1h", "2026-13-01", "2026-02-03 04:05:06", "1767225600000", "0", "5", "90", "20260301", "999999999", "d", "1.5d", "99999999999999d"} {
		if got, err := config.ParseTime(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// A number that would be taken for the seventies is refused with what was meant.
func TestWhatATimeWasMeantToBe(t *testing.T) {
	for text, want := range map[string]string{
		"90":             "did you mean 90d? ",
		"20260301":       "did you mean 2026-03-01? ",
		"20260301120000": "did you mean 2026-03-01T12:00:00Z? ",
		"2026":           "did you mean 2026-01-01? ",
		"1767225600000":  "did you mean 1767225600? ",
		"0":              "write it as ",
		"123456789":      "write it as ",
		"yesterday":      "write it as ",
	} {
		if got := config.TimeRemedy(text); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"10s", "30d", "1d12h", "106751d23h47m16.854775807s", "106752d", "0", "-1s", "1d-1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseDuration(text)
		if err != nil {
			if len(text) > 3 && strings.Contains(err.Error(), text) {
				t.Errorf("the error quotes %q", text)
			}
			return
		}
		if d < 0 {
			t.Errorf("%q is %v", text, d)
		}
		if again, err := config.ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q is %v, which is %v, %v", text, d, again, err)
		}
	})
}

// Whatever is given, Load neither panics nor shows a key.
func FuzzLoad(f *testing.F) {
	for _, s := range config.Table() {
		f.Add(s.Name, s.Default)
	}
	f.Add("ORGANIZATIONS_0_NAME", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		s, err := config.Load([]string{name + "=" + value, "KAFKA_TOPIC=" + key}, config.Options{Now: now})
		var out strings.Builder
		if s.Print(&out) != nil || err == nil || strings.Contains(out.String()+err.Error(), key) {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
}

func TestTables(t *testing.T) {
	for name, text := range map[string]string{"markdown": config.MarkdownTable(), "help": config.HelpTable()} {
		for _, s := range config.Table() {
			if !strings.Contains(text, s.Name) {
				t.Errorf("%s is not in the table for %s", s.Name, name)
			}
		}
		for line := range strings.Lines(text) {
			if name == "help" && len([]rune(line)) > 98 {
				t.Errorf("a long line in the help: %s", line)
			}
		}
	}
}
