package rawjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// TestSafe is written by hand.
func TestSafe(t *testing.T) {
	big := strings.Repeat("9", 309)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for raw, want := range map[string]string{
		`{ "a" : [ 1 , true,null , "x" ] ,
			"b":{} }`: `{"a":[1,true,null,"x"],"b":{}}`,
		`{"a":"\ud800","\udc00b":"\ud83d\ude00\ud83dx\ud83d\ud83d\ude00"}`:                 `{"a":"\ufffd","\ufffdb":"\ud83d\ude00\ufffdx\ufffd\ud83d\ude00"}`,
		`{"a":1e400,"b":-1e400,"c":1e308,"d":1e-400,"e":9007199254740993,"f":-0,"g":1.50}`: `{"a":"1e400","b":"-1e400","c":1e308,"d":1e-400,"e":9007199254740993,"f":-0,"g":1.50}`,
		`[` + big + `]`:                  `["` + big + `"]`,
		`[` + big[1:] + `]`:              `[` + big[1:] + `]`,
		`{"a":1,"b":2,"\u0061":3}`:       `{"b":2,"\u0061":3}`,
		`{"\ud800":1,"\ud801":2}`:        `{"\ufffd":2}`,
		`{"\ud800":1,"\u0000":2}`:        `{"\ufffd":1,"\u0000":2}`,
		`{"a":"\u0000\n\/\\\"é\\ud800"}`: `{"a":"\u0000\n\/\\\"é\\ud800"}`,
		deep(64):                         deep(64),
		deep(66):                         strings.Repeat("[", 64) + `"[[]]"` + strings.Repeat("]", 64),
		strings.Repeat("[", 64) + "{\"a\\n\":\n\t1}" + strings.Repeat("]", 64): strings.Repeat("[", 64) + `"{\"a\\n\":\n\t1}"` + strings.Repeat("]", 64),
	} {
		got, err := rawjson.Safe(raw)
		if err != nil || string(got) != want {
			t.Errorf("%.80s\n got %.200s, %v\nwant %.200s", raw, got, err, want)
		}
	}
	if _, err := rawjson.Safe(`{"a":`); err == nil {
		t.Error("what is no JSON is no error")
	}
}

// FuzzSafe: whatever the event is, a strict reader takes its safe form, and reads the
// same value; safe is safe already.
func FuzzSafe(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":"\ud800\ud800\udc00","a":{"\ud800":1e999,"\ud801":[1E+400,{}]}}`, "[ 1,\n\"\\u0000\" ]", `"\\ud800"`, strings.Repeat("[", 70) + strings.Repeat("]", 70),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if utf8.ValidString(raw) {
			holdSafe(t, raw)
		}
	})
}

func TestSafeOfAnyEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { holdSafe(t, anyEvent(t, 6)) })
}

// holdSafe holds the safe form of one text to what it promises.
func holdSafe(t interface {
	Helper()
	Fatalf(string, ...any)
}, raw string) {
	t.Helper()
	safe, err := rawjson.Safe(raw)
	if err != nil {
		if json.Valid([]byte(raw)) {
			t.Fatalf("%q: %v", raw, err)
		}
		return
	}
	got, err := readStrictly(safe)
	if err != nil {
		t.Fatalf("%q\nsafe: %q: %v", raw, safe, err)
	}
	if again, err := rawjson.Safe(string(safe)); err != nil || !bytes.Equal(again, safe) {
		t.Fatalf("%q\nsafe: %q\nagain: %q, %v", raw, safe, again, err)
	}
	var want any
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	if d.Decode(&want) != nil || strings.Count(raw, "[")+strings.Count(raw, "{") > 64 {
		return // too deep for one of the readers
	}
	if want = withoutInfinities(want); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\nsafe %q\n got %v\nwant %v", raw, safe, got, want)
	}
}

// What is whole of the escapes in a text, and a half of what is left.
var (
	whole = regexp.MustCompile(`(?i)\\[^u]|\\ud[89ab]..\\ud[c-f]..`)
	half  = regexp.MustCompile(`(?i)\\ud[89a-f]`)
)

// readStrictly reads JSON as the strictest of the readers do, and refuses what one of
// them refuses.
func readStrictly(text []byte) (any, error) {
	if bytes.ContainsAny(text, "\n\r") {
		return nil, fmt.Errorf("more than one line")
	}
	if half.Match(whole.ReplaceAll(text, nil)) {
		return nil, fmt.Errorf("half of a surrogate pair") // encoding/json lets it pass
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err == nil && d.More() {
		err = fmt.Errorf("more than one value")
	}
	return v, err
}

func readValue(d *json.Decoder, depth int) (any, error) {
	before := d.InputOffset()
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == 64 {
			return nil, fmt.Errorf("deeper than 64 at %d", before)
		}
		if token == '[' {
			return readList(d, depth+1)
		}
		return readObject(d, depth+1)
	case json.Number:
		if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
			return nil, err
		}
	}
	return token, nil
}

func readList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		item, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := d.Token()
	return list, err
}

func readObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, twice := object[name.(string)]; twice {
			return nil, fmt.Errorf("the name %q twice", name)
		}
		if object[name.(string)], err = readValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// withoutInfinities has a string where a number is beyond a double.
func withoutInfinities(v any) any {
	switch v := v.(type) {
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return v.String()
		}
	case []any:
		for i := range v {
			v[i] = withoutInfinities(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = withoutInfinities(v[name])
		}
	}
	return v
}

func anyEvent(t *rapid.T, depth int) string {
	white := rapid.SampledFrom([]string{"", " ", "\n\t", "\r"}).Draw(t, "white")
	kind := rapid.IntRange(0, 7).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	var text string
	switch kind {
	case 0:
		text = rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	case 1, 2:
		text = rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
	case 3, 4:
		text = anyString(t)
	case 5:
		text = "[" + strings.Join(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return anyEvent(t, depth-1) }), 0, 4).Draw(t, "items"), ",") + "]"
	default:
		var members []string
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			members = append(members, anyString(t)+white+":"+anyEvent(t, depth-1))
		}
		text = "{" + strings.Join(members, ",") + "}"
	}
	return white + text + white
}

func anyString(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{`\ud800`, `\udfff`, `\ud83d\ude00`, `\u0000`, `\n`, `\\`, `\"`, "a", "é", `\u0061`, "u", "d800"}), 0, 5).Draw(t, "string")
	return `"` + strings.Join(parts, "") + `"`
}
