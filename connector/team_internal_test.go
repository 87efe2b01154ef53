package connector

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// A refused organization whose partition comes back to this instance is refused
// again, and is still one; the instance ends when there is no other.
func TestRefusedTwiceIsOne(t *testing.T) {
	stopped := false
	team := &team{cancel: func() { stopped = true }, log: slog.New(slog.DiscardHandler), all: 2}
	for range 2 {
		team.began("a")
		team.ended("a", fmt.Errorf("no: %w", ErrRefused))
	}
	if stopped || team.err() != nil {
		t.Error("b is healthy, and the instance ends")
	}
	team.began("a")
	team.ended("b", fmt.Errorf("no: %w", ErrRefused))
	if stopped {
		t.Error("a is at work again, and the instance ends")
	}
	team.ended("a", fmt.Errorf("no: %w", ErrRefused))
	if !stopped || team.err() == nil {
		t.Error("none is left, and the instance goes on")
	}
}

// Who works for an organization, by what a standby can read.
func TestLeaderOf(t *testing.T) {
	opener := func(host string, at auditlog.Second, closed bool) auditlog.Cursor {
		return auditlog.Cursor{Openers: []auditlog.Opener{{Host: "old", At: 1}, {Host: host, At: at, Closed: closed}}, WrittenAt: 500}
	}
	at := func(s auditlog.Second) time.Time { return s.Time() }
	for name, test := range map[string]struct {
		cursor auditlog.Cursor
		report auditlog.Report
		want   Leader
	}{
		"nothing":             {},
		"ready":               {cursor: opener("a", 100, false), want: Leader{Host: "a", Since: at(100), Seen: at(500)}},
		"it left":             {cursor: opener("a", 100, true)},
		"not ready":           {opener("a", 100, false), auditlog.Report{Host: "a", At: 600, Since: 550, Reason: "x"}, Leader{Host: "a", Since: at(100), Seen: at(600), Reason: "x", UnreadySince: at(550)}},
		"a report of before":  {opener("a", 100, false), auditlog.Report{Host: "b", At: 99, Since: 99, Reason: "x"}, Leader{Host: "a", Since: at(100), Seen: at(500)}},
		"another, not opened": {opener("a", 100, false), auditlog.Report{Host: "b", At: 600, Since: 550, Reason: "x"}, Leader{Host: "b", Since: at(550), Seen: at(600), Reason: "x", UnreadySince: at(550)}},
		"left while unready":  {cursor: opener("a", 100, true), report: auditlog.Report{Host: "a", At: 600, Since: 550, Reason: "x"}},
		"first, not opened":   {auditlog.Cursor{}, auditlog.Report{Host: "b", At: 6, Since: 5, Reason: "x"}, Leader{Host: "b", Since: at(5), Seen: at(6), Reason: "x", UnreadySince: at(5)}},
	} {
		if got := leaderOf(test.cursor, test.report); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
