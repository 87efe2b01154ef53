package stack_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/stack"
)

// images is all that is known here of the images that are not ours: the commands
// that health checks may use, and how we know. None of them was run. If you change a
// tag, look at its line again.
var images = map[string]struct {
	commands []string
	source   string
}{
	"apache/kafka:4.3.1": {
		[]string{"/opt/kafka/bin/kafka-topics.sh"},
		"docker/jvm/Dockerfile of apache/kafka: the release is unpacked into /opt/kafka; wget and curl are not kept",
	},
	"apicurio/apicurio-registry:3.3.3": {
		[]string{"curl"},
		"distro/docker/src/main/docker/Dockerfile.jvm of Apicurio/apicurio-registry: ubi10/openjdk-21-runtime; " +
			"its own examples check http://localhost:9000/health/ready with curl",
	},
	"ghcr.io/kafbat/kafka-ui:v1.5.0": {
		[]string{"wget"},
		"api/Dockerfile of kafbat/kafka-ui: Alpine, so BusyBox's wget; no curl is added",
	},
	"prom/prometheus:v3.13.2": {
		[]string{"wget"},
		"Dockerfile of prometheus/prometheus: quay.io/prometheus/busybox, so BusyBox's wget",
	},
	"grafana/grafana:12.3.2": {
		[]string{"curl"},
		"Dockerfile of grafana/grafana: curl is added, on Alpine as on Ubuntu",
	},
}

// A health check that names what its image does not hold fails for ever, and all that
// waits for it never starts.
func TestStackHealthChecks(t *testing.T) {
	stages := dockerfile(t)
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		for name, s := range p.Services {
			if s.Healthcheck == nil || s.Healthcheck.Disable {
				t.Errorf("%s has none, so docker compose up --wait fails", name)
				continue
			}
			words := s.Healthcheck.Test
			if words[0] != "CMD" {
				t.Errorf("%s: %v needs a shell", name, words)
				continue
			}
			if s.Build != nil {
				if ours := stages[s.Build.Target].entrypoint; !slices.Equal(ours, words[1:2]) {
					t.Errorf("%s: the image runs %v, and the health check %v", name, ours, words)
				}
				continue
			}
			image, ok := images[s.Image]
			if !ok || !slices.Contains(image.commands, words[1]) {
				t.Errorf("%s: that %s holds %s is not in the table above", name, s.Image, words[1])
			}
		}
	})
}

// Every image in the table is used: a line about an older tag proves nothing.
func TestImagesAreUsed(t *testing.T) {
	text := read(t, "docker/compose.yaml")
	for image := range images {
		if !strings.Contains(text, "image: "+image+"\n") {
			t.Errorf("%s is in the table and not in the stack", image)
		}
	}
}

// stage is one of the Dockerfile's, as far as it is of use here.
type stage struct {
	from       string
	runs       []string
	copies     [][2]string // from the stage "build"
	env        []string
	user       string
	entrypoint []string
	health     []string
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// dockerfile reads ours. It knows the instructions that are in it, and no others.
func dockerfile(t *testing.T) map[string]stage {
	t.Helper()
	text := strings.ReplaceAll(read(t, "docker/Dockerfile"), "\\\n", "")
	stages := map[string]stage{}
	name, s := "", stage{}
	list := func(rest string) (words []string) {
		for _, m := range quoted.FindAllStringSubmatch(rest, -1) {
			words = append(words, m[1])
		}
		return words
	}
	for line := range strings.Lines(text) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch instruction {
		case "", "#", "ARG", "WORKDIR", "EXPOSE", "LABEL", "CMD":
		case "FROM":
			words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
			name, s = words[2], stages[words[0]] // what it is built on, if that is ours
			if s.from == "" {
				s.from = words[0]
			}
			s.copies, s.env = slices.Clone(s.copies), slices.Clone(s.env)
		case "RUN":
			s.runs = append(s.runs, rest)
		case "COPY":
			if words[0] == "--from=build" {
				s.copies = append(s.copies, [2]string{words[1], words[2]})
			} else if name != "build" {
				t.Errorf("%s copies %s from the context", name, rest)
			}
		case "ENV":
			s.env = append(s.env, rest)
		case "USER":
			s.user = rest
		case "ENTRYPOINT":
			s.entrypoint = list(rest)
		case "HEALTHCHECK":
			s.health = list(rest)
		default:
			t.Fatalf("the test does not know %s", instruction)
		}
		stages[name] = s
	}
	return stages
}

// What the images are: from nothing, not root, and with a health check of their own.
func TestDockerfile(t *testing.T) {
	stages := dockerfile(t)
	if m := regexp.MustCompile(`^golang:([0-9]+\.[0-9]+)\.[0-9]+-`).FindStringSubmatch(stages["build"].from); m == nil ||
		!strings.Contains(read(t, "go.mod"), "\ngo "+m[1]+".") {
		t.Errorf("built with %s: no fixed version, or not that of go.mod", stages["build"].from)
	}
	for _, name := range []string{"connector", "demo"} {
		s := stages[name]
		if s.from != "scratch" || s.user != "65532:65532" || len(s.entrypoint) != 1 {
			t.Errorf("%s is built from %s, with user %q and entry point %v", name, s.from, s.user, s.entrypoint)
		}
		if len(s.health) < 2 || s.health[0] != s.entrypoint[0] {
			t.Errorf("%s: its health check is %v", name, s.health)
		}
		if !slices.ContainsFunc(s.copies, func(c [2]string) bool { return c[1] == s.entrypoint[0] && path.Base(c[0]) == path.Base(c[1]) }) {
			t.Errorf("%s does not hold its entry point %v", name, s.entrypoint)
		}
	}
	if !slices.Contains(stages["connector"].env, "HTTP_ADDR=:8080") {
		t.Errorf("the environment of the image is %v", stages["connector"].env)
	}
	// The last stage is what "docker build" without a target makes.
	text := read(t, "docker/Dockerfile")
	if last := text[strings.LastIndex(text, "\nFROM"):]; !strings.HasPrefix(last, "\nFROM base AS connector\n") {
		t.Error("the last stage is not the connector")
	}
}
