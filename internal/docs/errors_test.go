package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every message of the code's lists of errors says what to do, or that nothing needs
// to be done. So no message has to be looked up.
func TestMessagesCarryTheirRemedy(t *testing.T) {
	for _, source := range []struct {
		where string
		pick  func(ast.Node) []ast.Expr
		least int // so many are there, or the test looks for the wrong thing
	}{
		{"internal", fieldsNamed("remedy", "Remedy"), 40},
		{"connector", fieldsNamed("remedy", "Remedy"), 1},
		{"internal/openai/errors.go", valuesOf("remedies"), 14},
		{"internal/codec/registry_errors.go", valuesOf("remedies"), 5},
		{"internal/kafka/errors.go", secondResults, 15},
		{"connector", argumentsOf(0, "refuse"), 4},
		{"internal/target", argumentsOf(0, "refuse"), 2},
		{"internal/target", returnsOf("movedRemedy"), 2},
		{"internal/target/making.go", sentences, 1},
		{"internal/window", argumentsOf(0, "unusable"), 6},
		{"connector", argumentsOf(2, "fault"), 30},
		{"connector", argumentsOf(4, "fileFault"), 6},
		{"internal/config", argumentsOf(2, "fault", "hiddenFault"), 8},
		{"internal/ops/edit.go", sentences, 3},
		{"internal/ops/edits.go", sentences, 3},
		{"internal/ops/repair.go", sentences, 3},
		{"internal/ops/config.go", sentences, 1},
		{"internal/ops/tail.go", sentences, 1},
	} {
		files := filesUnder(t, source.where)
		consts := constants(t, files)
		found := 0
		for _, file := range files {
			ast.Inspect(parse(t, file), func(n ast.Node) bool {
				for _, expr := range source.pick(n) {
					text := textOf(expr, consts)
					if text == "" || text[0] == ',' {
						continue // made at run time, or the end of one that is
					}
					found++
					if !remedy.MatchString(text) {
						t.Errorf("%s: it is not said what to do: %q", file, text)
					}
				}
				return true
			})
		}
		if found < source.least {
			t.Errorf("%s: %d messages, want %d or more", source.where, found, source.least)
		}
	}
}

// remedy matches a text that tells somebody to do something, names a command of ours,
// or says that it goes on by itself.
var remedy = regexp.MustCompile("`[a-z]+( [^`]*)?`" +
	`|(?i)(^|[:;,?] |\bor |\band |\bthen )(add|ask|change|check|choose|correct|drop|find|fix|give|go|grant|have|keep|leave|let|look|lower|make|name|put|raise|register|remove|report|restore|run|say|see|send|set|start|stop|take|use|wait|write)\b` +
	`|needs (its?|a)\b|tried again|read again|begins again|starts again|goes on|the next (run|start)|did you mean`)

func TestRemedyIsRecognized(t *testing.T) {
	for text, want := range map[string]bool{
		"the broker does not offer this mechanism; check KAFKA_SASL_MECHANISM": true,
		"give the connector a topic of its own":                                true,
		"somebody removed the cursor: `cursor reset` emits again":              true,
		"a partition's leader has moved; it is tried again":                    true,
		"the broker does not offer this mechanism":                             false,
		"Kafka does not take this topic name":                                  false,
		"the settings of the topic":                                            false,
	} {
		if remedy.MatchString(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
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

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// constants are the texts that have a name, of all the files.
func constants(t *testing.T, files []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, file := range files {
		ast.Inspect(parse(t, file), func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i, name := range spec.Names {
					all[name.Name] = textOf(spec.Values[i], nil)
				}
			}
			return true
		})
	}
	return all
}

// textOf returns a literal, a constant, or those that are put together with +.
func textOf(e ast.Expr, consts map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // of what is no text
		return text
	case *ast.Ident:
		return consts[e.Name]
	case *ast.BinaryExpr:
		return textOf(e.X, consts) + textOf(e.Y, consts)
	}
	return ""
}

// fieldsNamed are the values of fields of these names.
func fieldsNamed(names ...string) func(ast.Node) []ast.Expr {
	return func(n ast.Node) []ast.Expr {
		if field, ok := n.(*ast.KeyValueExpr); ok {
			if key, ok := field.Key.(*ast.Ident); ok && slices.Contains(names, key.Name) {
				return []ast.Expr{field.Value}
			}
		}
		return nil
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

// secondResults are what is returned beside a class of errors.
func secondResults(n ast.Node) []ast.Expr {
	if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) >= 2 {
		return r.Results[1:2]
	}
	return nil
}

// argumentsOf are the nth arguments of the calls of functions and methods of these names.
func argumentsOf(nth int, names ...string) func(ast.Node) []ast.Expr {
	return func(n ast.Node) []ast.Expr {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > nth && slices.Contains(names, called(call)) {
			return []ast.Expr{call.Args[nth]}
		}
		return nil
	}
}

// returnsOf are what a function returns.
func returnsOf(name string) func(ast.Node) []ast.Expr {
	return func(n ast.Node) (all []ast.Expr) {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != name {
			return nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok {
				all = append(all, r.Results...)
			}
			return true
		})
		return all
	}
}

// sentences are the errors that say more than what was being done.
func sentences(n ast.Node) []ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Errorf", "New"}, called(call)) || strings.Count(textOf(call.Args[0], nil), " ") < 5 {
		return nil
	}
	return call.Args[:1]
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
