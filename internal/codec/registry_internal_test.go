package codec

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestOlderVersion: where nothing may be written to the registry and it does not
// have the newest version, the one before is written, and said so.
func TestOlderVersion(t *testing.T) {
	older := schemas.Latest()
	newer := schemas.Version{Number: older.Number + 1, Text: withColumn(older.Text, "newer")}
	versions := append(schemas.Versions(), newer)
	r := srfake.New()
	t.Cleanup(r.Close)
	r.SeedSchema("s", 1, 5, sr.Schema{Schema: older.Text, Type: sr.TypeAvro})
	c := RegistryConfig{URL: r.URL(), Subject: "s"}

	var log bytes.Buffer
	framing, version, err := register(t.Context(), c, versions, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || framing != Confluent(5) || version != older {
		t.Errorf("%v, version %d, %v", framing, version.Number, err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "schema register") {
		t.Errorf("log %s", log.String())
	}

	// Allowed to, it registers the newest.
	c.AutoRegister = true
	framing, version, err = register(t.Context(), c, versions, slog.New(slog.DiscardHandler))
	if err != nil || framing == Confluent(5) || version != newer {
		t.Errorf("%v, version %d, %v", framing, version.Number, err)
	}
}

// TestOlderSchemaLacksColumns: a record is written with the columns that the
// version has.
func TestOlderSchemaLacksColumns(t *testing.T) {
	text := schemas.Latest().Text
	start, end := strings.Index(text, `{"name": "details"`), strings.Index(text, `{"name": "raw_event"`)
	older := text[:start] + text[end:]
	encoder, err := newAvroEncoder(schemas.Version{Text: older})
	if err != nil {
		t.Fatal(err)
	}
	details := "{}"
	value, err := encoder.encode(newAvroWriter(), nil, &flat.Record{ID: "a", RawEvent: "raw", Details: &details})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := readAs(older)
	if err != nil {
		t.Fatal(err)
	}
	var record flat.Record
	if rest, err := schema.Decode(value, &record); err != nil || len(rest) > 0 || record.RawEvent != "raw" || record.Details != nil {
		t.Errorf("%v, %d bytes left, raw_event %q, details %v", err, len(rest), record.RawEvent, record.Details)
	}
}

// withColumn adds a nullable column at the end of the schema.
func withColumn(text, name string) string {
	text = text[:strings.LastIndexByte(text, ']')] + `, {"name": "` + name + `", "type": ["null", "string"], "default": null}]}`
	avro.MustParse(text)
	return text
}

// TestProxyIsNamed: HTTPS_PROXY takes the registry too, which people do not expect.
// Its password stays out of it.
func TestProxyIsNamed(t *testing.T) {
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("anna", "hidden"), Host: "proxy.example:3128"})}
	r := registry{proxy: proxyOf(transport, &url.URL{Scheme: "https", Host: "registry.example"})}
	err := r.failed(t.Context(), "looking", &sr.ResponseError{StatusCode: 403, Message: "blocked"})
	if err == nil || !strings.Contains(err.Error(), "through the proxy proxy.example:3128") || !strings.Contains(err.Error(), "NO_PROXY") || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
}
