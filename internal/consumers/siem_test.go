package consumers_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestSIEMRecipes looks at the recipes whose programs cannot be had where tests run: that
// they say so, that Vector's are YAML whose parts fit each other, and that each asks for
// committed records.
func TestSIEMRecipes(t *testing.T) {
	for name, topic := range map[string]string{
		"splunk/vector.yaml": "openai.audit.events.ocsf", "elastic/vector.yaml": "openai.audit.events.ecs", "sentinel/logstash.conf": "openai.audit.events.json",
	} {
		text, err := os.ReadFile(recipe(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []string{"NOT RUN HERE", "read_committed", topic} {
			if !strings.Contains(string(text), said) {
				t.Errorf("%s does not have %q", name, said)
			}
		}
	}
	out, err := exec.CommandContext(patient(t), kafkatest.Python(t), filepath.Join("testdata", "vector.py"),
		recipe(t, "splunk/vector.yaml"), recipe(t, "elastic/vector.yaml")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []struct {
		Sources, Transforms, Sinks map[string]struct {
			Type              string
			Inputs            []string
			Acknowledgements  struct{ Enabled bool }
			LibrdkafkaOptions map[string]string `json:"librdkafka_options"`
		}
	}
	if err := json.Unmarshal(out, &files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, event := f.Sources["openai"], f.Transforms["event"]
		if source.Type != "kafka" || source.LibrdkafkaOptions["isolation.level"] != "read_committed" || !source.Acknowledgements.Enabled {
			t.Errorf("the source is %+v", source)
		}
		if event.Type != "remap" || len(event.Inputs) != 1 || event.Inputs[0] != "openai" || len(f.Sinks) != 1 {
			t.Errorf("the event is made by %+v, and goes to %v", event, f.Sinks)
		}
		for name, sink := range f.Sinks {
			if len(sink.Inputs) != 1 || sink.Inputs[0] != "event" || !sink.Acknowledgements.Enabled {
				t.Errorf("the sink %s is %+v", name, sink)
			}
		}
	}
}
