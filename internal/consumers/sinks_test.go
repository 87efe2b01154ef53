package consumers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// sink is a program that writes what it reads of the topic into another place.
type sink struct {
	name string
	// rows returns what is in that place now.
	rows func(t *testing.T) []row
	// after are the columns that it has after an upgrade; nil: all.
	after []string
}

// TestSinks is what "make consumers" runs beside TestMoreConsumers: each sink has every
// event once, with every column as it was sent, and nothing of aborted transactions, before
// an upgrade of the connector to a schema with a column more, and after it.
func TestSinks(t *testing.T) {
	if os.Getenv("CONSUMERS") != "full" {
		t.Log("NOT RUN: it needs CONSUMERS=full, as `make consumers` sets")
		return
	}
	w := newWorld(t, kgo.ZstdCompression())
	sinks := append(startConnect(t, w), startFlink(t, w), spark(t, w))
	for _, s := range sinks {
		t.Run(s.name+" before an upgrade", func(t *testing.T) { w.whole(t, s.name, w.await(t, s)) })
	}
	w.upgrade(t)
	for _, s := range sinks {
		t.Run(s.name+" after it", func(t *testing.T) { w.whole(t, s.name, w.await(t, s), s.after...) })
	}
}

// await waits until the sink has the last event, and returns what it has.
func (w *world) await(t *testing.T, s sink) []row {
	t.Helper()
	for ctx := patient(t); ; time.Sleep(time.Second) {
		rows := s.rows(t)
		if slices.ContainsFunc(rows, func(r row) bool { return r["id"] == w.last }) {
			return rows
		}
		if ctx.Err() != nil {
			t.Fatalf("it has %d rows, and the last event is not among them", len(rows))
		}
	}
}

