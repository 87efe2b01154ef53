package consumers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// schema is the file that consumers without a registry are given.
const schema = "../../schemas/audit_event_v1.avsc"

// javaJars are what the recipes in Java name.
var javaJars = []string{
	"org.apache.kafka:kafka-streams:4.3.1", "io.apicurio:apicurio-registry-serdes-avro-serde:2.6.13.Final", "org.slf4j:slf4j-nop:1.7.36",
}

// javaFlags start quickly rather than run fast.
var javaFlags = []string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"}

// TestConsumers: each of these reads every event once, with every column as it was
// sent, and nothing of the aborted transactions. Then the connector is upgraded while they
// read, to a release whose schema has a column more: see upgrade_test.go.
func TestConsumers(t *testing.T) {
	w := newWorld(t, kgo.ZstdCompression())
	consumers := []consumer{
		{"kcat", startKcat, []string{"id", "raw_event"}, readsOn},
		{"confluent-kafka and fastavro", startPython, nil, upgradePython},
		{"confluent-kafka with a registry", startPythonRegistry, nil, readsOn},
		{"franz-go", startGo, nil, upgradeGo},
		{"Java client", startJava, nil, upgradeJava},
		{"Java client with Apicurio's deserializer", startJavaRegistry, nil, readsOn},
		{"Kafka Streams, exactly once", startStreams, nil, readsOn},
		{"ClickHouse", startClickHouse, nil, upgradeClickHouse},
	}
	programs, before := make([]*program, len(consumers)), make([][]row, len(consumers))
	for i, c := range consumers {
		programs[i] = c.start(t, w)
	}
	for i, c := range consumers {
		t.Run(c.name, func(t *testing.T) {
			before[i] = programs[i].until(t, w.last)
			w.whole(t, c.name, before[i], c.columns...)
		})
	}
	t.Run("the JSON topic in Python", w.jsonTopic)
	if t.Failed() {
		return
	}
	w.upgrade(t)
	for i, c := range consumers {
		t.Run("an upgrade under "+c.name, func(t *testing.T) {
			t.Parallel()
			c.upgraded(t, w, c, before[i], programs[i])
		})
	}
}

// consumer is one of those that TestConsumers runs.
type consumer struct {
	name  string
	start func(t *testing.T, w *world) *program
	// columns are those that it shows; nil: all.
	columns []string
	// upgraded is what happens to it as the connector is upgraded. Before that it read all
	// that there was.
	upgraded func(t *testing.T, w *world, c consumer, before []row, p *program)
}

// whole fails unless the rows are all that there is, each once.
func (w *world) whole(t *testing.T, who string, rows []row, columns ...string) {
	t.Helper()
	got := w.check(t, rows, columns...)
	t.Logf("%s: %v (%d aborted records)", who, got, w.aborted)
	if want := (figures{read: len(w.want)}); got != want {
		t.Errorf("%v; want %v", got, want)
	}
}

// TestUncommitted: without the setting, the same programs show the aborted records, all
// of them. So there are some, and the setting is what hides them.
func TestUncommitted(t *testing.T) {
	w := newWorld(t, kgo.NoCompression())
	want := figures{read: len(w.want), aborted: w.aborted}
	python := kafkatest.Python(t)
	path := uncommitted(t, recipe(t, "python/read.py"))
	if got := w.check(t, w.rows(t, python, path, w.c.Brokers()[0], w.plain, w.c.Name("group"), schema)); got != want {
		t.Errorf("Python: %v; want %v", got, want)
	}
	if got := w.check(t, w.rows(t, "java", w.java(t, uncommitted(t, recipe(t, "java/Read.java")), w.plain, schema)...)); got != want {
		t.Errorf("Java: %v; want %v", got, want)
	}
}

func startPython(t *testing.T, w *world) *program { return launchPython(t, w, w.c.Name("group")) }

func launchPython(t *testing.T, w *world, group string) *program {
	t.Helper()
	return launch(t, kafkatest.Python(t), append([]string{recipe(t, "python/read.py"), w.c.Brokers()[0], w.plain, group}, w.files...)...)
}

func startPythonRegistry(t *testing.T, w *world) *program {
	return launch(t, kafkatest.Python(t), recipe(t, "python/read_registry.py"), w.c.Brokers()[0], w.framed, w.c.Name("group"), w.registry)
}

