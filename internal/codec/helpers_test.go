package codec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// ingestedAt is not on a whole second, as no real one is.
var ingestedAt = time.Date(2026, 11, 23, 12, 34, 56, 789_000_000, time.UTC)

func newEncoder(t testing.TB, c codec.Config) *codec.Encoder {
	t.Helper()
	c.Organization, c.SourceTopic = "acme", "openai.audit.events"
	if c.Schema.Text == "" {
		c.Schema = schemas.Latest()
	}
	encoder, err := codec.NewEncoder(c)
	if err != nil {
		t.Fatal(err)
	}
	return encoder
}

func newDecoder(t testing.TB, lookup codec.SchemaLookup) *codec.Decoder {
	t.Helper()
	decoder, err := codec.NewDecoder(lookup)
	if err != nil {
		t.Fatal(err)
	}
	return decoder
}

// eventOf reads an event as the API's client does.
func eventOf(t testing.TB, raw []byte) auditlog.Event {
	t.Helper()
	var head struct {
		ID          string `json:"id"`
		Type        string `json:"type"`
		EffectiveAt int64  `json:"effective_at"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return auditlog.Event{
		ID: head.ID, Type: head.Type, EffectiveAt: auditlog.Second(head.EffectiveAt), Timed: true,
		Scope: auditlog.ScopeOrganization, Raw: raw,
	}
}

func encode(t testing.TB, encoder *codec.Encoder, ev auditlog.Event) kafka.Message {
	t.Helper()
	messages, _, err := encoder.Encode(ev, ingestedAt)
	if err != nil {
		t.Fatalf("%s: %v", ev.Raw, err)
	}
	return messages[0]
}

// aCopy returns the event's message of the only copy of the encoder.
func aCopy(t testing.TB, encoder *codec.Encoder, ev auditlog.Event) kafka.Message {
	t.Helper()
	messages, _, err := encoder.Encode(ev, ingestedAt)
	if err != nil || len(messages) != 2 {
		t.Fatalf("%s: %d messages, %v", ev.Raw, len(messages), err)
	}
	return messages[1]
}

// copyNamed returns a list with the copy of that name.
func copyNamed(t testing.TB, name string) []codec.Copy {
	t.Helper()
	c, ok := codec.CopyNamed(name)
	if !ok {
		t.Fatalf("there is no copy %s", name)
	}
	return []codec.Copy{c}
}

func decode(t testing.TB, value []byte) codec.Record {
	t.Helper()
	record, err := newDecoder(t, nil).Decode(t.Context(), value)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// pageOf returns the events of a page, byte for byte.
func pageOf(t testing.TB, name string) []auditlog.Event {
	t.Helper()
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(readTestdata(t, name), &page); err != nil {
		t.Fatal(err)
	}
	var events []auditlog.Event
	for _, raw := range page.Data {
		events = append(events, eventOf(t, raw))
	}
	return events
}

// headers lists a message's headers as name=value.
func headers(m kafka.Message) []string {
	var list []string
	for _, h := range m.HeaderList() {
		list = append(list, h.Key+"="+string(h.Value))
	}
	return list
}

// header returns a header's value, "" if it is not there.
func header(m kafka.Message, name string) string {
	for _, h := range m.HeaderList() {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// columns returns every text of the record by the name of its column.
func columns(t testing.TB, record codec.Record) map[string]string {
	t.Helper()
	texts := map[string]string{}
	fields := reflect.ValueOf(record)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("avro")
		switch value := fields.Field(i).Interface().(type) {
		case string:
			texts[name] = value
		case *string:
			if value != nil {
				texts[name] = *value
			}
		case []string:
			texts[name] = strings.Join(value, "\n")
		}
	}
	return texts
}
