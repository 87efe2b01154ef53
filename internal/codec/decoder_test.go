package codec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

func TestDecodeConfluent(t *testing.T) {
	ev := eventOf(t, readTestdata(t, "invite.deleted.json"))
	value := encode(t, newEncoder(t, codec.Config{Framing: codec.Confluent(7)}), ev).Value

	// A newer release has a column more, at the end. Its records are read
	// without it.
	newer := strings.TrimSuffix(strings.TrimSpace(schemas.Latest().Text), "]\n}") + `, {"name": "newer", "type": ["null", "string"], "default": null}]}`
	for name, test := range map[string]struct {
		text  string
		value []byte
	}{
		"ours":  {schemas.Latest().Text, value},
		"newer": {newer, append(bytes.Clone(value), 0x02, 0x02, 'x')},
	} {
		t.Run(name, func(t *testing.T) {
			lookups := 0
			decoder := newDecoder(t, func(_ context.Context, id int) (string, error) {
				if lookups++; id != 7 {
					t.Errorf("looked up id %d", id)
				}
				return test.text, nil
			})
			for range 3 {
				record, err := decoder.Decode(t.Context(), test.value)
				if err != nil || record.RawEvent != string(ev.Raw) {
					t.Fatalf("%v: %q", err, record.RawEvent)
				}
			}
			if lookups != 1 {
				t.Errorf("%d lookups", lookups)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	single := encode(t, newEncoder(t, codec.Config{}), eventOf(t, readTestdata(t, "invite.deleted.json"))).Value
	unknown := bytes.Clone(single)
	unknown[5] ^= 1
	errLookup := errors.New("no answer")
	lookup := func(_ context.Context, id int) (string, error) {
		switch id {
		case 1:
			return `"string"`, nil
		case 2:
			return `{"type":"record"`, nil
		case 3:
			return schemas.Latest().Text, nil
		case 4:
			return "", codec.ErrUnknownSchema
		}
		return "", errLookup
	}
	for name, test := range map[string]struct {
		value []byte
		want  error // nil: any
	}{
		"nothing":                    {nil, nil},
		"null":                       {[]byte{0}, nil},
		"half a framing":             {single[:9], nil},
		"no framing":                 {[]byte(`{"id":"a"}`), nil},
		"fingerprint of a newer one": {unknown, codec.ErrUnknownSchema},
		"half a record":              {single[:len(single)-1], nil},
		"more than a record":         {append(bytes.Clone(single), 0), nil},
		"framing alone":              {single[:10], nil},
		"id of another record":       {[]byte{0, 0, 0, 0, 1, 2, 'a'}, nil},
		"id of nonsense":             {[]byte{0, 0, 0, 0, 2, 2, 'a'}, nil},
		"id not kept":                {[]byte{0, 0, 0, 0, 4, 2, 'a'}, codec.ErrUnknownSchema},
		"registry does not answer":   {[]byte{0, 0, 0, 0, 5, 2, 'a'}, errLookup},
		"string of 2^62 bytes":       {append([]byte{0, 0, 0, 0, 3}, binary.AppendVarint(nil, 1<<62)...), nil},
		"string of -1 bytes":         {append([]byte{0, 0, 0, 0, 3}, binary.AppendVarint(nil, -1)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder(t, lookup).Decode(t.Context(), test.value)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
	if _, err := newDecoder(t, nil).Decode(t.Context(), []byte{0, 0, 0, 0, 1, 2}); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("without a registry: %v", err)
	}
}

// FuzzDecode: the topic may hold anything; memory and time stay in proportion.
func FuzzDecode(f *testing.F) {
	for _, ev := range pageOf(f, "page.json") {
		f.Add(encode(f, newEncoder(f, codec.Config{}), ev).Value)
	}
	f.Add([]byte{0, 0, 0, 0, 1, 2, 'a'})
	decoder := newDecoder(f, nil)
	f.Fuzz(func(t *testing.T, value []byte) {
		record, err := decoder.Decode(t.Context(), value)
		if err == nil && len(record.RawEvent) > len(value) {
			t.Error("more came out than went in")
		}
	})
}