func startJava(t *testing.T, w *world) *program { return launchJava(t, w, w.files...) }

// launchJava launches the recipe with the files of the schema, the one to read as last.
func launchJava(t *testing.T, w *world, files ...string) *program {
	t.Helper()
	return launch(t, "java", w.java(t, recipe(t, "java/Read.java"), w.plain, files...)...)
}

func startJavaRegistry(t *testing.T, w *world) *program {
	return launch(t, "java", w.java(t, recipe(t, "java/ReadRegistry.java"), w.framed, w.registry+"/apis/registry/v2")...)
}

// java are the arguments with which Java runs a recipe over a topic, as it stands.
func (w *world) java(t *testing.T, path, topic string, more ...string) []string {
	t.Helper()
	return append(javaArgs(t, path), append([]string{w.c.Brokers()[0], topic, w.c.Name("group")}, more...)...)
}

func javaArgs(t *testing.T, path string) []string {
	t.Helper()
	return append(slices.Clone(javaFlags), "-cp", kafkatest.Java(t, "consumers", javaJars...), path)
}

func startGo(t *testing.T, w *world) *program { return launchGo(t, w, goRecipe(t), w.c.Name("group")) }

func launchGo(t *testing.T, w *world, binary, group string) *program {
	t.Helper()
	return launch(t, binary, w.c.Brokers()[0], w.plain, group)
}

// goRecipe returns the recipe in Go, built.
func goRecipe(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "read")
	args := append(append([]string{"build", "-o", binary}, flags...), recipe(t, "go/main.go"))
	if out, err := exec.CommandContext(patient(t), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// startStreams reads what the recipe writes into a second topic.
func startStreams(t *testing.T, w *world) *program {
	target := w.c.Name("copy")
	w.c.CreateTopic(target, 1, nil)
	args := append([]string{"-Djava.io.tmpdir=" + t.TempDir()}, w.java(t, recipe(t, "java/Streams.java"), w.framed, w.registry+"/apis/registry/v2", target)...)
	ctx, stop := context.WithCancel(t.Context())
	p := &program{cmd: exec.CommandContext(ctx, "java", args...), stop: stop, lines: make(chan line, 10_000)}
	p.cmd.Stderr = t.Output()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	reader := w.c.Client(kgo.ConsumeTopics(target), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	go func() {
		defer close(p.lines)
		for ctx.Err() == nil {
			reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				got, err := parseRow(r.Value)
				if err == nil && got["id"] != string(r.Key) {
					err = fmt.Errorf("the key is %s in %.300s", r.Key, r.Value)
				}
				p.lines <- line{got, err}
			})
		}
	}()
	return p
}

func startClickHouse(t *testing.T, w *world) *program {
	return launchClickHouse(t, w, w.table(t, "clickhouse/events.sql", "true"))
}

// launchClickHouse runs recipes in process, one after the other, and prints the table
// after each. A process stays for as long as it has something to do, and no longer: an idle
// consumer of the library reads nothing more after a minute.
func launchClickHouse(t *testing.T, w *world, commands ...string) *program {
	t.Helper()
	return launch(t, kafkatest.Python(t), append([]string{filepath.Join("testdata", "clickhouse.py"), t.TempDir(), w.c.Brokers()[0], w.framed, w.registry}, commands...)...)
}

// table is the command to run a recipe, and to fill the table until the last event is
// there and meets the condition.
func (w *world) table(t *testing.T, file, until string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"file": recipe(t, file), "group": w.c.Name("group"), "column": kafkatest.AddedColumn, "last": w.last, "until": until,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startKcat reads keys and headers, and the bytes in the JSON topic. kcat cannot decode
// Avro. Its default is read_committed.
func startKcat(t *testing.T, w *world) *program {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		kafkatest.Missing(t, "kcat: install the package kcat")
	}
	return launchAs(t, parseKcat, kcat, "-b", w.c.Brokers()[0], "-t", w.json, "-C", "-q", "-J", "-u")
}

func parseKcat(text []byte) (row, error) {
	var line struct {
		Key, Payload string
		Headers      []string
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return nil, err
	}
	if i := slices.Index(line.Headers, "ce_id"); i < 0 || line.Headers[i+1] != line.Key {
		return nil, fmt.Errorf("the headers are %v", line.Headers)
	}
	return row{"id": line.Key, "raw_event": line.Payload}, nil
}
