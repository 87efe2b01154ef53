package kafka_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// TestHeaders: a message's headers are those of its layout, each with the value that the
// layout says, and they take no more than the size that was foretold.
func TestHeaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 300, -1)
		m := kafka.Message{Key: []byte(text.Draw(t, "key")), Value: []byte("v")}
		var fields []kafka.Field
		var own []byte
		var want []kafka.Header
		most := 0 // that the number may take, besides what it takes
		number := rapid.Uint64Max(math.MaxUint64-1).Draw(t, "number")
		for i := range rapid.IntRange(0, 12).Draw(t, "fields") {
			f := kafka.Field{Name: fmt.Sprint("header ", i), From: rapid.SampledFrom([]kafka.Origin{kafka.Fixed, kafka.Key, kafka.Own, kafka.Number}).Draw(t, "from")}
			value := []byte(text.Draw(t, "value"))
			switch f.From {
			case kafka.Fixed:
				f.Value = value
			case kafka.Key:
				value = m.Key
			case kafka.Own:
				cut := len(value) / 3
				own = kafka.AppendOwn(own, string(value[:cut]), string(value[cut:]))
			case kafka.Number:
				value = fmt.Append(nil, number)
				most += 20 - len(value)
			}
			fields = append(fields, f)
			if f.From != kafka.Own || len(value) > 0 {
				want = append(want, kafka.Header{Key: f.Name, Value: value})
			}
		}
		m.Headers = kafka.NewLayout(fields...).Headers(own)
		m.Headers.SetNumber(number)
		var lists kafka.HeaderLists
		for range 3 { // in new memory, behind other lists, and in memory that was free again
			lists.Of(&m)
			if diff := cmp.Diff(want, lists.Of(&m)); diff != "" && len(want) > 0 {
				t.Fatal(diff)
			}
			lists.Reset()
		}
		size := 36 + len(m.Key) + len(m.Value) + most
		for _, h := range want {
			size += 10 + len(h.Key) + len(h.Value)
		}
		if m.Size() != size {
			t.Fatalf("the size is %d, want %d", m.Size(), size)
		}
	})
}

// TestHeadersWithoutNumber: before a message has its number, the header has no value.
func TestHeadersWithoutNumber(t *testing.T) {
	m := kafka.Message{Headers: kafka.NewLayout(kafka.Field{Name: "n", From: kafka.Number}).Headers(nil)}
	if list := m.HeaderList(); !m.Headers.Numbered() || len(list) != 1 || list[0].Value != nil {
		t.Errorf("numbered %v, with the headers %v", m.Headers.Numbered(), list)
	}
	if (kafka.Headers{}).Numbered() || kafka.FixedHeaders(kafka.Header{Key: "n"}).Numbered() {
		t.Error("a message without a place for a number has one")
	}
	if (kafka.Message{}).HeaderList() != nil {
		t.Error("a message without headers has some")
	}
}

// TestHeaderListsStay: a list is not changed by those that are made after it.
func TestHeaderListsStay(t *testing.T) {
	layout := kafka.NewLayout(kafka.Field{Name: "own", From: kafka.Own}, kafka.Field{Name: "n", From: kafka.Number})
	var lists kafka.HeaderLists
	for range 3 {
		var all [][]kafka.Header
		for i := range 500 {
			m := kafka.Message{Headers: layout.Headers(kafka.AppendOwn(nil, strings.Repeat("x", i)))}
			m.Headers.SetNumber(uint64(i))
			all = append(all, lists.Of(&m))
		}
		for i, list := range all {
			number := list[len(list)-1]
			if string(number.Value) != fmt.Sprint(i) || i > 0 && len(list[0].Value) != i {
				t.Fatalf("the headers of message %d are %v", i, list)
			}
		}
		lists.Reset()
	}
}
