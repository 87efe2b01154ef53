package consumers_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recipes is the folder with the programs.
const recipes = "../../docs/recipes"

// figures is what a consumer made of a topic.
type figures struct {
	read    int // different events
	doubled int // records with the id of one before
	aborted int // records of aborted transactions
	missing int
	wrong   int // events with a column that is not what it must be
}

func (f figures) String() string {
	return fmt.Sprintf("%d read, %d doubled, %d aborted shown, %d missing, %d wrong", f.read, f.doubled, f.aborted, f.missing, f.wrong)
}

// check holds the rows that a consumer printed to what they must be.
func (w *world) check(t *testing.T, rows []row, columns ...string) figures {
	t.Helper()
	var f figures
	seen := map[string]bool{}
	for _, got := range rows {
		id, _ := got["id"].(string)
		want, ok := w.want[id]
		if !ok {
			t.Errorf("a row of an event that there is not: %v", got)
			continue
		}
		if got["ingested_at"] == float64(abortedAt.UnixMilli()) {
			f.aborted++
			continue
		}
		if seen[id] {
			f.doubled++
			continue
		}
		seen[id] = true
		if len(columns) > 0 {
			want = want.only(columns)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			if f.wrong++; f.wrong <= 3 {
				t.Errorf("%s (-want +got):\n%.3000s", id, diff)
			}
		}
	}
	f.read, f.missing = len(seen), len(w.want)-len(seen)
	return f
}

func (r row) only(columns []string) row {
	part := row{}
	for _, name := range columns {
		part[name] = r[name]
	}
	return part
}

// rows runs a consumer that prints events as JSON lines.
func (w *world) rows(t *testing.T, name string, args ...string) []row {
	t.Helper()
	return w.rowsAs(t, parseRow, name, args...)
}

// rowsAs runs a consumer until it has printed the last event, or ends. A line that is no
// event parses to nil.
func (w *world) rowsAs(t *testing.T, parse func(line []byte) (row, error), name string, args ...string) []row {
	t.Helper()
	cmd := exec.CommandContext(patient(t), name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var rows []row
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		r, err := parse(lines.Bytes())
		if err != nil {
			t.Fatalf("%v in %.300s", err, lines.Text())
		}
		if r == nil {
			continue
		}
		if rows = append(rows, r); r["id"] == w.last() {
			return rows
		}
	}
	_ = cmd.Wait()
	t.Fatalf("it ended after %d rows, and the last event was not among them\n%s", len(rows), stderr.String())
	return nil
}

// parseRow reads a line of JSON. Times are milliseconds in some consumers, and text in
// others.
func parseRow(line []byte) (row, error) {
	var r row
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	for _, name := range []string{"effective_at", "ingested_at"} {
		text, ok := r[name].(string)
		if !ok {
			continue
		}
		at, err := time.Parse("2006-01-02T15:04:05.999999999Z07:00", text)
		if err != nil {
			return nil, err
		}
		r[name] = float64(at.UnixMilli())
	}
	return r, nil
}

// recipe returns the path of a recipe.
func recipe(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(recipes, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// uncommitted returns a copy of a recipe without its setting for committed records.
func uncommitted(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "read_committed", "read_uncommitted", 1)
	if without == string(text) {
		t.Fatalf("%s does not set read_committed", path)
	}
	other := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(other, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	return other
}
