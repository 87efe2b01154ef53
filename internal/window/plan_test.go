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

		plan := window.NewPlan(from, to, target, rapid.Float64Range(0, 2).Draw(t, "rate"))
		var kept, flying []window.Window
		steps := 0
		for {
			if steps++; steps > 20_000 {
				t.Fatal("the plan makes no progress")
			}
			if len(flying) < 8 {
				if next, ok := plan.Next(plan.Left(), len(flying) == 0); ok {
					flying = append(flying, next.Window)
					continue
				}
				if len(flying) == 0 {
					break
				}
			}
			i := rapid.IntRange(0, len(flying)-1).Draw(t, "which ends first")
			w := flying[i]
			flying = slices.Delete(flying, i, i+1)
			// Too much of it is given back: all, or what is older than some second.
			for n := count(w); n > 4*target && w.Seconds() > 1; n = count(w) {
				left := window.Window{From: w.From, To: w.To - auditlog.Second(rapid.Int64Range(0, w.Seconds()-1).Draw(t, "kept"))}
				plan.GiveBack(left, count(left))
				w.From = left.To
			}
			if w.Seconds() > 0 {
				plan.Read(w, count(w))
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
	for rate, most := range map[float64]int{0: 1, 1. / 60: 8} {
		plan := window.NewPlan(0, 1_700_000_000, 1000, rate)
		windows := 0
		for {
			next, ok := plan.Next(plan.Left(), false)
			if !ok {
				break
			}
			windows++
			plan.Read(next.Window, 0)
		}
		if windows > most {
			t.Errorf("%d windows for 54 empty years where there are said to be %v events a second, want at most %d", windows, rate, most)
		}
	}
}

// However many windows turn out to be empty before another is given out, none is wider than the
// time, or less than a second.
func TestPlanOfEmptyWindowsAtOnce(t *testing.T) {
	for atOnce := range 40 {
		plan := window.NewPlan(0, 1<<40, 1000, 1)
		var flying []window.Window
		for range atOnce + 1 {
			next, ok := plan.Next(plan.Left(), false)
			if !ok {
				t.Fatal("there is no window")
			}
			flying = append(flying, next.Window)
		}
		for _, w := range flying {
			plan.Read(w, 0)
		}
		next, ok := plan.Next(plan.Left(), false)
		if at := flying[atOnce].To; !ok || next.Window.From != at || next.Window.To <= at || next.Window.To > 1<<40 {
			t.Errorf("after %d: %+v, %v; want one from %d", atOnce+1, next, ok, at)
		}
	}
}

// The last windows that are read at once are small, so that none of them is waited
// for alone, and they are few.
func TestPlanEndsTogether(t *testing.T) {
	const seconds, perSecond, target, atOnce = 1_000_000, 1, 1000, 8
	plan := window.NewPlan(0, seconds, target, perSecond)
	var widths []int64
	for {
		next, ok := plan.Next(plan.Left(), false)
		if !ok {
			break
		}
		w := next.Window
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
