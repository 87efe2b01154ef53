package flat

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse holds the parser to encoding/json: what is valid, and what the
// values are.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `""`, ` null `, `{"a":1,"a":{"b":[true,false,null,-0.5e+7,"x"]}}`, `[1,]`, `{"a" : }`,
		`"\u00e9\ud83d\ude00\ud800\udc\n"`, `"\ud800\ud800\udc00"`, `"\x"`, `01`, `1.`, `-`, `1e`, `tru`, `[[[[`, `{"a":1}}`, "\"\x00\"",
		`{"\u0061":"b"}`, "[1,2]\n\t ", `{"a":1,}`, `{,}`, `[,1]`, `"`, `"\`, `"\u12`, `{"a"`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // refused before it is parsed
		}
		tp := borrowTape()
		defer tp.giveBack()
		err := tp.parse(text)
		if valid := json.Valid([]byte(text)); (err == nil) != valid && nesting(text) < 10000 {
			t.Fatalf("parse(%q) = %v, encoding/json says valid: %v", text, err, valid)
		}
		if err != nil || nesting(text) >= 10000 || strings.Contains(text, `\u0000`) {
			return // a NUL is not read as encoding/json does: TestOddText in package codec
		}
		var want any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		compare(t, tp.root(), want)
	})
}

// nesting is an upper bound of the depth: encoding/json has a limit.
func nesting(text string) int { return strings.Count(text, "[") + strings.Count(text, "{") }

func compare(t *testing.T, got value, want any) {
	t.Helper()
	switch want := want.(type) {
	case nil:
		if !got.is(kindNull) {
			t.Fatal("not null")
		}
	case bool:
		if !got.is(kindBool) || got.raw() != map[bool]string{true: "true", false: "false"}[want] {
			t.Fatalf("%q, want %v", got.raw(), want)
		}
	case json.Number:
		if got.number() != want.String() || !got.is(kindNumber) {
			t.Fatalf("%q, want %v", got.number(), want)
		}
	case string:
		if got.string() != want || !got.is(kindString) {
			t.Fatalf("%q, want %q", got.string(), want)
		}
	case []any:
		i := 0
		for item := range got.items {
			compare(t, item, want[i])
			i++
		}
		if i != len(want) || !got.is(kindArray) {
			t.Fatalf("%d items, want %d", i, len(want))
		}
	case map[string]any:
		if !got.is(kindObject) {
			t.Fatal("no object")
		}
		for name := range got.members {
			if _, ok := want[name.string()]; !ok {
				t.Fatalf("member %q is not there", name.string())
			}
		}
		for name, member := range want {
			compare(t, got.get(name), member)
		}
	}
}

// TestDeepNesting: nesting costs memory, never stack, and looking for what is
// not there ends.
func TestDeepNesting(t *testing.T) {
	const depth = 1_000_000
	for _, text := range []string{
		strings.Repeat("[", depth) + strings.Repeat("]", depth),
		strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
	} {
		r, err := Flatten("x.y", `{"x.y":{"id":"i","changes_requested":{"deep":`+text+`}}}`)
		if err != nil {
			t.Fatal(err)
		}
		if r.TargetID == nil || *r.TargetID != "i" || len(r.ChangedFields) != 1 {
			t.Errorf("target id %v, changed fields %q", r.TargetID, r.ChangedFields)
		}
	}
	if _, err := Flatten("x.y", strings.Repeat("[", depth)); err == nil {
		t.Error("open brackets are no error")
	}
}

func TestPoolKeepsNoHugeTape(t *testing.T) {
	tp := new(tape)
	if err := tp.parse("[" + strings.Repeat("0,", pooledNodes) + "0]"); err != nil {
		t.Fatal(err)
	}
	tp.giveBack()
	if tp.text != "" {
		t.Error("the tape keeps the event")
	}
}
