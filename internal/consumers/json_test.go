package consumers_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// oddJSON is what the JSON topic may hold, and what docs/consuming.md says of it. U+FFFD
// is written as it is, so that it is not taken for an escape.
var oddJSON = []struct {
	name, sent string
	recipe     string // the recipe's line
	safe       string // with KAFKA_JSON_FORM=safe
	strict     bool   // ClickHouse stops at it
	double     bool   // Go takes it with UseNumber alone
}{
	{name: "line breaks", sent: "{\n\t\"x\": {\r\n\t\"a\": [1,\n2]}\n}\n", recipe: `{"x":{"a":[1,2]}}`, safe: `{"x":{"a":[1,2]}}`},
	{name: "half of a surrogate pair", sent: `{"x":{"a":"\ud800","b":"\udc00 and \ud83d\ude00"}}`,
		recipe: `{"x":{"a":"�","b":"� and 😀"}}`, safe: `{"x":{"a":"\ufffd","b":"\ufffd and \ud83d\ude00"}}`, strict: true},
	{name: "a number beyond a double", sent: `{"x":{"a":1e400,"b":-1e400,"c":1.5}}`,
		recipe: `{"x":{"a":"1e400","b":"-1e400","c":1.5}}`, safe: `{"x":{"a":"1e400","b":"-1e400","c":1.5}}`, strict: true, double: true},
	{name: "a name twice", sent: `{"x":{"a":1,"a":2}}`, recipe: `{"x":{"a":2}}`, safe: `{"x":{"a":2}}`, strict: true},
	{name: "NUL", sent: `{"x":{"a":"a\u0000b"}}`, recipe: `{"x":{"a":"a�b"}}`, safe: `{"x":{"a":"a\u0000b"}}`},
}

// TestOddJSON: each odd value of the JSON topic has a recipe that reads it, the form safe
// is what the table in docs/consuming.md says, and ClickHouse stops where it says so.
func TestOddJSON(t *testing.T) {
	var sent []string
	for _, odd := range oddJSON {
		sent = append(sent, odd.sent, odd.safe)
	}
	texts, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(patient(t), kafkatest.Python(t), filepath.Join("testdata", "odd_json.py"), recipe(t, "python/read_json.py"))
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(texts)), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var read [][2]*string // the recipe's line, and the error of ClickHouse
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	for n, odd := range oddJSON {
		t.Run(odd.name, func(t *testing.T) {
			safe, err := rawjson.Safe(odd.sent)
			if err != nil || string(safe) != odd.safe {
				t.Errorf("safe is %s, error %v; want %s", safe, err, odd.safe)
			}
			for i, form := range []string{"raw", "safe"} {
				line, refused := read[2*n+i][0], read[2*n+i][1]
				if diff := gocmp.Diff(decoded(t, odd.recipe), decoded(t, *line)); diff != "" {
					t.Errorf("the recipe, %s (-want +got):\n%s", form, diff)
				}
				if (refused != nil) != (odd.strict && form == "raw") {
					t.Errorf("ClickHouse, %s: refused %v", form, refused != nil)
				}
			}
			var value any
			if err := json.Unmarshal([]byte(odd.sent), &value); (err != nil) != odd.double {
				t.Errorf("Go: %v", err)
			}
			numbers := json.NewDecoder(strings.NewReader(odd.sent))
			numbers.UseNumber()
			if err := numbers.Decode(&value); err != nil {
				t.Errorf("Go with UseNumber: %v", err)
			}
		})
	}
}

// jsonTopic has the recipe read the JSON topic. Each event is the one that was sent, and
// none is of an aborted transaction.
func (w *world) jsonTopic(t *testing.T) {
	p := launch(t, kafkatest.Python(t), recipe(t, "python/read_json.py"), w.c.Brokers()[0], w.json, w.c.Name("group"))
	defer p.kill()
	rows := p.until(t, w.last)
	if len(rows) != len(w.want) {
		t.Errorf("%d rows, want %d", len(rows), len(w.want))
	}
	seen := map[string]bool{}
	for _, got := range rows {
		id, _ := got["id"].(string)
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		raw, _ := w.want[id]["raw_event"].(string)
		safe, err := rawjson.Safe(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := decoded(t, strings.ReplaceAll(string(safe), `\u0000`, `\ufffd`))
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%.300s (-want +got):\n%.3000s", raw, diff)
		}
	}
}

func decoded(t *testing.T, text string) row {
	t.Helper()
	var r row
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}
