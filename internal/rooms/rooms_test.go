package rooms_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/openai-audit-kafka/openai-audit-kafka/"

// rooms says for each room which others it may import. Arrows point down only: a
// room is listed after all it may import, so there can be no circle. A package
// in a folder of a room belongs to that room.
var rooms = []room{
	{"internal/auditlog", nil},
	{"schemas", nil},
	{"internal/rooms", nil},
	{"docs", []string{"schemas"}},
	{"internal/consumers", nil},
	{"internal/files", nil},
	{"internal/seal", nil},
	{"internal/pause", nil},
	{"internal/rawjson", nil},
	{"internal/remedy", nil},
	{"internal/spare", nil},
	{"internal/kafka", []string{"internal/files", "internal/pause", "internal/remedy", "internal/spare"}},
	{"internal/txlog", []string{"internal/kafka", "internal/pause", "internal/spare"}},
	{"internal/membership", []string{"internal/kafka"}},
	{"internal/openai", []string{"internal/auditlog", "internal/pause", "internal/rawjson"}},
	{"internal/window", []string{"internal/auditlog", "internal/remedy", "internal/spare"}},
	{"internal/sweep", []string{"internal/auditlog", "internal/window"}},
	{"internal/codec", []string{"internal/auditlog", "internal/files", "internal/kafka", "internal/rawjson", "schemas"}},
	{"internal/target", []string{"internal/auditlog", "internal/codec", "internal/kafka", "internal/rawjson", "internal/remedy", "internal/seal", "internal/txlog", "schemas"}},
	{"internal/ledger", []string{"internal/auditlog", "internal/kafka", "internal/seal", "internal/spare", "internal/target", "internal/txlog", "internal/window"}},
	{"internal/ops", []string{
		"internal/auditlog", "internal/codec", "internal/kafka", "internal/ledger", "internal/openai", "internal/pause", "internal/remedy", "internal/seal", "internal/sweep",
		"internal/target", "internal/txlog", "internal/window", "schemas",
	}},
	{"connector", []string{
		"internal/auditlog", "internal/codec", "internal/files", "internal/kafka", "internal/ledger", "internal/membership",
		"internal/openai", "internal/ops", "internal/pause", "internal/remedy", "internal/seal", "internal/spare", "internal/sweep", "internal/target", "internal/txlog",
		"internal/window", "schemas",
	}},
	// These two alone look up: one fills connector.Config, the other is what the
	// connector reports to.
	{"internal/config", []string{"connector", "internal/codec", "internal/files", "internal/kafka", "internal/pause"}},
	{"internal/telemetry", []string{"connector", "internal/auditlog"}},
	{"cmd/openai-audit-kafka", []string{
		"connector", "internal/auditlog", "internal/codec", "internal/config", "internal/ops", "internal/seal", "internal/telemetry",
		"schemas",
	}},
	// For tests and the demo.
	{"internal/simulator", []string{"internal/auditlog"}},
	{"internal/kafkatest", []string{"schemas"}},
	{"internal/stack", []string{"internal/kafkatest", "internal/pause"}},
	{"internal/bench", []string{"internal/auditlog", "internal/kafkatest", "internal/simulator"}},
	{"cmd/demo", []string{
		"connector", "internal/auditlog", "internal/codec", "internal/config", "internal/kafka", "internal/kafkatest",
		"internal/simulator", "internal/telemetry", "schemas",
	}},
}

type room struct {
	name string
	may  []string
}

func find(rooms []room, name string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.name == name })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// guests are packages of others that only some rooms may import.
var guests = []struct {
	path  string // a prefix, in whole elements
	rooms []string
}{
	{"github.com/twmb/franz-go/pkg/kfake", []string{"internal/kafkatest", "cmd/demo"}},
	{"github.com/twmb/franz-go/pkg/kgo", kafkaRooms},
	{"github.com/twmb/franz-go/pkg/kadm", kafkaRooms},
	{"github.com/twmb/franz-go/pkg/kmsg", kafkaRooms},
	{"github.com/twmb/franz-go/pkg/sr", []string{"internal/codec"}},
	{"github.com/hamba/avro", []string{"internal/codec"}},
	{"testing", []string{"internal/kafkatest"}},
}

var kafkaRooms = []string{
	"internal/kafka", "internal/txlog", "internal/membership", "internal/kafkatest", "internal/bench", "cmd/demo", "docs",
}

// product is what is shipped, and notShipped what it must not link, however far
// down.
const product = "cmd/openai-audit-kafka"

var notShipped = []string{module + "internal/simulator", module + "internal/kafkatest", module + "internal/stack", "github.com/twmb/franz-go/pkg/kfake", "testing"}

func TestArrowsPointDown(t *testing.T) {
	for i, r := range rooms {
		for _, below := range r.may {
			if _, ok := find(rooms[:i], below); !ok {
				t.Errorf("%s may import %s, which is not listed before it", r.name, below)
			}
		}
	}
}

func TestImports(t *testing.T) {
	for _, p := range everything(t) {
		here, ok := find(rooms, roomOf(p.ImportPath))
		if !ok {
			t.Errorf("%s belongs to no room: give it one in the table", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if other := roomOf(imported); other != "" && other != here.name && !slices.Contains(here.may, other) {
				t.Errorf("%s imports %s, which %s may not", p.ImportPath, imported, here.name)
			}
			for _, guest := range guests {
				if within(imported, guest.path) && !slices.Contains(guest.rooms, here.name) {
					t.Errorf("%s imports %s, which only %v may", p.ImportPath, imported, guest.rooms)
				}
			}
		}
	}
}

// TestAuditlogIsPlain holds the words to the standard library.
func TestAuditlogIsPlain(t *testing.T) {
	for _, p := range list(t, "./internal/auditlog") {
		for _, imported := range p.Imports {
			if strings.Contains(imported, ".") {
				t.Errorf("auditlog imports %s", imported)
			}
		}
	}
}

func TestProductLinksNoTestHelp(t *testing.T) {
	deps := list(t, "-deps", "./"+product)
	if len(deps) == 0 {
		t.Fatalf("there is no %s, so nothing was looked at", product)
	}
	for _, p := range deps {
		for _, no := range notShipped {
			if within(p.ImportPath, no) {
				t.Errorf("%s links %s", product, p.ImportPath)
			}
		}
	}
}

// pkg is what go list says about a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string // without tests
	Imports    []string // of GoFiles
}

// everything returns all our packages: those of the benchmarks, a module of their own,
// as well.
func everything(t *testing.T) []pkg {
	t.Helper()
	return append(list(t, "./..."), listIn(t, "../bench", "./...")...)
}

// list returns the packages that match. One that does not exist is left out.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	return listIn(t, "../..", args...)
}

func listIn(t *testing.T, dir string, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Dir,GoFiles,Imports"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var packages []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			packages = append(packages, p)
		}
	}
}

// roomOf returns the room of one of our packages, and "" for any other.
func roomOf(importPath string) string {
	name, ours := strings.CutPrefix(importPath, module)
	if !ours {
		return ""
	}
	elements := strings.Split(name, "/")
	switch elements[0] {
	case "internal", "cmd":
		return path.Join(elements[:min(2, len(elements))]...)
	default:
		return elements[0]
	}
}

// within reports whether the package is at the path or below it.
func within(importPath, at string) bool {
	return importPath == at || strings.HasPrefix(importPath, at+"/")
}
