package remedy_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

func TestSplit(t *testing.T) {
	err := remedy.New("look at it: now", "reading %s: %w", "x", io.ErrUnexpectedEOF)
	if text := err.Error(); text != "reading x: unexpected EOF: look at it: now" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%s", text)
	}
	for _, err := range []error{err, fmt.Errorf("starting: %w", err)} {
		if cause, do := remedy.Split(err); cause != "reading x: unexpected EOF" || do != "look at it: now" {
			t.Errorf("%v: %q, %q", err, cause, do)
		}
	}
	if cause, do := remedy.Split(io.EOF); cause != "EOF" || do != "" {
		t.Errorf("%q, %q", cause, do)
	}
}
