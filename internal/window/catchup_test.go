package window_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// What was missed in a month is read as history that holds the floor. Of its ids no
// more are kept than of one deep lookback, and what is moved inside that is known.
func TestMonthOfCatchUpIsForgotten(t *testing.T) {
	const org = auditlog.ScopeOrganization
	const width, every = auditlog.Second(3600), 100
	p := window.Policy{Lookback: time.Minute, DeepLookback: 24 * time.Hour}
	began := auditlog.Second(1_700_000_000)
	now := began.Add(30 * 24 * time.Hour)
	on := map[auditlog.Scope]bool{org: true}
	s := &window.State{Cursor: window.FirstRun("acme", began, began, on, p), Seen: window.NewSeenIDs(), Policy: p}
	s.Advance(s.Stage(window.Batch{From: s.Cursor.Floor, Effect: window.CatchUp(org, now, p)}))
	read := func(g window.Segment, to auditlog.Second, events []auditlog.Event) window.Step {
		b := window.Batch{From: g.From, History: &g, Effect: window.HistoryRead(g.Scopes, to, p)}
		b.Events, b.Later = s.Seen.Sift(events, now, p)
		return s.Stage(b)
	}
	most, day, tested := 0, int(24*time.Hour/time.Second)/every, false
	for {
		g, left := window.NextHistory(s.Cursor)
		if !left {
			break
		}
		to := min(g.From+width, g.To)
		var events []auditlog.Event
		for at := g.From; at < to; at += every {
			events = append(events, auditlog.Event{ID: fmt.Sprint(at), EffectiveAt: at, Timed: true, Scope: org})
		}
		s.Advance(read(g, to, events))
		most = max(most, s.Seen.Len())
		if next, left := window.NextHistory(s.Cursor); left && !tested && now.Sub(next.From) < 12*time.Hour {
			tested = true
			for i := range events {
				events[i].EffectiveAt = next.From
			}
			if again := read(next, next.From+width, events); len(again.Write) > 0 {
				t.Errorf("%d events that moved to a later time are written again", len(again.Write))
			}
		}
	}
	if most > day+2*int(width)/every || !tested {
		t.Errorf("%d ids are remembered while a month is read (moved: %v), want those of a day, %d", most, tested, day)
	}
}
