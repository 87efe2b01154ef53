package target_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// A registry without our schema ends the start with one remedy, and with the one that helps:
// what does not fit cannot be registered either.
func TestRefusalsOfTheRegistry(t *testing.T) {
	const foreign = `{"type":"record","name":"AuditEvent","namespace":"openai.audit","fields":[{"name":"id","type":"long"}]}`
	for name, tt := range map[string]struct {
		registered string
		register   bool
		kind       error
		want       string
	}{
		"nothing there": {"", false, codec.ErrSchemaMissing, "looking up the schema of subject e-value: the schema is not registered: subject e-value has no schema: " +
			"register it with `schema register`, or set SCHEMA_REGISTRY_AUTO_REGISTER=true"},
		"another schema": {foreign, true, codec.ErrSchemaIncompatible, "registering the schema: the schema registry refused the schema (HTTP 409): " +
			"it does not fit: version 1 of subject e-value: its readers cannot read what we write: " +
			"avro: incompatible at id: reader long vs writer string: incompatible types: " +
			"give the connector a topic of its own, or remove what is under the subject, which `schema check` describes"},
	} {
		t.Run(name, func(t *testing.T) {
			registry := srfake.New()
			t.Cleanup(registry.Close)
			if tt.registered != "" {
				registry.SeedSchema("e-value", 1, 5, sr.Schema{Schema: tt.registered, Type: sr.TypeAvro})
				registry.Intercept(func(w http.ResponseWriter, r *http.Request) bool { // it compares nothing
					if r.Method != http.MethodPost || r.URL.Path != "/subjects/e-value/versions" {
						return false
					}
					w.WriteHeader(http.StatusConflict)
					_, _ = io.WriteString(w, `{"error_code":409,"message":"it does not fit"}`)
					return true
				})
			}
			to := target.Target{
				Logger:   slog.New(slog.DiscardHandler),
				Registry: codec.RegistryConfig{URL: registry.URL(), Subject: "e-value", AutoRegister: tt.register},
			}
			_, err := to.Format(t.Context())
			if _, is := errors.AsType[*target.Refusal](err); !is || !errors.Is(err, tt.kind) || err.Error() != tt.want {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
}
