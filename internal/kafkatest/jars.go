package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{{.}}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{{.}}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
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
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	jars := filepath.Join(cache, "openai-audit-kafka", "kafka-"+version)
	if exists(jars) {
		return jars, nil
	}
	if err := os.MkdirAll(filepath.Dir(jars), 0o755); err != nil {
		return "", err
	}
	// Test processes run side by side, and one fetch is enough. The rename below
	// is what makes the folder whole or absent; the lock only saves work.
	unlock, err := lock(jars + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(jars) {
		return jars, nil
	}
	return jars, fetchJars(ctx, version, jars)
}

func fetchJars(ctx context.Context, version, jars string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: no Maven: %w", ErrUnavailable, err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(jars), "fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "pom.xml"))
	if err != nil {
		return err
	}
	if err := errors.Join(pom.Execute(file, version), file.Close()); err != nil {
		return err
	}
	lib := filepath.Join(dir, "lib")
	mvn := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", "--file", file.Name(),
		"dependency:copy-dependencies", "-DoutputDirectory="+lib)
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: fetching Kafka %s: %w\n%s", ErrUnavailable, version, err, out)
	}
	return os.Rename(lib, jars)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
