package main

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// screen is a progress line and what a terminal got of it.
type screen struct {
	*progressLine
	got strings.Builder
	at  time.Time
}

func newScreen() *screen {
	s := &screen{at: time.Unix(1_800_000_000, 0)}
	s.progressLine = newProgressLine(&s.got)
	s.now = func() time.Time { return s.at }
	return s
}

func (s *screen) want(t *testing.T, want string) {
	t.Helper()
	if got := s.got.String(); got != want {
		t.Errorf("the screen got\n%q, want\n%q", got, want)
	}
}

func halfRead(now time.Time) connector.Progress {
	return connector.Progress{
		Read: connector.ReadHistory, From: now.Add(-72 * time.Hour), Reached: now.Add(-48 * time.Hour), Until: now.Add(-24 * time.Hour),
		Events: 5000, Requests: 55, Took: 2 * time.Second, PerSecond: 2500, Left: 90 * time.Second,
	}
}

const halfLine = "\x1b[?7ldefault: history to 2027-01-13 08:00, 50 %, 5000 events, 2500/s, about 1m30s left\x1b[?7h"

// The line is redrawn now and then, what is logged goes above it, and it goes away
// when history is read. The deep past is not in it.
func TestProgressLine(t *testing.T) {
	s := newScreen()
	is := halfRead(s.at)
	s.show("default", is)
	s.show("default", is) // too soon
	_, _ = s.Write([]byte("logged\n"))
	s.at = s.at.Add(time.Second)
	deep := is
	deep.Read, deep.Done = connector.ReadDeep, true
	s.show("default", deep)
	is.Done, is.Left = true, 0
	s.show("default", is)
	s.show("default", is)
	_, _ = s.Write([]byte("after\n"))
	s.want(t, eraseLine+halfLine+eraseLine+"logged\n"+halfLine+eraseLine+"after\n")
}

// It also goes away when this instance stops to read, or the process leaves, and
// nothing brings it back then: the prompt of the shell comes next.
func TestProgressLineEnds(t *testing.T) {
	s := newScreen()
	s.show("default", halfRead(s.at))
	s.show("default", connector.Progress{})
	s.want(t, eraseLine+halfLine+eraseLine)

	s = newScreen()
	s.show("default", halfRead(s.at))
	s.end()
	s.at = s.at.Add(time.Second)
	s.show("default", halfRead(s.at))
	_, _ = s.Write([]byte("stopped\n"))
	s.want(t, eraseLine+halfLine+eraseLine+"stopped\n")
}

// Several organizations have one line: what is slowest counts, and what is left is
// not guessed until it is known of all.
func TestProgressLineOfSeveral(t *testing.T) {
	s := newScreen()
	a, b := halfRead(s.at), halfRead(s.at)
	b.Reached, b.Left, b.PerSecond = b.From, 0, 0
	s.show("a", a)
	s.got.Reset()
	s.at = s.at.Add(time.Second)
	s.show("b", b)
	s.want(t, eraseLine+"\x1b[?7lhistory of 2 organizations, 0 %, 10000 events, 2500/s\x1b[?7h")
}
