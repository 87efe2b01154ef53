package consumers_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// client is a consumer of "make consumers": its figures with the documented setting, and
// as it is by default.
type client struct {
	name string
	read func(t *testing.T, w *world, isolation string) []row
	// shows says that it shows aborted records by default, and ignores that it always does.
	shows, ignores bool
}

// TestMoreConsumers is what "make consumers" runs beside TestConsumers. Without
// CONSUMERS=full there is nothing to do: it needs packages that CI does not have.
func TestMoreConsumers(t *testing.T) {
	if os.Getenv("CONSUMERS") != "full" {
		t.Log("NOT RUN: it needs CONSUMERS=full, as `make consumers` sets")
		return
	}
	w := newWorld(t, kgo.ZstdCompression())
	w.readMore(t, "before an upgrade")
	w.upgrade(t)
	w.readMore(t, "after it")
	t.Run("KafkaJS without the new file", func(t *testing.T) {
		_, said := launchNode(t, w, "read_committed", w.files[:1]).ended(t)
		saysRemedy(t, said, "nothing is lost")
	})
}

// readMore has each consumer read all that there is, with the documented setting and as
// it is by default.
func (w *world) readMore(t *testing.T, when string) {
	for _, c := range []client{
		{name: "sarama", read: readGoClient("sarama"), shows: true},
		{name: "kafka-go", read: readGoClient("kafka-go"), shows: true, ignores: true},
		{name: "aiokafka", read: readPythonClient("aiokafka"), shows: true},
		{name: "kafka-python", read: readPythonClient("kafka-python"), shows: true},
		{name: "quixstreams", read: readPythonClient("quixstreams")},
		{name: "KafkaJS", read: readNode},
	} {
		t.Run(c.name+" "+when, func(t *testing.T) {
			got := w.check(t, c.read(t, w, "read_committed"))
			without := w.check(t, c.read(t, w, ""))
			t.Logf("%v; by default: %v", got, without)
			if c.ignores {
				if got.aborted == 0 {
					t.Errorf("%s hides aborted records now: docs/consuming.md says that it does not", c.name)
				}
				return
			}
			want := figures{read: len(w.want)}
			if got != want {
				t.Errorf("%v; want %v", got, want)
			}
			if c.shows {
				want.aborted = w.aborted
			}
			if without != want {
				t.Errorf("by default: %v; want %v, as docs/consuming.md says", without, want)
			}
		})
	}
}

// readGoClient runs a client of the module in testdata/goclients.
func readGoClient(name string) func(*testing.T, *world, string) []row {
	return func(t *testing.T, w *world, isolation string) []row {
		binary := filepath.Join(t.TempDir(), "client")
		build := exec.CommandContext(patient(t), "go", "build", "-o", binary, ".")
		build.Dir = filepath.Join("testdata", "goclients")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return w.rowsAs(t, parseHex, binary, name, w.c.Brokers()[0], w.plain, isolation)
	}
}

// parseHex reads a value in hexadecimal. What is no event, such as a marker that kafka-go
// takes for a record, is no row.
func parseHex(text []byte) (row, error) {
	value := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(value, text); err != nil || len(value) < 10 {
		return nil, nil
	}
	schema := schemas.Latest()
	if next := kafkatest.NextSchema(); binary.LittleEndian.Uint64(value[2:]) == next.Fingerprint {
		schema = next
	}
	var event map[string]any
	if _, err := avro.MustParse(schema.Text).Decode(value[10:], &event); err != nil {
		return nil, err
	}
	line, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	return parseRow(line)
}

func readPythonClient(name string) func(*testing.T, *world, string) []row {
	return func(t *testing.T, w *world, isolation string) []row {
		packages, err := os.ReadFile(filepath.Join("testdata", "clients.txt"))
		if err != nil {
			t.Fatal(err)
		}
		return w.rows(t, kafkatest.PythonWith(t, packages), append([]string{filepath.Join("testdata", "clients.py"), name, recipe(t, "python/read.py"),
			w.c.Brokers()[0], w.plain, w.c.Name("group"), isolation, t.TempDir()}, w.files...)...)
	}
}

func readNode(t *testing.T, w *world, isolation string) []row {
	p := launchNode(t, w, isolation, w.files)
	defer p.kill()
	return p.until(t, w.last)
}

// launchNode runs the recipe for Node where npm has installed what it needs, with these
// files of the schema.
func launchNode(t *testing.T, w *world, isolation string, files []string) *program {
	node, err := exec.LookPath("node")
	if err != nil {
		kafkatest.Missing(t, "Node: install the packages nodejs and npm")
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "read.mjs"} {
		text, err := os.ReadFile(recipe(t, "node/"+name))
		if err != nil {
			t.Fatal(err)
		}
		if isolation == "" {
			text = bytes.ReplaceAll(text, []byte("  readUncommitted: false,"), nil)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(patient(t), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := []string{filepath.Join(dir, "read.mjs"), w.c.Brokers()[0], w.plain, w.c.Name("group")}
	for i, version := range []schemas.Version{schemas.Latest(), kafkatest.NextSchema()}[:len(files)] {
		args = append(args, strings.TrimPrefix(version.URN(), "urn:avro:crc64:")+"="+files[i])
	}
	return launch(t, node, args...)
}
