package docs_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

var update = flag.Bool("update", false, "write the generated part of docs/settings.md")

const (
	settingsFile  = "docs/settings.md"
	settingsBegin = "<!-- settings: generated, see internal/docs -->\n"
	settingsEnd   = "<!-- /settings -->"
)

// The settings table is what the code says. "go test ./internal/docs -update"
// writes it.
func TestSettingsTable(t *testing.T) {
	got := between(t, settingsFile, settingsBegin, settingsEnd)
	want := config.MarkdownTable()
	if got == want {
		return
	}
	if !*update {
		t.Fatal("the settings table in " + settingsFile + " is not that of the code: go test ./internal/docs -run TestSettingsTable -update")
	}
	text := strings.Replace(read(t, settingsFile), settingsBegin+got+settingsEnd, settingsBegin+want+settingsEnd, 1)
	if err := os.WriteFile(filepath.Join(root, settingsFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// forEach calls the function with each match of the pattern in each document.
func forEach(t *testing.T, pattern string, check func(name string, match []string)) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	found := false
	for _, name := range documents {
		for _, m := range re.FindAllStringSubmatch(read(t, name), -1) {
			found = true
			check(name, m)
		}
	}
	if !found {
		t.Errorf("nothing matches %s: the test looks for the wrong thing", pattern)
	}
}

func TestLinksResolve(t *testing.T) {
	forEach(t, `\]\(([^)\s]+)\)`, func(name string, m []string) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") {
			return
		}
		if target = path.Join(path.Dir(name), target); m[1][0] == '#' {
			target = name
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			t.Errorf("%s: the link %s leads nowhere", name, m[1])
		} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
			t.Errorf("%s: the link %s leads to no heading", name, m[1])
		}
	})
}

// anchors are the names of a document's headings in links, as GitHub makes them.
func anchors(text string) (all []string) {
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			heading = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}

func TestMakeTargetsExist(t *testing.T) {
	targets := regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllString(read(t, "Makefile"), -1)
	forEach(t, "(?:`|\\$ |\\n)(?:[A-Z_]+=\\S+ )*make ([a-z-]+)", func(name string, m []string) {
		if !slices.Contains(targets, m[1]+":") {
			t.Errorf("%s names make %s, which does not exist", name, m[1])
		}
	})
}

// Every command that is named exists, with every flag that it is given.
func TestCommandsExist(t *testing.T) {
	program := binary(t, "openai-audit-kafka")
	helps := map[string]string{}
	help := func(of []string) string {
		key := strings.Join(of, " ")
		if helps[key] == "" {
			out, err := exec.Command(program, append(of, "--help")...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s --help: %v\n%s", key, err, out)
			}
			helps[key] = string(out)
		}
		return helps[key]
	}
	check := func(name, line string) {
		line, _, _ = strings.Cut(line, "|") // a pipe
		var command, flags []string
		for _, word := range strings.Fields(line) {
			switch {
			case strings.HasPrefix(word, "-"):
				flags = append(flags, word)
			case len(flags) == 0 && regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(word):
				command = append(command, word)
			}
		}
		text := help(command)
		if len(command) > 0 && !strings.Contains(text, "Usage:\n  openai-audit-kafka "+strings.Join(command, " ")) {
			t.Errorf("%s names the command %q, which does not exist", name, line)
		}
		for _, f := range flags {
			if !regexp.MustCompile(`(?m)^ +(-[a-z], )?` + regexp.QuoteMeta(f) + `\b|^ +` + regexp.QuoteMeta(f) + `, `).MatchString(text) {
				t.Errorf("%s gives the command %q the flag %s, which does not exist", name, strings.TrimSpace(line), f)
			}
		}
	}
	forEach(t, "(?:`|\\n)(?:bin/)?openai-audit-kafka((?: [^`\\n]*)?)", func(name string, m []string) { check(name, m[1]) })
	// Inside sentences commands are named without the program.
	forEach(t, "`((?:run|check|verify|cursor|tail|schema|health|config|version|seal|transactions)(?: [^`]*)?)`", func(name string, m []string) { check(name, m[1]) })
}

