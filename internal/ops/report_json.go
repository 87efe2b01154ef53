package ops

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes the report as one document. The lists go out id by id: a million
// of them would take several times their memory once more as one text.
func (r *Report) WriteJSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	frame := *r
	for _, list := range frame.lists() {
		*list.ids = nil
	}
	frame.Unreadable = nil
	rest, err := json.MarshalIndent(frame, "", "  ")
	if err != nil {
		return err
	}
	for _, list := range r.lists() {
		if rest, err = writeList(out, rest, list.name, *list.ids); err != nil {
			return err
		}
	}
	if rest, err = writeList(out, rest, "unreadable", r.Unreadable); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", rest)
	return out.Flush() // which has the first error of all
}

// writeList writes the document up to the list of that name, with its values, and
// returns the rest.
func writeList[T any](out io.Writer, document []byte, name string, values []T) (rest []byte, err error) {
	before, rest, found := bytes.Cut(document, fmt.Appendf(nil, "%q: null", name))
	if !found {
		return nil, fmt.Errorf("the report has no list %s", name)
	}
	open, end := "[\n    ", "\n  ]"
	if len(values) == 0 {
		open, end = "[", "]"
	}
	fmt.Fprintf(out, "%s%q: %s", before, name, open)
	for i, value := range values {
		text, err := json.MarshalIndent(value, "    ", "  ")
		if err != nil {
			return nil, err
		}
		if i > 0 {
			fmt.Fprint(out, ",\n    ")
		}
		fmt.Fprintf(out, "%s", text)
	}
	_, err = fmt.Fprint(out, end)
	return rest, err
}
