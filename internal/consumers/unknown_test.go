package consumers_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestUnknownVersion: a recipe without a registry that meets a version of the schema
// which it does not have ends with the remedy, and not with a stack trace. So it does
// where the values are framed for a registry.
func TestUnknownVersion(t *testing.T) {
	c := kafkatest.SharedReal(t)
	for _, test := range []struct{ name, value, want string }{
		{"newer", "\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00", "nothing is lost"},
		{"registry", "\x00\x00\x00\x00\x01\x00", "registry"},
	} {
		topic := c.Name(test.name)
		c.CreateTopic(topic, 1, nil)
		if err := c.Client().ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(test.value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		common := func() []string { return []string{c.Brokers()[0], topic, c.Name("group")} }
		for name, command := range map[string][]string{
			"Python": append([]string{kafkatest.Python(t), recipe(t, "python/read.py")}, append(common(), schema)...),
			"Java":   append(append([]string{"java"}, javaArgs(t, recipe(t, "java/Read.java"))...), append(common(), schema)...),
			"Go":     append([]string{goRecipe(t)}, common()...),
		} {
			out, err := exec.CommandContext(patient(t), command[0], command[1:]...).CombinedOutput()
			said := string(out)
			if err == nil || !strings.Contains(said, test.want) || strings.Contains(said, "Traceback") || strings.Contains(said, "\tat ") ||
				strings.Contains(said, "goroutine") {
				t.Errorf("%s, %s: it ended with %v, and said: %s", name, test.name, err, said)
			}
		}
	}
}