func TestDemoFlagsExist(t *testing.T) {
	program := binary(t, "demo")
	forEach(t, `make demo ARGS='([^']*)'`, func(name string, m []string) {
		out, err := exec.Command(program, "--help").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[1], -1) {
			if !strings.Contains(string(out), f+" ") {
				t.Errorf("%s gives the demo the flag %s, which does not exist", name, f)
			}
		}
	})
}

// The settings that are named exist.
func TestVariablesExist(t *testing.T) {
	known := map[string]bool{
		// Of tests and of other programs.
		"KAFKA_VERSION": true, "HTTPS_PROXY": true, "NO_PROXY": true, "NO_COLOR": true, "CGO_ENABLED": true, "TORTURE_SEED": true, "TORTURE_RUNS": true, "RELEASE_SIGNING_KEY": true, "REGISTRY_URL": true,
		"AWS_PROFILE": true, "AWS_WEB_IDENTITY_TOKEN_FILE": true,
	}
	// Kafka's own errors look alike.
	for code := int16(-1); code < 200; code++ {
		if answer, is := errors.AsType[*kerr.Error](kerr.ErrorForCode(code)); is {
			known[answer.Message] = true
		}
	}
	for _, s := range append(config.Table(), config.OrganizationTable()...) {
		known[s.Name], known[s.Name+config.FileSuffix] = true, true
	}
	forEach(t, "\\b([A-Z][A-Z0-9]*_[A-Z0-9_<>n]*[A-Z])\\b", func(name string, m []string) {
		variable := regexp.MustCompile(`^ORGANIZATIONS_([0-9]+|<n>)_`).ReplaceAllString(m[1], "")
		switch variable {
		case "X_FILE", "FULL_TRANSITIVE", "DESCRIBE_CONFIGS", "AWS_MSK_IAM":
			return // no variables
		}
		if !known[variable] {
			t.Errorf("%s names %s, which is no setting", name, m[1])
		}
	})
}

// The metrics that are named exist, and those that exist are named.
func TestMetricsExist(t *testing.T) {
	existing := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(openai_audit_[a-z_]+?)(?:_bucket|_sum|_count)?[{ ]`).FindAllStringSubmatch(read(t, "internal/telemetry/testdata/metrics.txt"), -1) {
		existing[m[1]] = true
	}
	if len(existing) == 0 {
		t.Fatal("there are no metrics")
	}
	forEach(t, `openai_audit_[a-z_]+`, func(name string, m []string) {
		if !existing[m[0]] && !strings.HasPrefix(m[0], "openai_audit_kafka_") {
			t.Errorf("%s names the metric %s, which does not exist", name, m[0])
		}
	})
	operations := read(t, "docs/operations.md")
	for metric := range existing {
		if !strings.Contains(operations, "`"+metric+"`") {
			t.Errorf("docs/operations.md does not name the metric %s", metric)
		}
	}
}

// The tests, files and rooms that are named exist.
func TestNamesExist(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	forEach(t, "`(Test[A-Z]\\w+)`", func(name string, m []string) {
		if !tests[m[1]] {
			t.Errorf("%s names %s, which is no test", name, m[1])
		}
	})
	forEach(t, "`((?:cmd|connector|internal|schemas|docs)(?:/[a-z0-9_./-]+)?)`", func(name string, m []string) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("%s names %s, which does not exist", name, m[1])
		}
	})
}

// A path of the machine on which a text was written helps nobody.
func TestNoPathsOfOneMachine(t *testing.T) {
	re := regexp.MustCompile(`(?m)(^|[\s"'=(\x60:])(/(home|root|tmp|work|Users|var|opt)/\S*)`)
	for _, name := range documents {
		for _, m := range re.FindAllStringSubmatch(read(t, name), -1) {
			if strings.HasPrefix(m[2], "/opt/kafka/") {
				continue // inside an image that everybody has
			}
			t.Errorf("%s has the path %s", name, m[2])
		}
	}
}

// Every version of the schema is listed for consumers.
func TestFingerprintsAreListed(t *testing.T) {
	consuming := read(t, "docs/consuming.md")
	for _, v := range publishedSchemas() {
		if !strings.Contains(consuming, "| "+v.number+" | `"+v.fingerprint+"` |") {
			t.Errorf("docs/consuming.md does not list version %s with %s", v.number, v.fingerprint)
		}
	}
}
