package release_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// signer is how docs/operations.md names who signs.
const signer = "release@openai-audit-kafka"

// throwAwayKey makes a key to sign with, and returns its private part.
func throwAwayKey(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		kafkatest.Missing(t, "ssh-keygen: install the package openssh-client")
	}
	file := filepath.Join(t.TempDir(), "key")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", signer, "-f", file)
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	allowedSigners = signer + " " + string(public)
	return string(key)
}

// allowedSigners is what somebody has who checks a release: the public key, from elsewhere.
var allowedSigners string

// signature runs the command of docs/operations.md, word for word, on the release; then on the
// release with one byte of it changed, on each file in turn, and with another key.
func signature(t *testing.T, dir string) {
	operations, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^ssh-keygen -Y verify .*$`).FindString(string(operations))
	if command == "" {
		t.Fatal("docs/operations.md does not say how a release is checked")
	}
	check := func(dir string) error {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
		cmd.Dir = dir
		return cmd.Run()
	}
	copied := filepath.Join(t.TempDir(), "dist")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(copied, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("allowed_signers", []byte(allowedSigners))
	if err := check(copied); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	for name := range maps.Keys(sums(t, dir)) {
		text, err := os.ReadFile(filepath.Join(copied, name))
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(text)
		changed[len(changed)/2] ^= 1
		write(name, changed)
		if err := check(copied); err == nil {
			t.Errorf("a changed byte in %s is not found", name)
		}
		write(name, text)
	}
	list, err := os.ReadFile(filepath.Join(copied, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	write("SHA256SUMS", []byte(strings.ToUpper(string(list))))
	if err := check(copied); err == nil {
		t.Error("a changed SHA256SUMS is not found")
	}
	write("SHA256SUMS", list)
	mine := allowedSigners
	throwAwayKey(t) // somebody else's
	write("allowed_signers", []byte(allowedSigners))
	allowedSigners = mine
	if err := check(copied); err == nil {
		t.Error("a release that somebody else signed passes")
	}
}

// provenance holds the statement to the files.
func provenance(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "openai-audit-kafka_"+version+".provenance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var statement struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest struct{ SHA256 string }
		}
		Predicate struct {
			BuildDefinition struct {
				BuildType            string
				ExternalParameters   struct{ Version string }
				ResolvedDependencies []struct{ Digest struct{ GitCommit string } }
			}
			RunDetails struct{ Builder struct{ ID string } }
		}
	}
	if err := json.Unmarshal(text, &statement); err != nil {
		t.Fatal(err)
	}
	made := statement.Predicate.BuildDefinition
	if statement.Type != "https://in-toto.io/Statement/v1" || statement.PredicateType != "https://slsa.dev/provenance/v1" ||
		made.ExternalParameters.Version != version || made.ResolvedDependencies[0].Digest.GitCommit != commit ||
		made.BuildType == "" || statement.Predicate.RunDetails.Builder.ID == "" {
		t.Errorf("it says %s", text)
	}
	got := map[string]string{}
	for _, s := range statement.Subject {
		got[s.Name] = s.Digest.SHA256
	}
	want := sums(t, dir)
	delete(want, "openai-audit-kafka_"+version+".provenance.json") // the statement itself
	if !maps.Equal(got, want) {
		t.Errorf("it is about %v, and the files are %v", got, want)
	}
}

// What is no digest of an image is refused, and what is one becomes part of a release.
func TestDigestsOfImages(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, ".ci", "ship", "release"))
	if err != nil {
		t.Fatal(err)
	}
	images := regexp.MustCompile(`(?s)\nimages\(\) \{\n.*?\n\}\n`).FindString(string(script))
	good := "example.org/openai-audit-kafka:v1.0.0@sha256:" + strings.Repeat("0a", 32) + "\n"
	for text, ok := range map[string]bool{good: true, good + good: true, "": false, "openai-audit-kafka:v1.0.0\n": false, good + "latest\n": false} {
		file := filepath.Join(t.TempDir(), "images")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", images+"images")
		cmd.Env = append(os.Environ(), "RELEASE_IMAGES="+file)
		out, err := cmd.Output()
		if ok != (err == nil) || ok && string(out) != text {
			t.Errorf("%q: %v, %q", text, err, out)
		}
	}
}
