package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// screen writes lines. It has no colours, so a pipe and a terminal get the same.
type screen struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// step says what is done next.
func (s *screen) step(format string, args ...any) { s.printf("\n== "+format, args...) }

// The columns of an event.
const columns = "  %-8s  %-34s  %-28s  %-15s  %s"

func (s *screen) heading() { s.row("TIME UTC", "TYPE", "ACTOR", "ADDRESS", "") }

func (s *screen) row(cells ...any) {
	line := fmt.Sprintf(columns, cells...)
	s.printf("%s", strings.TrimRight(line, " "))
}

// event shows one event.
func (s *screen) event(e codec.Record, note string) {
	actor := cmp.Or(text(e.ActorEmail), text(e.ActorID), "-")
	s.row(e.EffectiveAt.UTC().Format(time.TimeOnly), clip(e.Type, 34), clip(actor, 28), cmp.Or(text(e.SourceIP), "-"), note)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func clip(s string, width int) string {
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}

// thousands writes 25000 as 25,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// logWriter shows the lines of the connector's log.
type logWriter struct {
	*screen
	rest []byte
}

func (w *logWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		w.printf("  connector: %s", line)
		w.rest = rest
	}
}
