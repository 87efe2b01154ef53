package window_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Whatever is remembered and forgotten, in whatever parts: seen ids that were loaded
// from what is stored knows what the one that stored it knows, in as many records and
// ids as there are, and one that lacks a record is missed.
func TestStoredIsRemembered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true}
		const began auditlog.Second = 1_700_000_000
		policy := window.Policy{Lookback: 600e9}
		s := window.State{Cursor: window.FirstRun("acme", began, began, on, policy), Seen: window.NewSeenIDs()}
		stored := map[auditlog.Bucket][]string{} // what the topic holds
		var known []auditlog.Event
		now := began
		for n := range rapid.IntRange(1, 12).Draw(t, "commits") {
			b := window.Batch{From: s.Cursor.Floor}
			for k := range rapid.SampledFrom([]int{0, 1, 7, 1001, 2500}).Draw(t, "events") {
				at := s.Cursor.Floor + auditlog.Second(rapid.Int64Range(0, 1).Draw(t, "minute")*60)
				b.Events = append(b.Events, auditlog.Event{ID: fmt.Sprint(n, " ", k), EffectiveAt: at, Timed: k%50 != 0, Neighbour: at})
				if k > 3 { // many are of the same time
					b.Events[k].EffectiveAt = b.Events[3].EffectiveAt
				}
			}
			b.Events = append(b.Events, known[:min(len(known), 5)]...) // some come again
			now += auditlog.Second(rapid.Int64Range(0, 2000).Draw(t, "seconds"))
			b.Effect = window.Walked(auditlog.ScopeOrganization, s.Cursor.Floor, now, policy)
			step := s.Stage(b)
			known = append(known, written(step, b)...)
			for _, part := range step.Remember {
				if _, there := stored[part.Bucket]; there {
					t.Fatalf("%v is written again", part.Bucket)
				}
				stored[part.Bucket] = part.Names
			}
			for _, bucket := range step.Forget {
				delete(stored, bucket)
			}
			s.Advance(step)

			loaded := load(t, stored)
			if loaded.Records() != len(stored) || s.Seen.Records() != len(stored) || s.Cursor.SeenRecords != len(stored) {
				t.Fatalf("%d records are stored; %d remembered, %d loaded, %d in the cursor",
					len(stored), s.Seen.Records(), loaded.Records(), s.Cursor.SeenRecords)
			}
			if loaded.Len() != s.Seen.Len() {
				t.Fatalf("%d ids are remembered, %d loaded", s.Seen.Len(), loaded.Len())
			}
			for _, ev := range known {
				if loaded.Has(ev.Identity()) != s.Seen.Has(ev.Identity()) {
					t.Fatalf("%s is remembered: %v, loaded: %v", ev.ID, s.Seen.Has(ev.Identity()), loaded.Has(ev.Identity()))
				}
			}
			again := window.State{Cursor: s.Cursor, Seen: loaded}
			for bucket := range stored {
				again.Seen.Forget(bucket)
				if again.Lost() != 1 {
					t.Fatalf("%v is gone, and %d records are missed", bucket, again.Lost())
				}
				break
			}
		}
		for bucket := range stored {
			s.Seen.Forget(bucket)
			s.Seen.Forget(bucket) // a tombstone may come twice
		}
		if s.Seen.Records() != 0 || s.Seen.Len() != 0 {
			t.Fatalf("all is forgotten but %d records and %d ids", s.Seen.Records(), s.Seen.Len())
		}
	})
}

// load reads what is stored, in the order of the topic, through its keys and values.
func load(t *rapid.T, stored map[auditlog.Bucket][]string) *window.SeenIDs {
	m := window.NewSeenIDs()
	buckets := slices.Collect(maps.Keys(stored))
	for _, b := range rapid.Permutation(slices.SortedFunc(slices.Values(buckets), func(a, b auditlog.Bucket) int {
		return int(a.Minute-b.Minute)*1000 + a.Part - b.Part
	})).Draw(t, "order") {
		value, err := auditlog.EncodeSeen(stored[b])
		if err != nil {
			t.Fatal(err)
		}
		names, err := auditlog.DecodeSeen(value)
		if err != nil {
			t.Fatal(err)
		}
		key, ok, err := auditlog.ParseBucketKey("acme", b.Key("acme"))
		if !ok || err != nil {
			t.Fatalf("the key of %v: %v", b, err)
		}
		m.Load(key, names)
	}
	return m
}
