package consumers_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
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
		if v, has := got[kafkatest.AddedColumn]; has && v == nil {
			delete(got, kafkatest.AddedColumn) // what some show of an older record, and others do not
		}
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
		if diff := gocmp.Diff(want, got); diff != "" {
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

// rows runs a consumer that prints events as JSON lines, until it has printed the last.
func (w *world) rows(t *testing.T, name string, args ...string) []row {
	t.Helper()
	return w.rowsAs(t, parseRow, name, args...)
}

// rowsAs is rows of lines that are no JSON. A line that is no event parses to nil.
func (w *world) rowsAs(t *testing.T, parse func(line []byte) (row, error), name string, args ...string) []row {
	t.Helper()
	p := launchAs(t, parse, name, args...)
	defer p.kill()
	return p.until(t, w.last)
}

// program is a consumer at work.
type program struct {
	cmd    *exec.Cmd
	stop   func()
	stdin  io.Writer
	lines  chan line // closed at its end
	stderr strings.Builder
}

type line struct {
	row row
	err error
}

// launch starts a consumer that prints events as JSON lines.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return launchAs(t, parseRow, name, args...)
}

func launchAs(t *testing.T, parse func(line []byte) (row, error), name string, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{cmd: exec.CommandContext(ctx, name, args...), stop: stop, lines: make(chan line, 10_000)}
	p.cmd.Stderr = &p.stderr
	out, outErr := p.cmd.StdoutPipe()
	in, inErr := p.cmd.StdinPipe()
	if err := cmp.Or(outErr, inErr, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = in
	t.Cleanup(p.kill)
	go func() {
		defer close(p.lines)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<22)
		for lines.Scan() {
			r, err := parse(lines.Bytes())
			if err != nil {
				err = fmt.Errorf("%w in %.300s", err, lines.Text())
			}
			if r != nil || err != nil {
				p.lines <- line{r, err}
			}
		}
	}()
	return p
}

// kill ends the program, if it has not ended.
func (p *program) kill() {
	p.stop()
	for range p.lines {
	}
	_ = p.cmd.Wait()
}

// limit kills the program when what is waited for takes longer than patience. Its lines
// end then. It must be stopped; if it cannot be any more, it has killed the program.
func (p *program) limit() *time.Timer { return time.AfterFunc(patience, p.stop) }

// failed fails the test of a program whose lines ended too early.
func (p *program) failed(t *testing.T, limit *time.Timer, what string) {
	t.Helper()
	_ = p.cmd.Wait()
	how := "it ended"
	if !limit.Stop() {
		how = fmt.Sprintf("it was killed after %v", patience)
	}
	t.Fatalf("%s: %s\n%s", how, what, p.stderr.String())
}

// until returns what the program prints up to the event with the id.
func (p *program) until(t *testing.T, id string) []row {
	t.Helper()
	limit := p.limit()
	defer limit.Stop()
	var rows []row
	for line := range p.lines {
		if line.err != nil {
			t.Fatal(line.err)
		}
		if rows = append(rows, line.row); line.row["id"] == id {
			return rows
		}
	}
	p.failed(t, limit, fmt.Sprintf("it showed %d rows, and the last event was not among them", len(rows)))
	return nil
}

// ended returns what the program printed before it ended by itself, and what it said.
func (p *program) ended(t *testing.T) (rows []row, said string) {
	t.Helper()
	limit := p.limit()
	defer limit.Stop()
	for line := range p.lines {
		if line.err != nil {
			t.Fatal(line.err)
		}
		rows = append(rows, line.row)
	}
	err := p.cmd.Wait()
	if !limit.Stop() {
		p.failed(t, limit, fmt.Sprintf("it did not end by itself, and showed %d rows", len(rows)))
	}
	if err == nil {
		t.Error("it ended as if all were well")
	}
	return rows, p.stderr.String()
}

// parseRow reads a line of JSON. Times are milliseconds in some consumers, and text in
// others, in Flink without a zone.
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
			at, err = time.Parse("2006-01-02T15:04:05.999999999", text)
		}
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
