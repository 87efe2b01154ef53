// Package release_test holds the files of a release to what they promise.
package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// The short form builds one target twice, in two folders, with one cache of compiled
// packages. The full form builds all, and compiles everything again the second time.
var full = flag.Bool("full", false, "all targets, with an empty build cache the second time")

const root = "../.."

const (
	version = "v0.0.0-test"
	commit  = "0123456789ab"
	epoch   = "1767225600" // 2026-01-01
)

// TestReleaseTwice makes the release twice and compares it byte by byte, and then
// looks at what is in it.
func TestReleaseTwice(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		kafkatest.Missing(t, "sha256sum: a release is made with the tools of GNU")
	}
	targets := []string{"linux/amd64"}
	if *full {
		targets = nil // the default: all, the FIPS variant too
	}
	t.Setenv("RELEASE_SIGNING_KEY", throwAwayKey(t))
	first, second := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "elsewhere", "dist")
	release(t, root, first, targets)
	release(t, copyOfSources(t), second, targets, emptyCache(t)...)
	one, two := sums(t, first), sums(t, second)
	if !maps.Equal(one, two) {
		t.Errorf("twice the same sources, and not the same bytes:\n%v\n%v", one, two)
	}
	for _, name := range slices.Sorted(maps.Keys(one)) {
		info, err := os.Stat(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%9d  %s  %s", info.Size(), name, one[name])
	}
	t.Run("provenance", func(t *testing.T) { provenance(t, first) })
	t.Run("chart", func(t *testing.T) { chart(t, first) })
	t.Run("signature", func(t *testing.T) { signature(t, first) })
	t.Run("contents", func(t *testing.T) { contents(t, first) })
	t.Run("bill of materials", func(t *testing.T) { billOfMaterials(t, first) })
	t.Run("advisories", func(t *testing.T) { advisories(t, first) })
}

// release runs the script in the folder of the sources.
func release(t *testing.T, sources, out string, targets []string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(".ci", "ship", "release"), append([]string{out}, targets...)...)
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), "VERSION="+version, "COMMIT="+commit, "SOURCE_DATE_EPOCH="+epoch)
	cmd.Env = append(cmd.Env, env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// emptyCache is the environment in which nothing that was compiled before is used.
func emptyCache(t *testing.T) []string {
	t.Helper()
	if !*full {
		return nil
	}
	return []string{"GOCACHE=" + t.TempDir()}
}

// copyOfSources copies what git knows, or would, to another place, with other rights.
func copyOfSources(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		kafkatest.Missing(t, "a git repository with the sources: "+err.Error())
	}
	to := filepath.Join(t.TempDir(), "a folder", "of another name")
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // removed, and git was not told yet
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// sums reads SHA256SUMS, and holds it to the files.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not what SHA256SUMS says", name)
		}
		all[name] = sum
	}
	files, err := os.ReadDir(dir)
	const beside = 2 // SHA256SUMS itself, and its signature
	if err != nil || len(files) != len(all)+beside || len(all) == 0 {
		t.Errorf("%d files, %d in SHA256SUMS, %v", len(files), len(all), err)
	}
	return all
}

