package window_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// A dense second of history is committed in parts; the head goes on meanwhile. The
// process dies before the last part and reads the second again.
func TestUntimedInADenseSecond(t *testing.T) {
	p := window.Policy{Lookback: time.Minute, DeepLookback: time.Hour}
	now := auditlog.Second(1_700_000_000)
	on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true, auditlog.ScopeTenant: true}
	s := &window.State{Cursor: window.FirstRun("acme", now-100_000, now, on, p), Seen: window.NewSeenIDs()}
	for _, scope := range auditlog.Scopes() { // history begins after the first polls
		from := window.HeadFrom(s.Cursor, scope, p)
		s.Advance(s.Stage(window.Batch{From: from, Effect: window.Walked(scope, from, now, p)}))
	}
	g, _ := window.NextHistory(s.Cursor)
	g.To = g.From + 1
	ev := auditlog.Event{ID: "no-time", Neighbour: g.From, Scope: auditlog.ScopeOrganization, Raw: []byte("{}")}
	part := window.Batch{Events: []auditlog.Event{ev}, From: g.From, History: &g, Partial: true}
	s.Advance(s.Stage(part))
	later := now + 3600 + 600 // deep walks of both scopes: the floor rises by ten minutes
	for _, scope := range auditlog.Scopes() {
		from := window.DeepFrom(s.Cursor, scope)
		s.Advance(s.Stage(window.Batch{From: from, Effect: window.Walked(scope, from, later, p)}))
	}
	if again := s.Stage(part); again.Discard || len(again.Write) != 0 {
		t.Errorf("written again: %+v", again.Write)
	}
}
