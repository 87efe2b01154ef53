package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// A proof is checked from its file alone: with the key that signed it, with another one,
// without any, and after somebody changed it.
func TestCheckProof(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := func() (private, public string) {
		var out, problems bytes.Buffer
		if code := run(t.Context(), []string{"seal", "keygen", "--name", "acme"}, nil, &out, &problems); code != exitDone {
			t.Fatalf("keygen ends with %d: %s", code, &problems)
		}
		private, public, _ = strings.Cut(strings.TrimSpace(out.String()), "\n")
		return private, public
	}
	private, public := keys()
	_, another := keys()
	signer, err := seal.ParseSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	leaf := seal.Leaf{Role: seal.RoleEvents, Key: []byte("audit_log-1"), Value: []byte("value")}
	tree := seal.NewTree()
	tree.Append(new(seal.Hasher).Hash(leaf))
	note, err := signer.Sign(seal.NewCheckpoint(seal.Origin("acme"), tree, time.Unix(1_700_000_000, 0), seal.Began{}).Text())
	if err != nil {
		t.Fatal(err)
	}
	proof := file("proof", string(seal.Proof{Leaf: leaf, Checkpoint: note}.Text()))
	leaf.Value = []byte("other")
	changed := file("changed", string(seal.Proof{Leaf: leaf, Checkpoint: note}.Text()))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"with its key":       {[]string{proof, "--public-key", file("pub", public)}, exitDone, `proven: record 0 of openai-audit-kafka/acme, id "audit_log-1"`},
		"without a key":      {[]string{proof}, exitDone, "The signature was not checked"},
		"with another key":   {[]string{proof, "--public-key", file("another", another)}, exitFound, "not signed with the key"},
		"changed":            {[]string{changed}, exitFound, "not proven"},
		"no proof":           {[]string{file("none", "x")}, exitFailed, "this is no proof"},
		"no key":             {[]string{proof, "--public-key", file("empty", "")}, exitFailed, "the file is empty"},
		"a private key":      {[]string{proof, "--public-key", file("private", private)}, exitFailed, "no public key"},
		"no file to look at": {nil, exitUsage, "accepts 1 arg"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), append([]string{"seal", "check-proof"}, test.args...), nil, &out, &out)
		if code != test.code || !strings.Contains(out.String(), test.says) {
			t.Errorf("%s: it ends with %d, want %d, and says %q, want %q", name, code, test.code, &out, test.says)
		}
		if strings.Contains(out.String(), private) {
			t.Errorf("%s: it shows the private key", name)
		}
	}
}

// Who has no admin key checks the topics, and proves one event from a file.
func testSealedCommand(t *testing.T, w *operated) {
	t.Helper()
	const keyless = "OPENAI_ADMIN_KEY="
	if out, _ := w.command(t, exitDone, "verify --sealed", keyless); !strings.Contains(out, "whole: all that was sealed is there") || !strings.Contains(out, "not signed") {
		t.Error(out)
	}
	out, _ := w.command(t, exitDone, "verify --sealed -o json", keyless)
	var report struct {
		Whole bool
		Trees []struct{ Size int }
		Cut   []any
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Whole || len(report.Trees) == 0 || report.Trees[0].Size == 0 || report.Cut == nil {
		t.Errorf("%v in %s", err, out)
	}
	var event struct{ ID string }
	if out, _ = w.command(t, exitDone, "tail -n 1 --format json", keyless); json.Unmarshal([]byte(out), &event) != nil {
		t.Fatal(out)
	}
	proof, _ := w.command(t, exitDone, "verify --prove "+event.ID, keyless)
	file := filepath.Join(t.TempDir(), "proof")
	if err := os.WriteFile(file, []byte(proof), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ = w.command(t, exitDone, "seal check-proof "+file); !strings.Contains(out, event.ID) {
		t.Error(out)
	}
	w.command(t, exitFailed, "verify --prove no-such-id", keyless)
	w.command(t, exitUsage, "verify --sealed --from 1h --to now")
	w.command(t, exitFailed, "verify --sealed --since "+file, keyless)
}