// contents unpacks the archive for linux/amd64, and runs what is in it.
func contents(t *testing.T, dir string) {
	files := unpack(t, filepath.Join(dir, "openai-audit-kafka_"+version+"_linux_amd64.tar.gz"))
	for _, name := range []string{
		"openai-audit-kafka", "openai-audit-kafka.service", "LICENSE", "README.md", "CHANGELOG.md", "docs/SECURITY.md",
		"docs/operations.md", "audit_event_v1.avsc", "alerts.yaml", "openai-audit-kafka.json",
		"completions/openai-audit-kafka.bash", "completions/openai-audit-kafka.zsh", "completions/openai-audit-kafka.fish",
	} {
		if len(files[name]) == 0 {
			t.Errorf("the archive does not hold %s", name)
		}
	}
	links := regexp.MustCompile(`\]\(([^):#]+)`).FindAllSubmatch(files["README.md"], -1)
	for _, link := range links {
		if len(files[string(link[1])]) == 0 {
			t.Errorf("README.md links to %s, which the archive does not hold", link[1])
		}
	}
	if len(links) < 10 {
		t.Errorf("README.md has %d links", len(links))
	}
	program := filepath.Join(t.TempDir(), "openai-audit-kafka")
	if err := os.WriteFile(program, files["openai-audit-kafka"], 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
		t.Errorf("it was built with %v", settings)
	}
	sources, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(files["openai-audit-kafka"], []byte(sources)) {
		t.Error("the folder in which it was built is in it")
	}
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		return // it was made for another machine, and all that can be seen here was
	}
	want := "openai-audit-kafka " + version + " (commit " + commit + ", "
	if out := run(t, program, "version"); !strings.HasPrefix(out, want) || strings.Contains(out, "FIPS") {
		t.Errorf("version says %s", out)
	}
	if *full {
		variant := unpack(t, filepath.Join(dir, "openai-audit-kafka_"+version+"_linux_amd64_fips.tar.gz"))
		if err := os.WriteFile(program, variant["openai-audit-kafka"], 0o700); err != nil {
			t.Fatal(err)
		}
		if out := run(t, program, "version"); !strings.HasPrefix(out, want) || !strings.Contains(out, "FIPS 140-3 mode with module v1.0.0") {
			t.Errorf("version of the FIPS variant says %s", out)
		}
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		want := int64(0o644)
		if header.Typeflag == tar.TypeDir || strings.HasSuffix(header.Name, "/openai-audit-kafka") {
			want = 0o755
		}
		if header.Mode != want || header.Uid != 0 || header.Uname != "" || header.ModTime.Unix() != 1767225600 {
			t.Errorf("%s: rights %o, owner %d %q, time %v", header.Name, header.Mode, header.Uid, header.Uname, header.ModTime)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if files[name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// billOfMaterials holds the list to what Go says is in the binary.
func billOfMaterials(t *testing.T, dir string) {
	name := "openai-audit-kafka_" + version + "_linux_amd64"
	text, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		Format     string `json:"bomFormat"`
		Components []struct{ Name, Version string }
		Metadata   struct{ Component struct{ Version string } }
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.Format != "CycloneDX" || bom.Metadata.Component.Version != version {
		t.Errorf("format %q, version %q, %v", bom.Format, bom.Metadata.Component.Version, err)
	}
	var listed, linked []string
	for _, c := range bom.Components {
		listed = append(listed, c.Name+" "+strings.TrimPrefix(c.Version, "go"))
	}
	info, err := buildinfo.Read(bytes.NewReader(unpack(t, filepath.Join(dir, name+".tar.gz"))["openai-audit-kafka"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		linked = append(linked, m.Path+" "+m.Version)
	}
	linked = append(linked, "std "+strings.TrimPrefix(info.GoVersion, "go"))
	slices.Sort(listed)
	slices.Sort(linked)
	if !slices.Equal(listed, linked) {
		t.Errorf("listed: %v\nlinked: %v", listed, linked)
	}
}

// advisories holds the statements to the advisories that CI lets pass, and to the
// version of the library that is linked.
func advisories(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "openai-audit-kafka_"+version+".openvex.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vex struct {
		Context    string `json:"@context"`
		Statements []struct {
			Vulnerability struct{ Name string }
			Products      []struct {
				ID            string `json:"@id"`
				Subcomponents []struct {
					ID string `json:"@id"`
				}
			}
			Status, Justification string
		}
	}
	if err := json.Unmarshal(text, &vex); err != nil || !strings.HasPrefix(vex.Context, "https://openvex.dev/ns/") {
		t.Fatalf("%q, %v", vex.Context, err)
	}
	allowed, err := os.ReadFile(filepath.Join(root, ".ci", "tools", "vulns", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	library := regexp.MustCompile(`github\.com/hamba/avro/v2 (v\S+)`).FindStringSubmatch(string(mod))
	var want, got []string
	for _, m := range regexp.MustCompile(`"(GO-[0-9]+-[0-9]+)": true`).FindAllStringSubmatch(string(allowed), -1) {
		want = append(want, m[1])
	}
	for _, s := range vex.Statements {
		got = append(got, s.Vulnerability.Name)
		if s.Status != "not_affected" || s.Justification != "vulnerable_code_not_in_execute_path" || len(s.Products) != 1 ||
			s.Products[0].ID != "pkg:golang/github.com/openai-audit-kafka/openai-audit-kafka@"+version ||
			s.Products[0].Subcomponents[0].ID != "pkg:golang/github.com/hamba/avro/v2@"+library[1] {
			t.Errorf("%+v", s)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("statements about %v, and CI lets %v pass", got, want)
	}
}

// chart holds the chart's archive to its version, and to being whole: what is a link in
// the sources is a file in it. Helm's own library renders the chart in docker/chart/test.
func chart(t *testing.T, dir string) {
	files := unpack(t, filepath.Join(dir, "openai-audit-kafka-chart_"+version+".tgz"))
	about := string(files["Chart.yaml"])
	if !strings.Contains(about, "\nversion: 0.0.0-test\n") || !strings.Contains(about, "\nappVersion: \""+version+"\"\n") {
		t.Errorf("Chart.yaml is\n%s", about)
	}
	alerts, err := os.ReadFile(filepath.Join(root, "docker", "prometheus", "alerts.yaml"))
	if err != nil || !bytes.Equal(files["alerts.yaml"], alerts) {
		t.Errorf("its alerts are others: %v", err)
	}
	for _, name := range []string{"values.yaml", "values.schema.json", "templates/deployment.yaml", "templates/NOTES.txt"} {
		if len(files[name]) == 0 {
			t.Errorf("the chart does not hold %s", name)
		}
	}
	for name := range files {
		if strings.HasPrefix(name, "test/") {
			t.Errorf("the chart holds %s", name)
		}
	}
}
