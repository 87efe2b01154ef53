package rooms_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A reader must be able to hold a type in mind, and to see where a name comes from.
const (
	methodsMost   = 25
	embeddingMost = 1
)

// TestTypesAreSmall holds every type of ours, those of tests too, to so many methods.
func TestTypesAreSmall(t *testing.T) {
	for name, declared := range shapesOf(t).methods {
		if len(declared) > methodsMost {
			t.Errorf("%s has %d methods, and %d is the most: give a part of it a type of its own", name, len(declared), methodsMost)
		}
	}
}

// TestEmbeddingIsFlat lets a type embed another of ours, but not one that itself embeds
// one of ours.
func TestEmbeddingIsFlat(t *testing.T) {
	s := shapesOf(t)
	for name := range s.embedded {
		if chain := s.deepest(name); len(chain) > embeddingMost+1 {
			t.Errorf("%s: an embedding of %d, and %d is the most: give the field a name", strings.Join(chain, " -> "), len(chain)-1, embeddingMost)
		}
	}
}

// shapes say of the types of ours, by package and name, what they declare.
type shapes struct {
	methods  map[string][]string
	embedded map[string][]string
}

// deepest returns the longest chain of types of ours, each of which embeds the next.
func (s shapes) deepest(name string) []string {
	chain := []string{name}
	for _, inner := range s.embedded[name] {
		if below := s.deepest(inner); len(below) >= len(chain) {
			chain = append([]string{name}, below...)
		}
	}
	return chain
}

// shapesOf reads all files, with those of other systems: a type is what they declare
// together.
func shapesOf(t *testing.T) shapes {
	t.Helper()
	s := shapes{methods: map[string][]string{}, embedded: map[string][]string{}}
	read := 0
	for _, p := range everything(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			here := p.ImportPath
			if strings.HasSuffix(file.Name.Name, "_test") {
				here += "_test"
			}
			s.add(here, file)
			read++
		}
	}
	if read == 0 {
		t.Fatal("no file was read")
	}
	return s
}

func (s shapes) add(here string, file *ast.File) {
	imported := map[string]string{} // ours, by the name in this file
	for _, i := range file.Imports {
		where := strings.Trim(i.Path.Value, `"`)
		name := path.Base(where)
		if i.Name != nil {
			name = i.Name.Name
		}
		if strings.HasPrefix(where, module) {
			imported[name] = where
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				continue
			}
			of := fmt.Sprintf("%s.%s", here, nameOf(d.Recv.List[0].Type, here, nil))
			if !slices.Contains(s.methods[of], d.Name.Name) {
				s.methods[of] = append(s.methods[of], d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					s.addStruct(here, spec, imported)
				}
			}
		}
	}
}

func (s shapes) addStruct(here string, spec *ast.TypeSpec, imported map[string]string) {
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range fields.Fields.List {
		if len(field.Names) > 0 {
			continue
		}
		if inner := nameOf(field.Type, here, imported); inner != "" {
			of := here + "." + spec.Name.Name
			s.embedded[of] = append(s.embedded[of], inner)
		}
	}
}

// nameOf returns the package and name of a type that is embedded, and "" for one of
// others; of a receiver, which has no imports, the name alone.
func nameOf(e ast.Expr, here string, imported map[string]string) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return nameOf(e.X, here, imported)
	case *ast.IndexExpr:
		return nameOf(e.X, here, imported)
	case *ast.IndexListExpr:
		return nameOf(e.X, here, imported)
	case *ast.SelectorExpr:
		if from, ok := e.X.(*ast.Ident); ok && imported[from.Name] != "" {
			return imported[from.Name] + "." + e.Sel.Name
		}
	case *ast.Ident:
		if imported == nil {
			return e.Name
		}
		return here + "." + e.Name
	}
	return ""
}
