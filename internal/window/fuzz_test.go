package window_test

import (
	"slices"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// FuzzPlan lets windows end in any order and hold any number of events. Each byte of
// the script is what happens next: up to eight are in flight, as in production.
func FuzzPlan(f *testing.F) {
	f.Add(int64(0), int64(1_700_000_000), 1000, []byte{0, 0, 0})
	f.Add(int64(-10), int64(40), 1, []byte{255, 254, 3, 200, 199, 0, 7})
	f.Add(int64(60), int64(1), 2000, []byte{})
	f.Fuzz(func(t *testing.T, from, length int64, target int, script []byte) {
		target = 1 + target&(1<<20-1) // whatever it is: an event at least
		begin := auditlog.Second(from % int64(auditlog.MaxSecond))
		end := min(begin+auditlog.Second(length&(1<<36-1)), auditlog.MaxSecond)
		plan := window.NewPlan(begin, end, target, float64(script0(script))/100)
		var flying, kept []window.Window
		// Behind the script's end all is empty, and windows soon as wide as what is left.
		most := 8*len(script) + 400
		for step := 0; ; step++ {
			if step > most {
				t.Fatalf("no end after %d windows", step)
			}
			if len(flying) < 8 {
				if next, ok := plan.Next(plan.Left(), len(flying) == 0); ok {
					w := next.Window
					if w.From >= w.To || w.From < begin || w.To > end {
						t.Fatalf("the window %+v of [%d, %d)", w, begin, end)
					}
					flying = append(flying, w)
					continue
				}
			}
			if len(flying) == 0 {
				break
			}
			var what byte
			if len(script) > 0 {
				what, script = script[0], script[1:]
			}
			at := int(what) % len(flying)
			w := flying[at]
			flying = slices.Delete(flying, at, at+1)
			events := int(what>>3) * target / 4
			if events > 4*target && w.Seconds() > 1 {
				left := window.Window{From: w.From, To: w.To - auditlog.Second(int64(what)%w.Seconds())}
				plan.GiveBack(left, events)
				if w.From = left.To; w.Seconds() == 0 {
					continue
				}
				events = target
			}
			plan.Read(w, events)
			kept = append(kept, w)
		}
		slices.SortFunc(kept, func(a, b window.Window) int { return int(a.From - b.From) })
		next := begin
		for _, w := range kept {
			if w.From != next {
				t.Fatalf("%+v is kept, and covered is what is before %d", w, next)
			}
			next = w.To
		}
		if next != max(begin, end) {
			t.Fatalf("covered up to %d of %d", next, end)
		}
	})
}

// script0 is the first byte of a script: how dense the plan is told that the time is.
func script0(script []byte) byte {
	if len(script) == 0 {
		return 0
	}
	return script[0]
}
