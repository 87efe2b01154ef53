package codec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	hamba = "github.com/hamba/avro/v2"
	// hambaFile is the only file that may import it.
	hambaFile = "internal/codec/avro.go"
)

// hambaEncodes is all that may be used of the package. What is not here decodes
// (GO-2026-5046, -5047, -5048), computes wrong fingerprints, or has global state.
var hambaEncodes = []string{"Config", "NewWriter", "ParseWithCache", "Schema", "SchemaCache", "WithWriterConfig", "Writer"}

// hambaMethods decode or compute fingerprints, on values that the names above
// give.
var hambaMethods = []string{"Unmarshal", "NewDecoder", "DecoderOf", "Fingerprint", "FingerprintUsing", "CacheFingerprint", "ReadVal"}

// TestHambaOnlyEncodes goes over all sources of the module, tests included.
func TestHambaOnlyEncodes(t *testing.T) {
	root := moduleRoot(t)
	seen := false
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "vendor" || name == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Logf("%s: %v", file, err) // it does not compile either
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		seen = checkHamba(t, filepath.ToSlash(relative), parsed) || seen
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen {
		t.Errorf("%s does not import %s: this test tests nothing", hambaFile, hamba)
	}
}

// TestHambaCheckFinds: the check above finds what it is there for.
func TestHambaCheckFinds(t *testing.T) {
	for name, test := range map[string]struct{ file, source string }{
		"elsewhere":     {"connector/x.go", `import _ "github.com/hamba/avro/v2"`},
		"other file":    {"internal/codec/x_test.go", `import "github.com/hamba/avro/v2"`},
		"subpackage":    {hambaFile, `import "github.com/hamba/avro/v2/soe"`},
		"dot import":    {hambaFile, `import . "github.com/hamba/avro/v2"`},
		"function":      {hambaFile, `import "github.com/hamba/avro/v2"; var _ = avro.Unmarshal`},
		"renamed":       {hambaFile, `import h "github.com/hamba/avro/v2"; var _ = h.NewDecoder`},
		"method":        {hambaFile, `import "github.com/hamba/avro/v2"; var _ = avro.Config{}.Freeze().Unmarshal`},
		"global schema": {hambaFile, `import "github.com/hamba/avro/v2"; var _ = avro.MustParse`},
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), test.file, "package x;"+test.source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		var recorder failures
		checkHamba(&recorder, test.file, parsed)
		if recorder == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

type failures int

func (f *failures) Errorf(string, ...any) { *f++ }

type reporter interface{ Errorf(string, ...any) }

// checkHamba reports what the file may not do, and whether it imports hamba.
func checkHamba(t reporter, file string, parsed *ast.File) (imports bool) {
	name := ""
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if imported != hamba && !strings.HasPrefix(imported, path.Dir(hamba)) {
			continue
		}
		name = "avro"
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if imported != hamba || name == "." || file != hambaFile {
			t.Errorf("%s imports %s: only %s may, and its main package only", file, imported, hambaFile)
		}
	}
	if name == "" {
		return false
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		of, isName := selector.X.(*ast.Ident)
		isHambas := isName && of.Name == name
		if isHambas && !slices.Contains(hambaEncodes, selector.Sel.Name) || slices.Contains(hambaMethods, selector.Sel.Name) {
			t.Errorf("%s uses %s of %s: only its encoder may be used", file, selector.Sel.Name, hamba)
		}
		return true
	})
	return true
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}
