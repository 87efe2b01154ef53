package codec_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// avroJava is the version of Apache Avro for Java, the reference.
const avroJava = "1.12.1"

const avroPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>test</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.avro</groupId><artifactId>avro</artifactId><version>` + avroJava + `</version></dependency>
  </dependencies>
</project>
`

// TestJavaReads: Apache Avro for Java computes our fingerprints and reads our
// single objects. It is the reference: two Go libraries and one of Python compute other
// fingerprints.
func TestJavaReads(t *testing.T) {
	jars := avroClasspath(t)
	events := pageOf(t, "page.json")
	events = append(events, eventOf(t, []byte(`{"id":"é😀","type":"x.y","effective_at":-1,"actor":{"type":"\ud800\u0000"}, "z" : "é😀" }`)))
	for _, version := range schemas.Versions() {
		encoder := newEncoder(t, codec.Config{Schema: version})
		want := fmt.Sprintf("%016x\n", version.Fingerprint)
		var values strings.Builder
		for _, ev := range events {
			value := encode(t, encoder, ev).Value
			fmt.Fprintf(&values, "%x\n", value)
			record := decode(t, value)
			want += hexLine(record.RawEvent) + hexLine(fmt.Sprintf("%s %d %s %s %s", record.ID,
				record.EffectiveAt.UnixMilli(), orNull(record.ActorEmail), orNull(record.SourceASN), javaList(record.Scopes)))
		}
		got := runJava(t, jars, version.Text, values.String())
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version.Number, diff)
		}
	}
}

func hexLine(s string) string { return hex.EncodeToString([]byte(s)) + "\n" }

func orNull[T any](column *T) string {
	if column == nil {
		return "null"
	}
	return fmt.Sprint(*column)
}

func javaList(list []string) string { return "[" + strings.Join(list, ", ") + "]" }

func runJava(t *testing.T, jars, schema, values string) string {
	t.Helper()
	dir := t.TempDir()
	schemaFile, valuesFile := filepath.Join(dir, "schema.avsc"), filepath.Join(dir, "values.hex")
	for file, content := range map[string]string{schemaFile: schema, valuesFile: values} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// One core and a small heap: tests share the machine.
	cmd := exec.CommandContext(t.Context(), "java", "-XX:+UseSerialGC", "-Xmx128m", "-cp", filepath.Join(jars, "*"),
		filepath.Join("testdata", "ReadSingleObjects.java"), schemaFile, valuesFile)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("java: %v\n%s", err, stderr.String())
	}
	return string(out)
}

// avroClasspath returns the directory with Avro's jars, fetched once. Without
// Java or Maven the test is skipped, or fails where REQUIRE_KAFKA=1 says that
// everything has to run.
func avroClasspath(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			kafkatest.Missing(t, tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		kafkatest.Missing(t, "a folder for caches: "+err.Error())
	}
	dir := filepath.Join(cache, "openai-audit-kafka", "avro-java-"+avroJava)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	// Fetched beside, then moved: half a directory would be taken for a whole one.
	fetched, err := os.MkdirTemp(filepath.Dir(dir), "fetching-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fetched)
	pom := filepath.Join(t.TempDir(), "pom.xml")
	if err := os.WriteFile(pom, []byte(avroPOM), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-f", pom,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+fetched).CombinedOutput()
	if err != nil {
		kafkatest.Missing(t, fmt.Sprintf("Apache Avro, which Maven cannot fetch: %v\n%s", err, out))
	}
	if err := os.Rename(fetched, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return dir
}
