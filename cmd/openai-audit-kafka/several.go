package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
)

// chosen returns the organizations for a command that only looks: the one that is
// named, or all.
func (a *app) chosen(s *config.Settings, name string) ([]connector.Organization, error) {
	if name == "" {
		return s.Connector.Organizations, nil
	}
	org, err := a.organization(s, name)
	return []connector.Organization{org}, err
}

// inTurn does something for each organization, and reports whether all is well. One
// that fails does not cost the others their turn. Of several, JSON is one object a line.
func (a *app) inTurn(ctx context.Context, all []connector.Organization, asJSON bool, do func(org connector.Organization, out io.Writer) (ok bool, err error)) error {
	several := len(all) > 1
	allOK, failed := true, error(nil)
	for _, org := range all {
		out := a.stdout
		switch {
		case several && asJSON:
			out = &oneLine{out: a.stdout}
		case several:
			fmt.Fprintf(a.stdout, "%s:\n", org.Name)
		}
		ok, err := do(org, out)
		if line, is := out.(*oneLine); is {
			err = errors.Join(err, line.end())
		}
		allOK = allOK && ok
		switch {
		case err == nil:
		case !several || ctx.Err() != nil:
			return err
		default:
			fmt.Fprintf(a.stderr, "openai-audit-kafka: %s: %v\n", org.Name, err)
			failed = errors.Join(failed, err)
		}
	}
	switch {
	case failed != nil:
		return reportedError{failed}
	case !allOK:
		return reportedError{errFound}
	}
	return nil
}

// oneLine writes indented JSON as one line, as it comes. No string in JSON holds a line
// break, so what follows one is indentation.
type oneLine struct {
	out     io.Writer
	indents bool
	wrote   bool
}

func (w *oneLine) Write(p []byte) (int, error) {
	kept := slices.DeleteFunc(slices.Clone(p), func(b byte) bool {
		w.indents = b == '\n' || w.indents && b == ' '
		return w.indents
	})
	w.wrote = w.wrote || len(kept) > 0
	if _, err := w.out.Write(kept); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *oneLine) end() (err error) {
	if w.wrote {
		_, err = fmt.Fprintln(w.out)
	}
	return err
}
