package consumers_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

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
// sent, and nothing of the aborted transactions.
func TestConsumers(t *testing.T) {
	w := newWorld(t, kgo.ZstdCompression())
	t.Logf("%d events, %d aborted records", len(w.events), w.aborted)
	for _, consumer := range []struct {
		name string
		read func(t *testing.T, w *world) figures
	}{
		{"kcat", readKcat},
		{"confluent-kafka and fastavro", readPython},
		{"confluent-kafka with a registry", readPythonRegistry},
		{"franz-go", readGo},
		{"Java client", readJava},
		{"Java client with Apicurio's deserializer", readJavaRegistry},
		{"Kafka Streams, exactly once", readStreams},
		{"ClickHouse", readClickHouse},
	} {
		t.Run(consumer.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := consumer.read(t, w)
			t.Logf("%v, in %.1f s", got, time.Since(began).Seconds())
			if want := (figures{read: len(w.events)}); got != want {
				t.Errorf("%v; want %v", got, want)
			}
		})
	}
}

// TestUncommitted: without the setting, the same programs show the aborted records, all
// of them. So there are some, and the setting is what hides them.
func TestUncommitted(t *testing.T) {
	w := newWorld(t, kgo.NoCompression())
	want := figures{read: len(w.events), aborted: w.aborted}
	python := kafkatest.Python(t)
	path := uncommitted(t, recipe(t, "python/read.py"))
	if got := w.check(t, w.rows(t, python, path, w.c.Brokers()[0], w.plain, w.c.Name("group"), schema)); got != want {
		t.Errorf("Python: %v; want %v", got, want)
	}
	if got := w.check(t, w.java(t, uncommitted(t, recipe(t, "java/Read.java")), w.plain, schema)); got != want {
		t.Errorf("Java: %v; want %v", got, want)
	}
}

func readPython(t *testing.T, w *world) figures {
	return w.check(t, w.rows(t, kafkatest.Python(t), recipe(t, "python/read.py"), w.c.Brokers()[0], w.plain, w.c.Name("group"), schema))
}

func readPythonRegistry(t *testing.T, w *world) figures {
	return w.check(t, w.rows(t, kafkatest.Python(t), recipe(t, "python/read_registry.py"), w.c.Brokers()[0], w.framed, w.c.Name("group"), w.registry))
}

func readJava(t *testing.T, w *world) figures {
	return w.check(t, w.java(t, recipe(t, "java/Read.java"), w.plain, schema))
}

func readGo(t *testing.T, w *world) figures {
	return w.check(t, w.rows(t, goRecipe(t), w.c.Brokers()[0], w.plain, w.c.Name("group")))
}

// goRecipe returns the recipe in Go, built.
func goRecipe(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "read")
	if out, err := exec.CommandContext(patient(t), "go", "build", "-o", binary, recipe(t, "go/main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func readJavaRegistry(t *testing.T, w *world) figures {
	return w.check(t, w.java(t, recipe(t, "java/ReadRegistry.java"), w.framed, w.registry+"/apis/registry/v2"))
}

func (w *world) java(t *testing.T, path, topic string, more ...string) []row {
	t.Helper()
	return w.rows(t, "java", append(javaArgs(t, path), append([]string{w.c.Brokers()[0], topic, w.c.Name("group")}, more...)...)...)
}

// javaArgs are the arguments to run a recipe in Java as it stands.
func javaArgs(t *testing.T, path string) []string {
	t.Helper()
	return append(slices.Clone(javaFlags), "-cp", kafkatest.Java(t, "consumers", javaJars...), path)
}

// readStreams reads what the recipe wrote into a second topic.
func readStreams(t *testing.T, w *world) figures {
	target := w.c.Name("copy")
	w.c.CreateTopic(target, 1, nil)
	args := append([]string{"-Djava.io.tmpdir=" + t.TempDir()}, javaArgs(t, recipe(t, "java/Streams.java"))...)
	args = append(args, w.c.Brokers()[0], w.framed, w.c.Name("streams"), w.registry+"/apis/registry/v2", target)
	ctx := patient(t)
	cmd := exec.CommandContext(ctx, "java", args...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	reader := w.c.Client(kgo.ConsumeTopics(target), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var rows []row
	for len(rows) == 0 || rows[len(rows)-1]["id"] != w.last() {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d events are in the second topic, and the last is not among them", len(rows))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got, err := parseRow(r.Value)
			if err != nil || got["id"] != string(r.Key) {
				t.Errorf("key %s: %v in %.300s", r.Key, err, r.Value)
			}
			rows = append(rows, got)
		})
	}
	return w.check(t, rows)
}

func readClickHouse(t *testing.T, w *world) figures {
	return w.check(t, w.rows(t, kafkatest.Python(t), filepath.Join("testdata", "clickhouse.py"), recipe(t, "clickhouse/events.sql"),
		t.TempDir(), w.c.Brokers()[0], w.framed, w.c.Name("group"), w.registry, w.last()))
}

// readKcat reads keys and headers, and the bytes in the JSON topic. It cannot decode
// Avro.
func readKcat(t *testing.T, w *world) figures {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		kafkatest.Missing(t, "kcat: install the package kcat")
	}
	// Its default is read_committed.
	cmd := exec.CommandContext(patient(t), kcat, "-b", w.c.Brokers()[0], "-t", w.json, "-C", "-e", "-q", "-J")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var rows []row
	for decoder := json.NewDecoder(out); decoder.More(); {
		var line struct {
			Key, Payload string
			Headers      []string
		}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if i := slices.Index(line.Headers, "ce_id"); i < 0 || line.Headers[i+1] != line.Key {
			t.Errorf("%s: the headers are %v", line.Key, line.Headers)
		}
		rows = append(rows, row{"id": line.Key, "raw_event": line.Payload})
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return w.check(t, rows, "id", "raw_event")
}
