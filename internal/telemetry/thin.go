package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// thinned logs what happens again and again at growing intervals only, with how often it
// was left out. A broker or an API that is away is asked again twice a second until it
// is back, and a log that says so each time hides the rest.
type thinned struct {
	slog.Handler
	by    string // by what the same message of two organizations differs
	lines *lines
}

// The times between two lines about the same.
const (
	thinFirst = 10 * time.Second
	thinMost  = 10 * time.Minute
	// thinOver is how long it must have been quiet to count as new.
	thinOver = 5 * time.Minute
	// thinKept bounds what is remembered: the causes are in the texts of others.
	thinKept = 1000
)

// lines are the messages that may come again.
type lines struct {
	mu   sync.Mutex // guards what follows
	seen map[string]*line
}

// line is a message that was logged, and may be left out now.
type line struct {
	logged, last time.Time
	gap          time.Duration
	left         int // out since it was logged
}

func thin(h slog.Handler) slog.Handler {
	return thinned{Handler: h, lines: &lines{seen: map[string]*line{}}}
}

// Handle implements slog.Handler.
func (h thinned) Handle(ctx context.Context, r slog.Record) error {
	cause, retried := h.by, r.Level >= slog.LevelWarn
	r.Attrs(func(a slog.Attr) bool {
		retried = retried || a.Key == "backoff"
		cause += causeOf(a)
		return true
	})
	if !retried {
		return h.Handler.Handle(ctx, r)
	}
	left, pass := h.lines.pass(r.Message+cause, r.Time)
	if !pass {
		return nil
	}
	if left > 0 {
		r.AddAttrs(slog.Int("left_out", left))
	}
	return h.Handler.Handle(ctx, r)
}

// pass says whether to log a message that comes now, and how often it was left out.
func (l *lines) pass(message string, now time.Time) (left int, pass bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := l.seen[message]
	switch {
	case is == nil || now.Sub(is.last) > max(thinOver, is.gap):
		if len(l.seen) >= thinKept {
			clear(l.seen)
		}
		l.seen[message] = &line{logged: now, last: now, gap: thinFirst}
		return 0, true
	case now.Sub(is.logged) < is.gap:
		is.last = now
		is.left++
		return 0, false
	}
	left = is.left
	*is = line{logged: now, last: now, gap: min(2*is.gap, thinMost)}
	return left, true
}

// causeOf is the part of an attribute by which causes differ: whose it is, and the
// error, without what changes each time, such as ports, times and ids of requests.
func causeOf(a slog.Attr) string {
	switch a.Key {
	case "organization", "scope", "topic", "group":
		return "\x00" + a.Value.String()
	case "error", "err", "reason", "warning", "for":
		words := strings.Fields(a.Value.String())
		for i, word := range words {
			if strings.ContainsAny(word, "0123456789") && !strings.HasPrefix(word, "HTTP") {
				words[i] = "#"
			}
		}
		return "\x00" + strings.Join(words, " ")
	case "status", "kind":
		return "\x00" + a.Value.String()
	}
	return ""
}

// WithAttrs implements slog.Handler.
func (h thinned) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.by += causeOf(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h thinned) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
