package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// What is written id by id is the document that would be written at once.
func TestWriteJSON(t *testing.T) {
	r := Report{
		From: 1, To: 2, Organization: "a", Scopes: auditlog.Scopes(), API: 3, Repaired: new(1),
		Missing: []string{"x", `"missing": null`, "line\nbreak"}, Doubled: []string{}, Extra: []string{"y"}, Different: []string{},
		LeftToConnector: []string{}, Stalled: []string{"s"}, NotCovered: []string{}, Expired: []string{"z"},
		Unreadable: []Unreadable{{"u", 1, 2, `it is "null"`}, {ID: "", Offset: 3}},
	}
	want, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := r.WriteJSON(&got); err != nil || got.String() != string(want)+"\n" {
		t.Errorf("%v: got\n%s\nwant\n%s", err, &got, want)
	}
}

func TestNames(t *testing.T) {
	var n names
	var refs []nameRef
	text := func(i int) string { return fmt.Sprintf("%d-%s", i, strings.Repeat("x", i%300)) }
	for i := range 2000 { // several chunks
		refs = append(refs, n.add(text(i)))
		if i%700 == 0 && n.text(refs[i]) != text(i) { // reading seals what is filled
			t.Fatalf("%d: %q", i, n.text(refs[i]))
		}
	}
	refs = append(refs, n.add(strings.Repeat("y", 2*nameChunk)), n.add(""))
	for i, ref := range refs[:2000] {
		if got := n.text(ref); got != text(i) {
			t.Fatalf("%d: %q, want %q", i, got, text(i))
		}
	}
	if len(n.text(refs[2000])) != 2*nameChunk || n.text(refs[2001]) != "" {
		t.Error("what is larger than a chunk, or empty, is not kept")
	}
}
