package window_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

const day = auditlog.Second(24 * 60 * 60)

var operatorPolicy = window.Policy{Lookback: 10 * time.Minute, DeepLookback: 24 * time.Hour}

// readUpTo is the state of an organization that was started with history from day
// 100 at day 110, has read its history up to a time, and polled for a day.
func readUpTo(t *testing.T, history auditlog.Second) *window.State {
	t.Helper()
	on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true, auditlog.ScopeTenant: true}
	c := window.FirstRun("acme", 100*day, 110*day, on, operatorPolicy)
	c = window.HistoryRead(auditlog.Scopes(), history, operatorPolicy)(c)
	for _, scope := range auditlog.Scopes() {
		c = window.Walked(scope, c.Floor, 111*day, operatorPolicy)(c)
	}
	seen := window.NewSeenIDs()
	for at := c.Floor; at < 111*day; at += 6 * 60 * 60 {
		seen.Load(auditlog.Bucket{Minute: at}, []string{at.String()})
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &window.State{Cursor: c, Seen: seen}
}

func TestSkipTo(t *testing.T) {
	s := readUpTo(t, 104*day)
	if !window.HasHistory(s.Cursor) || s.Cursor.Floor != 110*day {
		t.Fatalf("the test's state is another: %+v", s.Cursor)
	}
	to := 110*day + 12*60*60 + 30
	step, err := s.SkipTo(to, 112*day)
	if err != nil {
		t.Fatal(err)
	}
	c := step.Cursor
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Start != 100*day || c.Floor != to || window.HasHistory(c) {
		t.Errorf("start %v, floor %v, history %v", c.Start, c.Floor, window.HasHistory(c))
	}
	for _, scope := range auditlog.Scopes() {
		if got := window.HeadFrom(c, scope, operatorPolicy); got < to {
			t.Errorf("the head of %s is read from %v on, before what was skipped to", scope, got)
		}
	}
	// The minute in which the time lies is still needed.
	want := []auditlog.Bucket{{Minute: 110 * day}, {Minute: 110*day + 6*60*60}}
	if len(step.Forget) != 2 || step.Forget[0] != want[0] || step.Forget[1] != want[1] {
		t.Errorf("it forgets %v, want %v", step.Forget, want)
	}
}

// Who skips a part of what was missed while nothing ran goes on in the rest of it. The
// API may have moved an event there that was written before: it is known for as long as
// the connector itself would know it, a deep lookback before the range, and no longer.
func TestSkipToKeepsWhatARangeMayMeet(t *testing.T) {
	s := readUpTo(t, 110*day)
	s.Policy = operatorPolicy
	for _, scope := range auditlog.Scopes() {
		s.Cursor = window.CatchUp(scope, 114*day, operatorPolicy)(s.Cursor)
	}
	to := 111*day + 12*60*60
	step, err := s.SkipTo(to, 114*day)
	if err != nil {
		t.Fatal(err)
	}
	want := []auditlog.Bucket{{Minute: 110 * day}, {Minute: 110*day + 6*60*60}}
	if !slices.Equal(step.Forget, want) {
		t.Errorf("it forgets %v, want %v", step.Forget, want)
	}
	s.Advance(step)
	moved := auditlog.Event{ID: (110*day + 12*60*60).String(), EffectiveAt: 112 * day}
	fresh := auditlog.Event{ID: "fresh", EffectiveAt: 112 * day}
	next, ok := window.NextHistory(s.Cursor)
	if !ok || next.From != to {
		t.Fatalf("history goes on at %+v, want at %v", next, to)
	}
	read := window.Batch{
		Events: []auditlog.Event{moved, fresh}, From: next.From, History: &next,
		Effect: window.HistoryRead(next.Scopes, next.To, operatorPolicy),
	}
	if got := s.Stage(read); got.Discard || len(got.Write) != 1 || read.Events[got.Write[0].Event].ID != "fresh" || got.Known != 1 {
		t.Errorf("it writes %v and knows %d, want the fresh one alone: %+v", got.Write, got.Known, got)
	}
}

