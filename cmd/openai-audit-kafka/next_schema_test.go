package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestNextSchema upgrades the connector to a release whose schema has a column more.
// Without a registry the topic keeps its version until the operator says otherwise, and
// check, log and status say that a newer one waits. With one the new version is written
// once it is registered.
func TestNextSchema(t *testing.T) {
	program := filepath.Join(t.TempDir(), "next")
	build := exec.CommandContext(t.Context(), "go", "build", kafkatest.NextRelease(t), "-o", program, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("without a registry", func(t *testing.T) { nextWithoutRegistry(t, &upgraded{newOperated(t), program}) })
	t.Run("with a registry", func(t *testing.T) {
		registry := srfake.New()
		t.Cleanup(registry.Close)
		nextWithRegistry(t, &upgraded{newOperated(t, "SCHEMA_REGISTRY_URL="+registry.URL()), program})
	})
}

func nextWithoutRegistry(t *testing.T, w *upgraded) {
	const waits = "newer version of the schema waits"
	written := map[uint64]int{schemas.Latest().Fingerprint: operatedEvents}
	hasWritten := func(version schemas.Version, events int) {
		t.Helper()
		written[version.Fingerprint] += events
		if got := w.written(t); !maps.Equal(got, written) {
			t.Errorf("events by the fingerprint of their schema: %x; want %x", got, written)
		}
	}
	if out := w.next(t, "check"); !strings.Contains(out, "a "+waits+": version 1 is written, and this release has version 2") ||
		!strings.Contains(out, "SCHEMA_VERSION=2") {
		t.Errorf("check says: %s", out)
	}
	log, status := w.step(t)
	hasWritten(schemas.Latest(), 5)
	if !strings.Contains(log, "a "+waits) || !strings.Contains(status, "A "+waits) || !strings.Contains(status, "Set SCHEMA_VERSION=2") {
		t.Errorf("log and status do not say that a newer version waits\n%s\n%s", log, status)
	}

	log, status = w.step(t, "SCHEMA_VERSION=2")
	hasWritten(kafkatest.NextSchema(), 5)
	if strings.Contains(log+status, waits) {
		t.Errorf("a version still waits that is written\n%s\n%s", log, status)
	}
	w.step(t) // the topic has it now
	hasWritten(kafkatest.NextSchema(), 5)
	w.step(t, "SCHEMA_VERSION=1")
	hasWritten(schemas.Latest(), 5)
	w.step(t, "SCHEMA_VERSION=2")
	hasWritten(kafkatest.NextSchema(), 5)

	// The release before does not know what the topic has, and says what to do.
	out, said := w.command(t, exitFound, "check")
	if !strings.Contains(out+said, "have version 2 of the schema") || !strings.Contains(out+said, "SCHEMA_VERSION=1") {
		t.Errorf("the release before says: %s%s", out, said)
	}
}

func nextWithRegistry(t *testing.T, w *upgraded) {
	const own = "SCHEMA_REGISTRY_AUTO_REGISTER=false"
	ids := w.written(t)
	if len(ids) != 1 {
		t.Fatalf("the events have the schema ids %v", ids)
	}
	if out := w.next(t, "check", own); !strings.Contains(out, "it is written without the columns of version 2") || !strings.Contains(out, "schema register") {
		t.Errorf("check says: %s", out)
	}
	log, _ := w.step(t, own)
	if got := w.written(t); len(got) != 1 || !strings.Contains(log, "the schema registry has an older version of the schema") {
		t.Errorf("before the new version is registered the events have the schema ids %v\n%s", got, log)
	}
	if out := w.next(t, "schema register", own); !strings.Contains(out, "version 2") {
		t.Errorf("schema register says: %s", out)
	}
	w.step(t, own)
	got := w.written(t)
	for id, events := range ids {
		if got[id] != events+5 {
			t.Errorf("the events of the version before: %v; want 5 more than %v", got, ids)
		}
		delete(got, id)
	}
	for id, events := range got {
		if events != 5 || len(got) != 1 {
			t.Errorf("%d events have the new schema id %d", events, id)
		}
	}
}

// upgraded is a world in which the next release is at hand.
type upgraded struct {
	*operated
	program string
}

// next runs a command line of the next release, and returns what it says.
func (w *upgraded) next(t *testing.T, line string, environ ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, strings.Fields(line)...)
	cmd.Env = slices.Concat(w.environ, environ)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// step runs the next release until five more events are in the topic, and returns its log
// and its status.
func (w *upgraded) step(t *testing.T, environ ...string) (log, status string) {
	t.Helper()
	events := w.committed(t) + 5
	p := startCommand(t, exec.CommandContext(t.Context(), w.program), slices.Concat(w.environ, []string{"HTTP_ADDR=127.0.0.1:0"}, environ))
	w.api.Step(5, 0, 0)
	for deadline := time.Now().Add(5 * time.Minute); w.committed(t) < events; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events are committed, want %d\n%s", w.committed(t), events, p.log.String())
		}
	}
	if got := w.committed(t); got != events {
		t.Errorf("%d events are committed, want %d", got, events)
	}
	status = w.status(t, p.log.String())
	p.signal(syscall.SIGTERM)
	if code := p.exit(time.Minute); code != exitDone {
		t.Errorf("exit code %d\n%s", code, p.log.String())
	}
	return p.log.String(), status
}

// status asks the process for it, whose log has the address.
func (w *upgraded) status(t *testing.T, log string) string {
	t.Helper()
	addr := ""
	for text := range strings.Lines(log) {
		var line struct{ Addr string }
		if json.Unmarshal([]byte(text), &line) == nil && line.Addr != "" {
			addr = line.Addr
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/status", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// written counts the events by the fingerprint of their schema, or its id in the registry.
func (w *upgraded) written(t *testing.T) map[uint64]int {
	t.Helper()
	versions := map[uint64]int{}
	for _, r := range w.cluster.Read(t, "openai.audit.events", kgo.ReadCommitted()) {
		if _, err := kafkatest.Decode(r.Value); err != nil {
			t.Error(err)
		}
		if r.Value[0] == 0 {
			versions[uint64(binary.BigEndian.Uint32(r.Value[1:]))]++
		} else {
			versions[binary.LittleEndian.Uint64(r.Value[2:])]++
		}
	}
	return versions
}
