package kafkatest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"
)

// ErrUnavailable is the error where real Kafka cannot be had: no Java, or
// neither Maven nor jars fetched before.
var ErrUnavailable = errors.New("real Kafka cannot be had here")

// DefaultVersion is the version of Apache Kafka that tests run against.
const DefaultVersion = "4.3.1"

func defaultVersion() string {
	if v := os.Getenv("KAFKA_VERSION"); v != "" {
		return v
	}
	return DefaultVersion
}

var versionForm = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

var pom = template.Must(template.New("pom.xml").Parse(`<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>openai-audit-kafka</groupId><artifactId>kafkatest</artifactId><version>1</version>
  <dependencies>
{{- range .}}
    <dependency><groupId>{{index . 0}}</groupId><artifactId>{{index . 1}}</artifactId><version>{{index . 2}}</version>
{{- if gt (len .) 3}}<type>{{index . 3}}</type><classifier>{{index . 4}}</classifier>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>{{end -}}
    </dependency>
{{- end}}
  </dependencies>
</project>
`))

// Jars returns the folder with the jars of that version of Kafka. Maven fetches
// them once into the user's cache folder.
func Jars(ctx context.Context, version string) (string, error) {
	if !versionForm.MatchString(version) {
		return "", fmt.Errorf("version %q of Kafka is not of the form 4.3.1", version)
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("%w: no java: %w", ErrUnavailable, err)
	}
	return cached("kafka-"+version, func(into string) error { return fetchJars(ctx, "Kafka "+version, kafkaJars(version), into) })
}

func kafkaJars(version string) []string {
	return []string{
		"org.apache.kafka:kafka_2.13:" + version, "org.apache.kafka:kafka-tools:" + version, "org.slf4j:slf4j-simple:1.7.36",
	}
}

// Java returns the class path with the jars, each group:artifact:version, and all that
// they need. group:artifact:version:type:classifier is another file of the artifact, alone.
// The name is that of the folder where they are kept.
func Java(t testing.TB, name string, jars ...string) string {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		Missing(t, "a Java compiler: install the package default-jdk-headless")
	}
	sum := sha256.Sum256([]byte(strings.Join(jars, "\n")))
	dir, err := cached(fmt.Sprintf("%s-%x", name, sum[:4]), func(into string) error { return fetchJars(t.Context(), name, jars, into) })
	if errors.Is(err, ErrUnavailable) {
		Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "*")
}

// cached returns the folder of the name in the user's cache, and has it made where it
// is not there.
func cached(name string, fill func(into string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	dir := filepath.Join(cache, "openai-audit-kafka", name)
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Test processes run side by side, and one fetch is enough. The rename below
	// is what makes the folder whole or absent; the lock only saves work.
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	into, err := os.MkdirTemp(filepath.Dir(dir), "fetching-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(into)
	if err := fill(filepath.Join(into, "it")); err != nil {
		return "", err
	}
	return dir, os.Rename(filepath.Join(into, "it"), dir)
}

func fetchJars(ctx context.Context, what string, jars []string, into string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: no Maven: %w", ErrUnavailable, err)
	}
	var wanted [][]string
	for _, jar := range jars {
		wanted = append(wanted, strings.Split(jar, ":"))
	}
	file, err := os.Create(into + ".xml")
	if err != nil {
		return err
	}
	if err := errors.Join(pom.Execute(file, wanted), file.Close()); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", "--file", file.Name(),
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+into)
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: fetching %s: %w\n%s", ErrUnavailable, what, err, out)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
