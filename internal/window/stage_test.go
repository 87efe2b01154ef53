package window_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Several batches in one step: what the first writes the second does not, and what it
// meets again at a later time is remembered there too.
func TestStageSeesTheBatchesBefore(t *testing.T) {
	const now auditlog.Second = 1_700_000_040 // a minute begins
	p := window.Policy{Lookback: time.Minute, DeepLookback: time.Hour}
	on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true}
	s := &window.State{Cursor: window.FirstRun("acme", now, now, on, p), Seen: window.NewSeenIDs(), Policy: p}
	event := func(id string, at auditlog.Second) auditlog.Event {
		return auditlog.Event{ID: id, EffectiveAt: at, Timed: true, Raw: []byte(id)}
	}
	first := window.Batch{From: now, Events: []auditlog.Event{event("b", now+2), event("a", now+1)}}
	second := window.Batch{From: now, Events: []auditlog.Event{event("c", now+61), event("a", now+62), event("b", now+3)}}
	apart := &window.State{Cursor: s.Cursor, Seen: window.NewSeenIDs(), Policy: p}
	steps := []window.Step{apart.Stage(first)}
	apart.Advance(steps[0])
	steps = append(steps, apart.Stage(second))

	step := s.Stage(first, second)
	want := slices.Concat(written(steps[0], first), written(steps[1], second))
	if got := written(step, first, second); !cmp.Equal(want, got) {
		t.Errorf("%v is written; apart, %v", got, want)
	}
	if want := []window.Place{{Batch: 0, Event: 1}, {Batch: 0, Event: 0}, {Batch: 1, Event: 0}}; !cmp.Equal(want, step.Write) {
		t.Errorf("it stands in %v, want %v", step.Write, want)
	}
	seen := []window.SeenPart{
		{Bucket: auditlog.Bucket{Minute: now}, Names: []string{"a", "b"}},
		{Bucket: auditlog.Bucket{Minute: now + 60}, Names: []string{"c", "a"}},
	}
	if diff := cmp.Diff(seen, step.Remember); diff != "" {
		t.Errorf("the seen ids differ (-want +got):\n%s", diff)
	}
	if step.Staged != 2 || step.Known != 2 {
		t.Errorf("%d batches, %d known events; want 2 and 2", step.Staged, step.Known)
	}
}

// written returns the events that a step of the batches writes.
func written(step window.Step, batches ...window.Batch) (out []auditlog.Event) {
	for _, at := range step.Write {
		out = append(out, batches[at.Batch].Events[at.Event])
	}
	return out
}
