package flat

import (
	"strings"
	"testing"
)

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
