package consumers_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestOtherFraming: a recipe without a registry that meets values framed for one ends with
// the remedy, and not with a stack trace. upgrade_test.go has a version that it does not know.
func TestOtherFraming(t *testing.T) {
	w := &world{c: kafkatest.SharedReal(t), files: []string{schema}}
	w.plain = w.c.Name("registry")
	w.c.CreateTopic(w.plain, 1, nil)
	if err := w.c.Client().ProduceSync(t.Context(), &kgo.Record{Topic: w.plain, Value: []byte("\x00\x00\x00\x00\x01\x00")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	programs := map[string]*program{"Python": startPython(t, w), "Java": startJava(t, w), "Go": startGo(t, w)}
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			_, said := p.ended(t)
			saysRemedy(t, said, "registry")
		})
	}
}
