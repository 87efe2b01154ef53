package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// NewLogger returns a logger that writes to w. Format is text, json, or auto: text
// on a terminal, JSON otherwise. What happens again and again is logged at growing
// intervals.
func NewLogger(level slog.Level, format string, w io.Writer, isTerminal bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if format == "text" || format == "auto" && isTerminal {
		return slog.New(thin(slog.NewTextHandler(w, opts)))
	}
	return slog.New(thin(slog.NewJSONHandler(w, opts)))
}

// readable writes durations as 1.5s; slog's JSON has nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Millisecond).String())
	}
	return a
}
