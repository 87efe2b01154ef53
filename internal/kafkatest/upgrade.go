package kafkatest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// AddedColumn is the column that NextSchema has and no release has.
const AddedColumn = "added_later"

// NextSchema returns a version of the schema as the next release may have it: the newest
// with a nullable column more at its end. Tests show with it what an upgrade does to those
// who read the topic. No release has it.
var NextSchema = sync.OnceValue(func() schemas.Version {
	newest := schemas.Latest()
	end := strings.LastIndex(newest.Text, "\n  ]")
	text := newest.Text[:end] + `,
    {"name": "` + AddedColumn + `", "type": ["null", "string"], "default": null,
     "doc": "What the next release tells."}` + newest.Text[end:]
	sum := avro.MustParse(text).Fingerprint(avro.NewRabin())
	return schemas.Version{Number: newest.Number + 1, Text: text, Fingerprint: binary.BigEndian.Uint64(sum)}
})

// NextRelease returns the flag for the go command that gives what it builds NextSchema
// as its newest version, as if it were in the package schemas.
func NextRelease(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs(".")
	for ; err == nil && !exists(filepath.Join(root, "go.mod")); root = filepath.Dir(root) {
		if root == filepath.Dir(root) {
			t.Fatal("no folder above has go.mod")
		}
	}
	file := filepath.Join(root, "schemas", "schemas.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := NextSchema()
	added := fmt.Appendf(text, "\nfunc init() {\n\tversions = append(versions, Version{%d, %q, %#x})\n}\n", v.Number, v.Text, v.Fingerprint)
	replaced, overlay := filepath.Join(t.TempDir(), "schemas.go"), filepath.Join(t.TempDir(), "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{file: replaced}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{replaced: added, overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "-overlay=" + overlay
}
