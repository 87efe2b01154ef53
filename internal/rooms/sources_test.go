package rooms_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// environment is what reads the environment, by package.
var environment = map[string][]string{
	"os":      {"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
	"syscall": {"Getenv", "Environ"},
}

// TestOnlyConfigReadsTheEnvironment keeps every setting where "config" prints it
// and a mistyped one is found.
func TestOnlyConfigReadsTheEnvironment(t *testing.T) {
	for _, f := range sources(t) {
		if f.room == "internal/config" || f.room == "internal/kafkatest" {
			continue
		}
		for _, use := range f.uses(func(from, name string) bool { return slices.Contains(environment[from], name) }) {
			t.Errorf("%s: only internal/config reads the environment", use)
		}
	}
}

// decoders are the parts of hamba/avro that read bytes. They have advisories
// without a fix; twmb/avro reads.
var decoders = []string{
	"Unmarshal", "NewDecoder", "NewDecoderForSchema", "NewReader", "Reader", "Decoder", "DecoderOf", "Decode", "ReadVal",
}

// TestHambaOnlyEncodes is wider than it must be: in a file that imports hamba/avro
// nothing may have one of these names, whatever its package, for a method's
// package is not to be seen without types. JSON's are let through.
func TestHambaOnlyEncodes(t *testing.T) {
	for _, f := range sources(t) {
		if !slices.ContainsFunc(f.imports(), func(i string) bool { return within(i, "github.com/hamba/avro") }) {
			continue
		}
		for _, use := range f.uses(func(from, name string) bool {
			return slices.Contains(decoders, name) && from != "encoding/json" && from != "bytes" && from != "strings"
		}) {
			t.Errorf("%s: hamba/avro may only encode", use)
		}
	}
}

// source is one file of ours that is not a test.
type source struct {
	room string
	fset *token.FileSet
	*ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range everything(t) {
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, source{roomOf(p.ImportPath), fset, file})
		}
	}
	if len(all) == 0 {
		t.Fatal("no sources found")
	}
	return all
}

func (s source) imports() []string {
	var paths []string
	for _, i := range s.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

// uses returns where the file has package.Name or value.Name that match. from is
// the package's path, or "" for a value.
func (s source) uses(match func(from, name string) bool) []string {
	byName := map[string]string{}
	for _, i := range s.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		name := p[strings.LastIndex(p, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		byName[name] = p
	}
	var found []string
	ast.Inspect(s.File, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from := ""
		if x, ok := selector.X.(*ast.Ident); ok {
			from = byName[x.Name]
		}
		if match(from, selector.Sel.Name) {
			found = append(found, s.fset.Position(selector.Pos()).String())
		}
		return true
	})
	return found
}
