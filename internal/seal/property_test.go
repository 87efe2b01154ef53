package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// Each leaf of a tree of any size is proven, from whatever checkpoint the reader
// begins at, also from one in the middle of a subtree.
func TestEveryLeafIsProven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		index := rapid.IntRange(0, size-1).Draw(t, "index")
		begin := rapid.IntRange(0, index).Draw(t, "begin")
		p, err := seal.ParseProof(proofOf(t, index, size, begin, seal.Signer{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Check(seal.Verifier{}); err != nil {
			t.Fatal(err)
		}
		p.Index = (p.Index + 1) % uint64(size)
		if _, _, err := p.Check(seal.Verifier{}); err == nil && size > 1 {
			t.Fatal("a proof is right for the number of another leaf")
		}
	})
}

// A tree that is resumed again and again, as at each start, is the same as one that
// grew at once.
func TestResumedAgainAndAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, hasher, n := seal.NewTree(), new(seal.Hasher), 0
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 40), 1, 12).Draw(t, "commits") {
			for range step {
				tree.Append(hasher.Hash(leafOf(n)))
				n++
			}
			var err error
			if tree, err = seal.ResumeTree(tree.Size(), tree.Edge()); err != nil {
				t.Fatal(err)
			}
		}
		if tree.Root() != grown(n).Root() {
			t.Fatalf("the root of %d leaves is another after restarts", n)
		}
	})
}

// Other implementations, with nothing of ours, come to the same root: those that
// docs/proof.md gives.
func TestOtherImplementations(t *testing.T) {
	var input bytes.Buffer
	tree, hasher := seal.NewTree(), new(seal.Hasher)
	encoder := json.NewEncoder(&input)
	for n := range 1000 {
		leaf := leafOf(n)
		switch n % 100 {
		case 7:
			leaf = seal.Leaf{Role: seal.RoleDLQ, Value: []byte{}}
		case 8:
			leaf.Key = []byte{}
		}
		tree.Append(hasher.Hash(leaf))
		record := struct {
			Role  string `json:"role"`
			Key   []byte `json:"key"` // base64, and null for nil
			Value []byte `json:"value"`
		}{leaf.Role, leaf.Key, leaf.Value}
		if err := encoder.Encode(record); err != nil {
			t.Fatal(err)
		}
	}
	root := tree.Root()
	want := base64.StdEncoding.EncodeToString(root[:])
	for language, run := range map[string]func(program string) *exec.Cmd{
		"python": func(program string) *exec.Cmd { return exec.CommandContext(t.Context(), "python3", "-c", program) },
		"go": func(program string) *exec.Cmd {
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			return exec.CommandContext(t.Context(), "go", "run", file)
		},
	} {
		cmd := run(programOf(t, language))
		cmd.Stdin = bytes.NewReader(input.Bytes())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v:\n%s", language, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("the program in %s has the root %s, and we have %s", language, got, want)
		}
	}
}

// programOf returns the program in docs/proof.md in that language.
func programOf(t *testing.T, language string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(doc), "```"+language+"\n")
	program, _, ended := strings.Cut(program, "```")
	if !found || !ended {
		t.Fatalf("docs/proof.md has no program in %s", language)
	}
	return program
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(golden + "\n"))
	f.Add([]byte(strings.Replace(golden, "scope tenant refused\n", "", 1) + "\n— acme 1h2UH\n"))
	f.Add([]byte("openai-audit-kafka/acme\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\ntime 2026-11-27T10:00:00Z\nbegan 2026-11-27T10:00:00Z\nrange\n\n"))
	f.Fuzz(func(t *testing.T, note []byte) {
		c, _, err := seal.Verifier{}.OpenCheckpoint(note)
		if err != nil {
			return
		}
		text, _, _ := bytes.Cut(note, []byte("\n\n"))
		if got := c.Text(); got != string(text)+"\n" {
			t.Errorf("it was read as\n%s", got)
		}
		if tree, err := c.Tree(); err == nil && (tree.Size() != c.Size || tree.Root() != c.Root) {
			t.Errorf("its tree has the size %d and the root %x", tree.Size(), tree.Root())
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add(proofOf(f, 5, 11, 4, seal.Signer{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := seal.ParseProof(text)
		if err != nil {
			return
		}
		if c, _, err := p.Check(seal.Verifier{}); err == nil && p.Index >= c.Size {
			t.Errorf("leaf %d of %d is proven", p.Index, c.Size)
		}
	})
}
