package ops_test

import (
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

func readFile(name string) (string, error) {
	text, err := os.ReadFile(name)
	return string(text), err
}

const subject = "s"

// withRegistry uses a registry, which may register unless change says otherwise.
func withRegistry(change func(*world, *srfake.Registry), opts ...srfake.Option) func(*world) {
	return func(w *world) {
		r := srfake.New(opts...)
		w.t.Cleanup(r.Close)
		w.ops.Registry.URL, w.ops.Registry.Subject, w.ops.Registry.AutoRegister = r.URL(), subject, true
		change(w, r)
	}
}

func seed(text string) func(*world, *srfake.Registry) {
	return func(_ *world, r *srfake.Registry) {
		r.SeedSchema(subject, 1, 1, sr.Schema{Type: sr.TypeAvro, Schema: text})
	}
}

const foreignSchema = `{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}`

// withoutLastColumn is our schema without its last nullable column.
func withoutLastColumn() string {
	text := schemas.Latest().Text
	start, end := strings.Index(text, `{"name": "details"`), strings.Index(text, `{"name": "raw_event"`)
	return text[:start] + text[end:]
}

var registryOf = named("schema registry")

// registryCauses are about the schema registry.
var registryCauses = []cause{
	{name: "no registry", wrong: func(*world) {}, of: registryOf, state: ops.OK, words: "single objects"},
	{name: "a registry that is not there", wrong: withRegistry(func(w *world, _ *srfake.Registry) { w.ops.Registry.URL = "http://127.0.0.1:1" }),
		of: registryOf, state: ops.Failed, words: "unavailable"},
	{name: "a registry that wants a password", wrong: withRegistry(func(*world, *srfake.Registry) {}, srfake.WithAuth("Basic c3ZjOnB3")),
		of: registryOf, state: ops.Failed, words: "SCHEMA_REGISTRY_PASSWORD"},
	{name: "a schema that is to be registered", wrong: withRegistry(func(*world, *srfake.Registry) {}),
		of: registryOf, state: ops.OK, words: "at the first start"},
	{name: "a registry that is read-only", wrong: withRegistry(func(w *world, r *srfake.Registry) {
		if err := r.SetMode(subject, sr.ModeReadOnly); err != nil {
			w.t.Fatal(err)
		}
	}), of: registryOf, state: ops.Failed, words: "is read-only"},
	{name: "a read-only registry that has the schema", wrong: withRegistry(func(w *world, r *srfake.Registry) {
		seed(schemas.Latest().Text)(w, r)
		if err := r.SetMode(subject, sr.ModeReadOnly); err != nil {
			w.t.Fatal(err)
		}
	}, srfake.WithGlobalCompat(sr.CompatFullTransitive)), of: registryOf, state: ops.OK, words: "is registered"},
	{name: "an ingress without a registry behind it", wrong: withRegistry(func(w *world, r *srfake.Registry) {
		r.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
			http.Error(rw, "default backend - 404", http.StatusNotFound)
			return true
		})
	}), of: registryOf, state: ops.Failed, words: "what answers in place of the registry"},
	{name: "a schema that may not be registered", wrong: withRegistry(func(w *world, _ *srfake.Registry) { w.ops.Registry.AutoRegister = false }),
		of: registryOf, state: ops.Failed, words: "may not be"},
	{name: "another schema under the subject", wrong: withRegistry(seed(foreignSchema)),
		of: registryOf, state: ops.Failed, words: "record names do not match"},
	{name: "a registry that would refuse the schema", wrong: withRegistry(func(w *world, r *srfake.Registry) {
		seed(withoutLastColumn())(w, r)
		r.Intercept(func(rw http.ResponseWriter, req *http.Request) bool {
			if !strings.HasPrefix(req.URL.Path, "/compatibility/") {
				return false
			}
			_, _ = io.WriteString(rw, `{"is_compatible":false,"messages":["READER_FIELD_MISSING_DEFAULT_VALUE"]}`)
			return true
		})
	}), of: registryOf, state: ops.Failed, words: "READER_FIELD_MISSING_DEFAULT_VALUE"},
	{name: "a subject that lets anything in", wrong: withRegistry(seed(schemas.Latest().Text), srfake.WithGlobalCompat(sr.CompatNone)),
		of: registryOf, state: ops.Warning, words: "FULL_TRANSITIVE"},
}

func stored(key, value string) func(*world) {
	return func(w *world) { w.kafka().produceState(w.cursor().Partition, key, []byte(value)) }
}

var cursorOf = named("cursor")

// stateCauses are about the cursor.
var stateCauses = []cause{
	{name: "a good cursor", wrong: func(*world) {}, of: cursorOf, state: ops.OK, words: "floor", history: true},
	{name: "nobody at work", wrong: func(*world) {}, of: named("instance"), state: ops.OK, words: "none is at work", history: true},
	{name: "another instance at work", wrong: func(w *world) {
		w.start()
		eventually(w.t, "it is at work", func() bool {
			openers := w.cursor().Openers
			return !openers[len(openers)-1].Closed
		})
	}, of: named("instance"), state: ops.OK, words: "is at work since", history: true},
	{name: "an unreadable cursor", wrong: stored("cursor/default", "{"), of: cursorOf, state: ops.Failed, words: "cannot be read", history: true},
	{name: "a newer cursor", wrong: stored("cursor/default", `{"version":99}`), of: cursorOf, state: ops.Failed, words: "newer version", history: true},
	{name: "the state was lost", wrong: func(w *world) {
		w.ops.Topics.Offsets = w.cluster.Name("new")
		w.kafka().topic(w.ops.Topics.Offsets, 2, map[string]string{"cleanup.policy": "compact"})
	}, of: cursorOf, state: ops.Failed, words: "the state was lost", history: true},
	{name: "another events topic", wrong: func(w *world) { w.ops.Topics.Events = w.cluster.Name("new") },
		of: cursorOf, state: ops.Failed, words: "accept-topics", history: true},
	{name: "another framing", wrong: withRegistry(func(*world, *srfake.Registry) {}), of: cursorOf, state: ops.Failed, words: "framed as single-object", history: true},
	{name: "another organization's key", wrong: func(w *world) { anotherAPI(simulator.Config{Organization: "org-2"}, 3)(w) },
		of: named("organization"), state: ops.Failed, words: "the key belongs to org-2", history: true},
	{name: "the organization of the cursor", wrong: func(*world) {}, of: named("organization"), state: ops.OK, words: "belongs to", history: true},
	{name: "an organization with another name", wrong: func(w *world) { w.ops.Organization = "renamed" },
		of: named("organization"), state: ops.Failed, words: "read already, under the name default", history: true},
}
