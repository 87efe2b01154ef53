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
	rest, err := json.MarshalIndent(frame, "", "  ")
	if err != nil {
		return err
	}
	for _, list := range r.lists() {
		before, after, found := bytes.Cut(rest, fmt.Appendf(nil, "%q: null", list.name))
		if !found {
			return fmt.Errorf("the report has no list %s", list.name)
		}
		fmt.Fprintf(out, "%s%q: ", before, list.name)
		if err := writeList(out, *list.ids); err != nil {
			return err
		}
		rest = after
	}
	fmt.Fprintf(out, "%s\n", rest)
	return out.Flush() // which has the first error of all
}

func writeList(out io.Writer, ids []string) error {
	open, end := "[\n    ", "\n  ]"
	if len(ids) == 0 {
		open, end = "[", "]"
	}
	fmt.Fprint(out, open)
	for i, id := range ids {
		quoted, err := json.Marshal(id)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprint(out, ",\n    ")
		}
		fmt.Fprintf(out, "%s", quoted)
	}
	_, err := fmt.Fprint(out, end)
	return err
}
