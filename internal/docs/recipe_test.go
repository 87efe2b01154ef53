package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// The recipe is built as it stands in the document, copies each event once
// through a kill, and copies nothing that the schema marks.
func TestRecipeWithoutPersonalData(t *testing.T) {
	recipe := buildRecipe(t)
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		source, target := c.Name("events"), c.Name("public")
		c.CreateTopic(source, 1, nil)
		c.CreateTopic(target, 1, nil)
		const events = 3000
		fill(t, c, source, events)

		run := func() *exec.Cmd {
			cmd := exec.Command(recipe, source, target, c.Brokers()[0])
			cmd.Stderr = &lines{t}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return cmd
		}
		kill := func(cmd *exec.Cmd) { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		first := run()
		time.Sleep(500 * time.Millisecond) // somewhere in its work
		kill(first)
		second := run()
		defer func() { kill(second) }()

		var copied []*kgo.Record
		for deadline := time.Now().Add(100 * time.Second); len(copied) < events && time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
			copied = c.Read(t, target, kgo.ReadCommitted())
		}
		checkCopies(t, copied, events)
	})
}

// buildRecipe compiles the program in the document as a module of its own.
func buildRecipe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	program := between(t, "docs/consuming.md", "<!-- recipe -->\n```go\n", "```\n<!-- /recipe -->")
	// Of the versions that the project uses, so that nothing is fetched.
	module := strings.Replace(read(t, "go.mod"), "module github.com/openai-audit-kafka/openai-audit-kafka", "module recipe", 1) +
		"\nrequire github.com/openai-audit-kafka/openai-audit-kafka v0.0.0\n" +
		"replace github.com/openai-audit-kafka/openai-audit-kafka => " + repository + "\n"
	for name, text := range map[string]string{"main.go": program, "go.mod": module, "go.sum": read(t, "go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "recipe")
	cmd := exec.Command("go", "build", "-mod=mod", "-o", out, ".")
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the recipe does not compile: %v\n%s", err, text)
	}
	return out
}

// fill writes events as the connector does.
func fill(t *testing.T, c *kafkatest.Cluster, topic string, events int) {
	t.Helper()
	encoder, err := codec.NewEncoder(codec.Config{Organization: "default", Schema: schemas.Latest(), SourceTopic: topic})
	if err != nil {
		t.Fatal(err)
	}
	api := simulator.New(simulator.Config{Seed: 9})
	now := auditlog.SecondOf(time.Now())
	api.Generate(events, now-86400, now)
	var records []*kgo.Record
	for ev := range api.Truth() {
		messages, _, err := encoder.Encode(auditlog.Event{
			ID: ev.ID, Type: ev.Type, Scope: ev.Scopes[0], EffectiveAt: ev.EffectiveAt, Timed: true, Raw: ev.Raw,
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: topic, Key: messages[0].Key, Value: messages[0].Value})
	}
	if err := c.Client().ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func checkCopies(t *testing.T, copied []*kgo.Record, events int) {
	t.Helper()
	var schema struct {
		Fields []struct{ Name, Doc string }
	}
	if err := json.Unmarshal([]byte(schemas.Latest().Text), &schema); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range copied {
		ids[string(r.Key)] = true
		var event map[string]any
		if err := json.Unmarshal(r.Value, &event); err != nil {
			t.Fatal(err)
		}
		if event["id"] != string(r.Key) || event["type"] == nil {
			t.Fatalf("a copy lacks what it should have: %s", r.Value)
		}
		for _, field := range schema.Fields {
			if _, has := event[field.Name]; has && strings.Contains(field.Doc, "Personal data.") {
				t.Fatalf("a copy has %s: %s", field.Name, r.Value)
			}
		}
		// All users of the simulator have such addresses.
		for _, personal := range []string{"@example.com", "203.0.113."} {
			if strings.Contains(string(r.Value), personal) {
				t.Fatalf("a copy has %s: %s", personal, r.Value)
			}
		}
	}
	if got := fmt.Sprint(len(copied), " copies of ", len(ids)); got != fmt.Sprint(events, " copies of ", events) {
		t.Error(got)
	}
}

// lines shows what a process says.
type lines struct{ t *testing.T }

func (l *lines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
