package consumers_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		return
	}
	w := newWorld(t, kgo.ZstdCompression())
	for _, c := range []client{
		{name: "sarama", read: readGoClient("sarama"), shows: true},
		{name: "kafka-go", read: readGoClient("kafka-go"), shows: true, ignores: true},
		{name: "aiokafka", read: readPythonClient("aiokafka"), shows: true},
		{name: "kafka-python", read: readPythonClient("kafka-python"), shows: true},
		{name: "quixstreams", read: readPythonClient("quixstreams")},
		{name: "KafkaJS", read: readNode},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			got := w.check(t, c.read(t, w, "read_committed"))
			t.Logf("%v, in %.1f s", got, time.Since(began).Seconds())
			without := w.check(t, c.read(t, w, ""))
			t.Logf("by default: %v", without)
			if c.ignores {
				if got.aborted == 0 {
					t.Errorf("%s hides aborted records now: docs/consuming.md says that it does not", c.name)
				}
				return
			}
			if want := (figures{read: len(w.events)}); got != want {
				t.Errorf("%v; want %v", got, want)
			}
			want := figures{read: len(w.events)}
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

var newest = avro.MustParse(schemas.Latest().Text)

// parseHex reads a value in hexadecimal. What is no event, such as a marker that kafka-go
// takes for a record, is no row.
func parseHex(text []byte) (row, error) {
	value := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(value, text); err != nil || len(value) < 10 {
		return nil, nil
	}
	var event map[string]any
	if _, err := newest.Decode(value[10:], &event); err != nil {
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
		return w.rows(t, kafkatest.PythonWith(t, packages), filepath.Join("testdata", "clients.py"), name, recipe(t, "python/read.py"),
			w.c.Brokers()[0], w.plain, w.c.Name("group"), schema, isolation, t.TempDir())
	}
}

// readNode runs the recipe for Node where npm has installed what it needs.
func readNode(t *testing.T, w *world, isolation string) []row {
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
	version := strings.TrimPrefix(schemas.Latest().URN(), "urn:avro:crc64:")
	return w.rows(t, node, filepath.Join(dir, "read.mjs"), w.c.Brokers()[0], w.plain, w.c.Name("group"), version+"="+schema)
}