func TestSkipToRefuses(t *testing.T) {
	s := readUpTo(t, 104*day)
	for name, to := range map[string]auditlog.Second{"backwards": 110*day - 1, "beyond now": 112*day + 1} {
		if _, err := s.SkipTo(to, 112*day); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	lost := readUpTo(t, 104*day)
	lost.Cursor.SeenRecords, lost.Cursor.WrittenAt = lost.Seen.Records()+1, 111*day
	if _, err := lost.SkipTo(111*day, 112*day); err == nil {
		t.Error("a time that was written with ids that are gone: not refused")
	}
	if step, err := lost.SkipTo(111*day+60*60, 112*day); err != nil || step.Cursor.SeenRecords != lost.Seen.Records()-len(step.Forget) {
		t.Errorf("an hour later: %d records of %d, %v", step.Cursor.SeenRecords, lost.Seen.Records(), err)
	}
	again := &window.State{Cursor: window.Reset("acme", nil, 112*day), Seen: window.NewSeenIDs()}
	if err := again.Cursor.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := again.SkipTo(111*day, 112*day); err == nil {
		t.Error("a cursor that was reset: not refused")
	}
}

// Whatever was done to a cursor before, skipping leaves one that is valid, reads
// nothing below the time, and can be gone on from.
func TestSkipToFromAnyCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := 110 * day
		on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true, auditlog.ScopeTenant: rapid.Bool().Draw(t, "tenant")}
		c := window.FirstRun("acme", 100*day, now, on, operatorPolicy)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			now += auditlog.Second(rapid.Int64Range(1, int64(3*day)).Draw(t, "passes"))
			scope := rapid.SampledFrom(auditlog.Scopes()).Draw(t, "scope")
			var effect window.Effect
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				effect = window.CatchUp(scope, now, operatorPolicy)
			case 1:
				effect = window.Refused(scope, now, now, operatorPolicy)
			case 2:
				effect = window.Allowed(scope, now, operatorPolicy)
			case 3:
				effect = window.SwitchedOff(auditlog.ScopeTenant, now, now, operatorPolicy)
			case 4:
				if c.Scopes[scope].State == auditlog.StateOn {
					effect = window.Walked(scope, window.HeadFrom(c, scope, operatorPolicy), now, operatorPolicy)
				}
			case 5:
				if g, ok := window.NextHistory(c); ok {
					effect = window.HistoryRead(g.Scopes, g.From+(g.To-g.From+1)/2, operatorPolicy)
				}
			case 6:
				to := c.Floor + auditlog.Second(rapid.Int64Range(0, max(0, int64(now-c.Floor))).Draw(t, "to"))
				step, err := (&window.State{Cursor: c, Seen: window.NewSeenIDs()}).SkipTo(to, now)
				if err != nil {
					t.Fatal(err)
				}
				if g, ok := window.NextHistory(step.Cursor); ok && g.From < to {
					t.Fatalf("history from %v on is left, below %v", g.From, to)
				}
				effect = func(auditlog.Cursor) auditlog.Cursor { return step.Cursor }
			}
			if effect != nil {
				c = effect(c)
			}
			if err := c.Validate(); err != nil {
				t.Fatalf("%v\n%+v", err, c)
			}
		}
	})
}

func TestResponsibleFor(t *testing.T) {
	reading := readUpTo(t, 104*day).Cursor // history from day 104 to the floor at day 110
	never := window.FirstRun("acme", 100*day, 110*day, map[auditlog.Scope]bool{auditlog.ScopeOrganization: true}, operatorPolicy)
	never = window.HistoryRead([]auditlog.Scope{auditlog.ScopeOrganization}, 109*day, operatorPolicy)(never)
	off := window.SwitchedOff(auditlog.ScopeTenant, 111*day, 111*day, operatorPolicy)(readUpTo(t, 110*day).Cursor)
	off = window.Walked(auditlog.ScopeOrganization, off.Floor, 120*day, operatorPolicy)(off)
	org, tenant := auditlog.ScopeOrganization, auditlog.ScopeTenant
	for _, tt := range []struct {
		name  string
		c     auditlog.Cursor
		scope auditlog.Scope
		at    auditlog.Second
		want  window.Responsible
	}{
		{"before the start", reading, org, 100*day - 1, window.NotCovered},
		{"at the start", reading, org, 100 * day, window.LeftToRepair},
		{"the last second read", reading, org, 104*day - 1, window.LeftToRepair},
		{"history still to be read", reading, tenant, 104 * day, window.LeftToConnector},
		{"the floor", reading, org, reading.Floor, window.LeftToConnector},
		{"a scope never allowed", never, tenant, 102 * day, window.LeftToConnector},
		{"beside a scope never allowed", never, org, 102 * day, window.LeftToRepair},
		{"switched off, read before", off, tenant, 105 * day, window.LeftToRepair},
		{"switched off, not read since", off, tenant, 112 * day, window.LeftToConnector},
		{"beside one switched off", off, org, 112 * day, window.LeftToRepair},
		{"a cursor that was reset", window.Reset("acme", nil, 1), org, 105 * day, window.LeftToConnector},
	} {
		if got := window.ResponsibleFor(tt.c, tt.scope, tt.at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
