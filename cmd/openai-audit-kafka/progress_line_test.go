package main

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// The line is redrawn now and then, what is logged goes above it, and it goes away
// when history is read.
func TestProgressLine(t *testing.T) {
	var screen strings.Builder
	p := newProgressLine(&screen)
	now := time.Unix(1_800_000_000, 0)
	p.now = func() time.Time { return now }
	is := connector.Progress{
		Reached: now.Add(-48 * time.Hour), Until: now.Add(-24 * time.Hour),
		Events: 5000, Requests: 55, Took: 2 * time.Second, Left: 90 * time.Second,
	}
	const line = "default: history to 2027-01-13 08:00 of 2027-01-14 08:00, 5000 events, 2500/s, 55 requests, about 1m30s left"
	p.show("default", is)
	p.show("default", is) // too soon
	_, _ = p.Write([]byte("logged\n"))
	now = now.Add(time.Second)
	is.Left = 0
	p.show("default", is)
	_, _ = p.Write([]byte("after\n"))
	want := eraseLine + line + eraseLine + "logged\n" + line + eraseLine + "after\n"
	if got := screen.String(); got != want {
		t.Errorf("the screen got\n%q, want\n%q", got, want)
	}
}
