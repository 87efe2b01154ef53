package window_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Whatever the density, the windows that were kept cover the stretch exactly, and
// none but a single second is larger than it may be.
func TestPlanCoversWithoutGapOrOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := auditlog.Second(rapid.Int64Range(-10, 2_000_000_000).Draw(t, "from"))
		length := rapid.Int64Range(1, 60_000_000).Draw(t, "length")
		to := from + auditlog.Second(length)
		target := rapid.IntRange(1, 2000).Draw(t, "target")
		var events []auditlog.Second
		for range rapid.IntRange(0, 30).Draw(t, "bursts") {
			at := from + auditlog.Second(rapid.Int64Range(0, length-1).Draw(t, "at"))
			spread := rapid.Int64Range(1, 5000).Draw(t, "spread")
			for i := range rapid.IntRange(1, 300).Draw(t, "events") {
				events = append(events, min(to-1, at+auditlog.Second(int64(i)%spread)))
			}
		}
		slices.Sort(events)
		count := func(w window.Window) int {
			a, _ := slices.BinarySearch(events, w.From)
			b, _ := slices.BinarySearch(events, w.To)
			return b - a
		}

		plan := window.NewPlan(from, to, target)
		var kept, flying []window.Window
		steps := 0
		for {
			if steps++; steps > 20_000 {
				t.Fatal("the plan makes no progress")
			}
			if len(flying) < 8 {
				if w, ok := plan.Next(); ok {
					flying = append(flying, w)
					continue
				}
				if len(flying) == 0 {
					break
				}
			}
			i := rapid.IntRange(0, len(flying)-1).Draw(t, "which ends first")
			w := flying[i]
			flying = slices.Delete(flying, i, i+1)
			if n := count(w); n > 4*target && w.Seconds() > 1 {
				plan.GiveBack(w, n)
			} else {
				plan.Read(w, n)
				kept = append(kept, w)
			}
		}
		slices.SortFunc(kept, func(a, b window.Window) int { return int(a.From - b.From) })
		next := from
		for _, w := range kept {
			if w.From != next || w.To <= w.From {
				t.Fatalf("window %+v, want one from %d", w, next)
			}
			next = w.To
		}
		if next != to {
			t.Fatalf("covered up to %d, want %d", next, to)
		}
	})
}

// From 1970 to the first event of 2024 is a handful of requests.
func TestPlanSkipsEmptyYears(t *testing.T) {
	plan := window.NewPlan(0, 1_700_000_000, 1000)
	windows := 0
	for {
		w, ok := plan.Next()
		if !ok {
			break
		}
		windows++
		plan.Read(w, 0)
	}
	if windows > 8 {
		t.Errorf("%d windows for 54 empty years, want at most 8", windows)
	}
}

// The last windows that are read at once are small, so that none of them is waited
// for alone, and they are few.
func TestPlanEndsTogether(t *testing.T) {
	const seconds, perSecond, target, atOnce = 1_000_000, 1, 1000, 8
	plan := window.NewPlan(0, seconds, target)
	var widths []int64
	for {
		w, ok := plan.Next()
		if !ok {
			break
		}
		widths = append(widths, w.Seconds())
		plan.Read(w, int(w.Seconds())*perSecond)
	}
	for _, width := range widths[len(widths)-atOnce:] {
		if width > target/2 {
			t.Errorf("one of the last windows has %d seconds of %d", width, target)
		}
	}
	if most := seconds*perSecond/target + 4*atOnce; len(widths) > most {
		t.Errorf("%d windows, want at most %d", len(widths), most)
	}
}
