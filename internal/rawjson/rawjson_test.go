package rawjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse compares both readers with encoding/json: what is valid, and what the
// values are.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `""`, ` null `, `{"a":1,"a":{"b":[true,false,null,-0.5e+7,"x"]}}`, `[1,]`, `{"a" : }`,
		`"\u00e9\ud83d\ude00\ud800\udc\n"`, `"\ud800\ud800\udc00"`, `"\x"`, `01`, `1.`, `-`, `1e`, `tru`, `[[[[`, `{"a":1}}`, "\"\x00\"",
		`{"\u0061":"b"}`, "[1,2]\n\t ", `{"a":1,}`, `{,}`, `[,1]`, `"`, `"\`, `"\u12`, `{"a"`, "", "\x00", "\ufeff{}", `[1 2]`, `{"a":1 "b":2}`, `[}`, `{]`, "\"\xff\"",
		`{"object":"list","data":[1,-0.5e+10,"x\u00e9\ud83d\ude00",null,true,[[],{}],{"a":{"b":[1,2]}}],"has_more":true} `,
		`{"object":"list","data":[{"id":"a","id":"b","effective_at":1e3}],"last_id":5,"has_more":true}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		valid := json.Valid([]byte(text))
		deep := nesting(text) >= 10000
		s := NewScanner(text)
		if whole := s.Skip() == nil && s.AtEnd(); whole != valid && !deep {
			t.Fatalf("a Scanner says that %q is JSON: %v, encoding/json says %v", text, whole, valid)
		}
		tape := Borrow()
		defer tape.GiveBack()
		root, err := tape.Parse(text)
		if (err == nil) != valid && !deep {
			t.Fatalf("Parse(%q) = %v, encoding/json says valid: %v", text, err, valid)
		}
		if err != nil || deep || !utf8.ValidString(text) || strings.Contains(text, `\u0000`) {
			return // encoding/json reads a NUL as one, and invalid UTF-8 as U+FFFD
		}
		var want any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		compare(t, root, want)
	})
}

// nesting is an upper bound of the depth: encoding/json has a limit.
func nesting(text string) int { return strings.Count(text, "[") + strings.Count(text, "{") }

func compare(t *testing.T, got Value, want any) {
	t.Helper()
	switch want := want.(type) {
	case nil:
		if !got.Is(Null) {
			t.Fatal("not null")
		}
	case bool:
		if !got.Is(Bool) || got.Raw() != map[bool]string{true: "true", false: "false"}[want] {
			t.Fatalf("%q, want %v", got.Raw(), want)
		}
	case json.Number:
		if got.Number() != want.String() || !got.Is(Number) || !IsNumber(got.Raw()) {
			t.Fatalf("%q, want %v", got.Number(), want)
		}
	case string:
		if got.Text() != want || !got.Is(String) {
			t.Fatalf("%q, want %q", got.Text(), want)
		}
	case []any:
		i := 0
		for item := range got.Items {
			compare(t, item, want[i])
			i++
		}
		if i != len(want) || !got.Is(Array) {
			t.Fatalf("%d items, want %d", i, len(want))
		}
	case map[string]any:
		if !got.Is(Object) {
			t.Fatal("no object")
		}
		for name := range got.Members {
			if _, ok := want[name]; !ok {
				t.Fatalf("member %q is not there", name)
			}
		}
		for name, member := range want {
			compare(t, got.Get(name), member)
		}
	}
}

// TestOddText: a page's text is Unicode or none, and keeps a NUL; a tape's has U+FFFD
// for what is no character, and for a NUL.
func TestOddText(t *testing.T) {
	for text, want := range map[string]struct{ strict, lenient string }{
		`"a\u0000b"`:       {"a\x00b", "a\uFFFDb"},
		`"\ud800"`:         {"", "\uFFFD"},
		`"\ud800\u0041"`:   {"", "\uFFFDA"},
		`"\udc00\ud83d"`:   {"", "\uFFFD\uFFFD"},
		`"\ud83d\ude00\/"`: {"😀/", "😀/"},
		"\"a\xff\"":        {"", "a\xff"},
	} {
		s := NewScanner(text)
		read, err := s.Text()
		if strict, ok := read.Decode(); err != nil || strict != want.strict || ok != (want.strict != "") {
			t.Errorf("%s: %q, %v, error %v", text, strict, ok, err)
		}
		value, err := new(Tape).Parse(`{` + text + `:` + text + `}`)
		if err != nil || value.Get(want.lenient).Text() != want.lenient {
			t.Errorf("%s on a tape: %q, error %v", text, value.Get(want.lenient).Text(), err)
		}
	}
}

// TestErrorsSayWhere: an operator is told the byte and what should be there, and
// nothing of what is.
func TestErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		``:                 "the JSON is wrong at byte 0, where a value should be",
		`[1,]`:             "the JSON is wrong at byte 3, where a value should be",
		`[1 2]`:            "the JSON is wrong at byte 3, where a comma or ']' should be",
		`{"a":1 "b":2}`:    "the JSON is wrong at byte 7, where a comma or '}' should be",
		`{"a":1,}`:         "the JSON is wrong at byte 7, where '\"' should be",
		`{"a" 1}`:          "the JSON is wrong at byte 5, where ':' should be",
		`[tru]`:            "the JSON is wrong at byte 1, where true should be",
		`[-]`:              "the JSON is wrong at byte 2, where a digit should be",
		`["secret`:         "the JSON is wrong at byte 8, where the end of a string should be",
		"[\"a\n\"]":        "the JSON is wrong at byte 3, where a character of a string should be",
		`["\x"]`:           "the JSON is wrong at byte 3, where an escape should be",
		`{"a":{"b":[1,2]}`: "the JSON is wrong at byte 16, where a comma or '}' should be",
	} {
		s := NewScanner(text)
		if err := s.Skip(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if _, err := new(Tape).Parse(text); err == nil || err.Error() != want {
			t.Errorf("%s on a tape: %v, want %s", text, err, want)
		}
	}
}

func TestPoolKeepsNoHugeTape(t *testing.T) {
	tape := new(Tape)
	if _, err := tape.Parse("[" + strings.Repeat("0,", pooledNodes) + "0]"); err != nil {
		t.Fatal(err)
	}
	tape.GiveBack()
	if tape.scan.data != "" {
		t.Error("the tape keeps the event")
	}
}
