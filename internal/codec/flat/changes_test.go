package flat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestChangedFields(t *testing.T) {
	deep := `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}`
	for name, test := range map[string]struct {
		changes string
		want    []string
	}{
		"sorted":               {`{"title":"x","description":null,"name":""}`, []string{"description", "name", "title"}},
		"nested":               {`{"title":1,"metadata":{"b":2,"a":{"c":[{"d":1}]}}}`, []string{"metadata.a.c", "metadata.b", "title"}},
		"empty object":         {`{"metadata":{}}`, []string{"metadata"}},
		"list":                 {`{"scopes":["a","b"]}`, []string{"scopes"}},
		"repeated, last wins":  {`{"a":{"b":1},"a":{"c":1}}`, []string{"a.c"}},
		"repeated name":        {`{"a":1,"a":2}`, []string{"a"}},
		"same path":            {`{"a.b":1,"a":{"b":2}}`, []string{"a.b"}},
		"escaped name":         {`{"\u0061":1}`, []string{"a"}},
		"deeper than we look":  {deep, []string{"a.a.a.a.a.a.a.a"}},
		"nothing":              {`{}`, nil},
		"not an object":        {`["a"]`, nil},
		"paths beyond measure": {bomb(), []string{strings.Repeat("k", 50_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Flatten("x.updated", `{"x.updated":{"changes_requested":`+test.changes+`}}`)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.ChangedFields, test.want) {
				t.Errorf("got %.200q, want %.200q", r.ChangedFields, test.want)
			}
		})
	}
}

// bomb is 100 KB whose paths would need 500 MB.
func bomb() string {
	var members []string
	for i := range 10_000 {
		members = append(members, fmt.Sprintf(`"%d":1`, i))
	}
	return `{"` + strings.Repeat("k", 50_000) + `":{` + strings.Join(members, ",") + `}}`
}