// startConnect starts a worker of Kafka Connect with the recipes of its sinks: into
// PostgreSQL, and into Iceberg. The recipe for PostgreSQL writes by id, which would hide
// what is read twice. So a third sink writes a row for each record.
func startConnect(t *testing.T, w *world) []sink {
	t.Helper()
	db := startPostgres(t)
	table, err := os.ReadFile(recipe(t, "postgres/events.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db.run(t, string(table))
	const key = "PRIMARY KEY (organization, id)"
	db.run(t, strings.Replace(strings.Replace(string(table), "TABLE events", "TABLE records", 1), ",\n    "+key, "", 1))

	common := map[string]string{"topics": w.framed, "value.converter.apicurio.registry.url": w.registry + "/apis/registry/v2"}
	jdbc := merge(common, map[string]string{"connection.url": db.url, "connection.username": "audit", "connection.password": "audit"})
	each := merge(jdbc, map[string]string{
		"name": "each-record", "collection.name.format": "records", "insert.mode": "insert", "primary.key.mode": "none", "primary.key.fields": "",
	})
	warehouse := filepath.Join(t.TempDir(), "warehouse")
	control := w.c.Name("iceberg-control")
	w.c.CreateTopic(control, 1, nil)
	iceberg := merge(common, map[string]string{
		"iceberg.catalog.warehouse": "file://" + warehouse, "iceberg.control.topic": control, "iceberg.control.commit.interval-ms": "2000",
	})
	icebergJars := kafkatest.Java(t, "iceberg", "org.apache.iceberg:iceberg-kafka-connect:1.12.0", "org.apache.iceberg:iceberg-parquet:1.12.0",
		"org.apache.hadoop:hadoop-client-api:3.4.2", "org.apache.hadoop:hadoop-client-runtime:3.4.2")
	work(t, w, map[string]string{
		"apicurio": filepath.Dir(kafkatest.Java(t, "connect-apicurio", "io.apicurio:apicurio-registry-utils-converter:2.6.13.Final")),
		"iceberg":  filepath.Dir(icebergJars),
		"debezium": unpacked(t, "debezium", "io.debezium:debezium-connector-jdbc:3.6.0.Final:tar.gz:plugin"),
	}, connectorFile(t, "postgres/sink.json", jdbc), connectorFile(t, "postgres/sink.json", each), connectorFile(t, "iceberg/sink.json", iceberg))

	reader := launchAs(t, parseRow, "java", append(slices.Clone(javaFlags), "-cp", icebergJars, filepath.Join("testdata", "Iceberg.java"), warehouse, "audit", "events")...)
	return []sink{
		{name: "Connect, JDBC to PostgreSQL", rows: func(t *testing.T) []row { return db.rows(t, "events") }},
		{name: "Connect, JDBC, each record", rows: func(t *testing.T) []row { return db.rows(t, "records") }},
		{name: "Connect, Iceberg", rows: func(t *testing.T) []row { return reader.answer(t) }},
	}
}

// answer asks a program for what there is, and returns it. An empty row ends it.
func (p *program) answer(t *testing.T) (rows []row) {
	t.Helper()
	limit := p.limit()
	defer limit.Stop()
	fmt.Fprintln(p.stdin)
	for line := range p.lines {
		if line.err != nil {
			t.Fatal(line.err)
		}
		if len(line.row) == 0 {
			return rows
		}
		rows = append(rows, line.row)
	}
	p.failed(t, limit, fmt.Sprintf("it gave %d rows, and not the end of its answer", len(rows)))
	return nil
}

// connectorFile returns a recipe for Connect with other values in place of some.
func connectorFile(t *testing.T, name string, values map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(recipe(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]string
	if err := json.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	for key := range values {
		if _, there := settings[key]; !there {
			t.Fatalf("%s does not set %s", name, key)
		}
	}
	if text, err = json.Marshal(merge(settings, values)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func merge(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

// work starts a worker of Connect with the plugins, by the names of their folders.
func work(t *testing.T, w *world, plugins map[string]string, connectors ...string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "plugins")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, folder := range plugins {
		if err := os.Symlink(folder, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	settings := filepath.Join(dir, "worker.properties")
	text := fmt.Sprintf("bootstrap.servers=%s\nlisteners=http://127.0.0.1:0\nplugin.path=%s\noffset.storage.file.filename=%s\n"+
		"key.converter=org.apache.kafka.connect.storage.StringConverter\nvalue.converter=org.apache.kafka.connect.storage.StringConverter\n"+
		"offset.flush.interval.ms=1000\n", w.c.Brokers()[0], path, filepath.Join(dir, "offsets"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	jars := kafkatest.Java(t, "connect", "org.apache.kafka:connect-runtime:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
	args := append(slices.Clone(javaFlags), "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars,
		"org.apache.kafka.connect.cli.ConnectStandalone", settings)
	background(t, "java", append(args, connectors...)...)
}

// background starts a program that works until the test ends.
func background(t *testing.T, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr, cmd.Stdout = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }() // ends with the program
	t.Cleanup(func() { stop(); <-done })
	return done
}

// unpacked returns the folder in an archive from Maven.
func unpacked(t *testing.T, name, archive string) string {
	t.Helper()
	files, err := filepath.Glob(kafkatest.Java(t, name, archive))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v in place of one archive: %v", files, err)
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(patient(t), "tar", "-x", "-z", "-f", files[0], "-C", dir, "--strip-components=1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// postgres is a server of PostgreSQL with one database.
type postgres struct{ url, port string }

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(programs) == 0 {
		kafkatest.Missing(t, "PostgreSQL: install the package postgresql")
	}
	bin := slices.Max(programs)
	dir, err := os.MkdirTemp("", "postgres") // not below a folder of the test: the server is another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := func(name string, args ...string) []string { return append([]string{filepath.Join(bin, name)}, args...) }
	if os.Geteuid() == 0 { // as which it refuses to run
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		as = func(name string, args ...string) []string {
			return append([]string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", filepath.Join(bin, name)}, args...)
		}
	}
	data := filepath.Join(dir, "data")
	initdb := as("initdb", "-D", data, "-U", "audit", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := exec.CommandContext(patient(t), initdb[0], initdb[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Somebody else may take the port before the server does, which ends then.
	for range 5 {
		port := freePort(t)
		server := as("postgres", "-D", data, "-k", dir, "-p", port, "-h", "127.0.0.1", "-F")
		ended := background(t, server[0], server[1:]...)
		db := &postgres{"jdbc:postgresql://127.0.0.1:" + port + "/audit", port}
		if db.create(t, ended) {
			return db
		}
	}
	t.Fatal("PostgreSQL ended five times before it answered")
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// create makes the database as soon as the server answers. It reports false if the server
// ended before.
func (db *postgres) create(t *testing.T, ended <-chan struct{}) bool {
	t.Helper()
	for ctx := patient(t); ; {
		out, err := db.psql(t, "postgres", "CREATE DATABASE audit").CombinedOutput()
		if err == nil {
			return true
		}
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			t.Fatalf("%v: %s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (db *postgres) psql(t *testing.T, name, text string) *exec.Cmd {
	return exec.CommandContext(t.Context(), "psql", "-h", "127.0.0.1", "-p", db.port, "-U", "audit", "-d", name, "-v", "ON_ERROR_STOP=1", "-qAt", "-c", text)
}

func (db *postgres) run(t *testing.T, text string) []byte {
	t.Helper()
	out, err := db.psql(t, "audit", text).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

func (db *postgres) rows(t *testing.T, table string) (rows []row) {
	t.Helper()
	for line := range bytes.Lines(db.run(t, "SET TIME ZONE 'UTC'; SELECT row_to_json(e) FROM "+table+" e")) {
		r, err := parseRow(line)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// startFlink runs the recipe of Flink SQL, which copies the topic into a second one.
func startFlink(t *testing.T, w *world) sink {
	t.Helper()
	text, err := os.ReadFile(recipe(t, "flink/second_topic.sql"))
	if err != nil {
		t.Fatal(err)
	}
	target := w.c.Name("flink")
	w.c.CreateTopic(target, 1, nil)
	filled := strings.NewReplacer("'BROKERS'", "'"+w.c.Brokers()[0]+"'", "'TOPIC'", "'"+w.framed+"'", "'GROUP'", "'"+w.c.Name("flink")+"'",
		"'REGISTRY'", "'"+w.registry+"'", "'TARGET'", "'"+target+"'", "'10s'", "'1s'").Replace(string(text))
	file := filepath.Join(t.TempDir(), "second_topic.sql")
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	jars := kafkatest.Java(t, "flink", "org.apache.flink:flink-clients:2.2.0", "org.apache.flink:flink-connector-base:2.2.0", "org.apache.flink:flink-table-api-java-bridge:2.2.0",
		"org.apache.flink:flink-table-planner-loader:2.2.0", "org.apache.flink:flink-table-runtime:2.2.0", "org.apache.flink:flink-json:2.2.0",
		"org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2", "org.apache.flink:flink-sql-avro-confluent-registry:2.2.0", "org.slf4j:slf4j-nop:1.7.36")
	background(t, "java", append(slices.Clone(javaFlags), "-Xmx1g", "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-Djava.io.tmpdir="+t.TempDir(), "-cp", jars, filepath.Join("testdata", "FlinkSQL.java"), file)...)
	return sink{name: "Flink SQL to a second topic", after: columns(t), rows: func(t *testing.T) (rows []row) {
		for _, r := range w.c.Read(t, target, kgo.ReadCommitted()) {
			got, err := parseRow(r.Value)
			if err != nil || got["id"] != string(r.Key) {
				t.Fatalf("key %s: %v in %.300s", r.Key, err, r.Value)
			}
			rows = append(rows, got)
		}
		return rows
	}}
}

// spark reads the topic with the recipe for Spark, with the file of the first version.
func spark(t *testing.T, w *world) sink {
	t.Helper()
	jars := kafkatest.Java(t, "spark", "org.apache.spark:spark-sql_2.13:4.1.1", "org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1",
		"org.apache.spark:spark-avro_2.13:4.1.1")
	args := append(slices.Clone(javaFlags), "-Xmx1g")
	for _, name := range strings.Fields("java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar") {
		args = append(args, "--add-opens=java.base/"+name+"=ALL-UNNAMED")
	}
	args = append(args, "-Djava.io.tmpdir="+t.TempDir(), "-cp", jars, recipe(t, "spark/Read.java"), w.c.Brokers()[0])
	return sink{name: "Spark", after: columns(t), rows: func(t *testing.T) []row {
		return w.rows(t, "java", append(slices.Clone(args), w.framed, schema, "5")...)
	}}
}
