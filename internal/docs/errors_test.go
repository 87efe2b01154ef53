package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The errors that docs/operations.md lists by message are those of the code, and
// those of the code's closed lists are there.
func TestErrorsAreListed(t *testing.T) {
	listed := listedMessages(t)
	all := strings.Join(slices.Collect(maps.Keys(literals(t, everyFile(t), anyLiteral))), "\n")
	for _, message := range listed {
		if !strings.Contains(all, message) {
			t.Errorf("docs/operations.md lists the message %q, which nothing says", message)
		}
	}
	for _, source := range []struct {
		file string
		pick func(ast.Node) []ast.Expr
	}{
		{"internal/openai/errors.go", valuesOf("remedies")},
		{"internal/codec/registry_errors.go", valuesOf("remedies")},
		{"internal/kafka/errors.go", longLiterals},
		{"connector", argumentsOf("refuse", 1)},
		{"internal/window", argumentsOf("unusable", 1)},
		{"internal/ops/edit.go", sentencesOf("Errorf", "New")},
		{"internal/ops/edits.go", sentencesOf("Errorf", "New")},
		{"internal/ops/repair.go", sentencesOf("Errorf", "New")},
		{"internal/ops/stored.go", sentencesOf("Errorf", "New")},
		{"internal/ops/config.go", sentencesOf("Errorf", "New")},
		{"internal/ops/tail.go", sentencesOf("Errorf", "New")},
	} {
		found := literals(t, filesUnder(t, source.file), source.pick)
		for message, where := range found {
			if !slices.ContainsFunc(listed, func(l string) bool { return strings.Contains(message, l) }) {
				t.Errorf("%s: docs/operations.md lists no part of %q", where, message)
			}
		}
	}
}

// listedMessages are the first cells of the tables of errors.
func listedMessages(t *testing.T) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?m)^\\| `([^|]*)` \\|").FindAllStringSubmatch(between(t, "docs/operations.md", "<!-- errors -->", "<!-- /errors -->"), -1) {
		all = append(all, strings.Split(m[1], "` … `")...)
	}
	if len(all) == 0 {
		t.Fatal("no errors are listed")
	}
	return all
}

func everyFile(t *testing.T) (files []string) {
	t.Helper()
	for _, room := range []string{"cmd/openai-audit-kafka", "connector", "internal"} {
		files = append(files, filesUnder(t, room)...)
	}
	return files
}

// filesUnder are a file, or those of a room, without tests.
func filesUnder(t *testing.T, name string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, name), func(file string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// literals are the texts that pick chooses, each with a file that has it. Texts that
// are put together with + count as one.
func literals(t *testing.T, files []string, pick func(ast.Node) []ast.Expr) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			for _, expr := range pick(n) {
				if text := textOf(expr); text != "" {
					found[text] = file
				}
			}
			return true
		})
	}
	return found
}

func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // of what is no text
		return text
	case *ast.BinaryExpr:
		return textOf(e.X) + textOf(e.Y)
	}
	return ""
}

func anyLiteral(n ast.Node) []ast.Expr {
	if e, ok := n.(ast.Expr); ok {
		return []ast.Expr{e}
	}
	return nil
}

// longLiterals are texts of some words.
func longLiterals(n ast.Node) []ast.Expr {
	if e, ok := n.(*ast.BasicLit); ok && strings.Count(textOf(e), " ") > 3 {
		return []ast.Expr{e}
	}
	return nil
}

// sentencesOf are the first arguments of calls of a package's functions that say more
// than what was being done.
func sentencesOf(names ...string) func(ast.Node) []ast.Expr {
	return func(n ast.Node) []ast.Expr {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return nil
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(names, f.Sel.Name) || strings.Count(textOf(call.Args[0]), " ") < 5 {
			return nil
		}
		return call.Args[:1]
	}
}

// valuesOf are the values of the map of that name.
func valuesOf(name string) func(ast.Node) []ast.Expr {
	return func(n ast.Node) (values []ast.Expr) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != name {
			return nil
		}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			values = append(values, element.(*ast.KeyValueExpr).Value)
		}
		return values
	}
}

// argumentsOf are the nth arguments of the calls of a function of that name.
func argumentsOf(name string, nth int) func(ast.Node) []ast.Expr {
	return func(n ast.Node) []ast.Expr {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) <= nth {
			return nil
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != name {
			return nil
		}
		return []ast.Expr{call.Args[nth]}
	}
}
