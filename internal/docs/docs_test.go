package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// These tests hold the documents to the code.

func TestMain(m *testing.M) { kafkatest.Main(m) }

const root = "../.."

// documents are all that people read.
var documents = []string{
	"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md", "docs/settings.md", "docs/design.md", "docs/operations.md", "docs/brokers.md", "docs/consuming.md", "docs/schema.md", "docs/SECURITY.md", "docs/benchmarks.md", "docs/proof.md",
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// between returns what a document has between two marks.
func between(t *testing.T, name, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, name), from)
	text, _, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("%s has no part between %s and %s", name, from, to)
	}
	return text
}

// binary builds a program of ours, and returns its path.
func binary(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", out, "./cmd/"+name)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, text)
	}
	return out
}

type schemaVersion struct{ number, fingerprint string }

func publishedSchemas() (all []schemaVersion) {
	for _, v := range schemas.Versions() {
		all = append(all, schemaVersion{strconv.Itoa(v.Number), strings.TrimPrefix(v.URN(), "urn:avro:crc64:")})
	}
	return all
}
