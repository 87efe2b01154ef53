package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestRealRegistry asks the registry at REGISTRY_URL what the stand-in is asked above, on
// subjects of its own: see "make registry-check".
func TestRealRegistry(t *testing.T) {
	url := os.Getenv("REGISTRY_URL")
	if url == "" {
		t.Log("NOT RUN: REGISTRY_URL names no registry")
		return
	}
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	config := func(name string) codec.RegistryConfig {
		return codec.RegistryConfig{URL: url, AutoRegister: true, Subject: fmt.Sprintf("openai.audit.%s%d-value", name, time.Now().UnixNano())}
	}
	t.Run("the first version", func(t *testing.T) {
		c := config("first")
		if got, err := codec.Check(t.Context(), c); err != nil || got.Registered != 0 || got.Found || !got.Compatible() {
			t.Errorf("before: %+v, %v", got, err)
		}
		c.AutoRegister = false
		if _, _, err := register(t, c); !errors.Is(err, codec.ErrSchemaMissing) {
			t.Errorf("without the right to register: %v", err)
		}
		c.AutoRegister = true
		framing, version, err := register(t, c)
		if err != nil || framing.Name() != codec.FramingConfluent || version != schemas.Latest() {
			t.Fatalf("%v, version %d, %v", framing, version.Number, err)
		}
		got, err := codec.Check(t.Context(), c)
		if err != nil || got.Registered != 1 || !got.Found || codec.Confluent(got.ID) != framing || got.Level != "FULL_TRANSITIVE" || !got.Compatible() || got.Refused != "" || got.ReadOnly {
			t.Errorf("after: %+v, %v", got, err)
		}
		if again, _, err := register(t, c); err != nil || again != framing {
			t.Errorf("once more: %v, %v", again, err)
		}
		value := encode(t, newEncoder(t, codec.Config{Framing: framing}), eventOf(t, readTestdata(t, "invite.deleted.json"))).Value
		if record, err := newDecoder(t, codec.LookupSchemas(c)).Decode(t.Context(), value); err != nil || !bytes.Contains(readTestdata(t, "invite.deleted.json"), []byte(record.ID)) {
			t.Errorf("decoding by the id: %q, %v", record.ID, err)
		}
		if _, err := codec.LookupSchemas(c)(t.Context(), 999_999); !errors.Is(err, codec.ErrUnknownSchema) {
			t.Errorf("an id that is not there: %v", err)
		}
		v := schemas.Latest()
		for id, want := range map[int]int{got.ID: 0, 999_999: 999_999} {
			if moved, err := codec.MovedID(t.Context(), c, map[int]int{v.Number: id}, codec.Confluent(got.ID+1), v); moved != want || err != nil {
				t.Errorf("id %d: moved %d, %v", id, moved, err)
			}
		}
	})
	t.Run("every version in turn", func(t *testing.T) {
		c := config("versions")
		for _, v := range schemas.Versions() {
			if _, err := client.CreateSchema(t.Context(), c.Subject, sr.Schema{Schema: v.Text, Type: sr.TypeAvro}); err != nil {
				t.Fatalf("version %d: %v", v.Number, err)
			}
		}
		if got, err := codec.Check(t.Context(), c); err != nil || got.Registered != len(schemas.Versions()) || !got.Found || !got.Compatible() {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a schema of others", func(t *testing.T) {
		c := config("foreign")
		if err := client.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatFullTransitive}, c.Subject)[0].Err; err != nil {
			t.Fatal(err)
		}
		if _, err := client.CreateSchema(t.Context(), c.Subject, sr.Schema{Schema: foreignSchema, Type: sr.TypeAvro}); err != nil {
			t.Fatal(err)
		}
		if got, err := codec.Check(t.Context(), c); err != nil || got.Compatible() || got.Found || got.Registered != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, _, err := register(t, c); !errors.Is(err, codec.ErrSchemaIncompatible) || !strings.Contains(err.Error(), "version 1 of subject") {
			t.Errorf("%v", err)
		}
	})
	t.Run("the wrong path", func(t *testing.T) {
		c := config("path")
		c.URL = strings.TrimSuffix(url, "/") + "/nowhere"
		if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) {
			t.Errorf("%v", err)
		}
	})
}
