package window_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// at returns a page of events at the times, newest first.
func at(times ...auditlog.Second) (page []auditlog.Event) {
	for _, t := range times {
		page = append(page, auditlog.Event{EffectiveAt: t, Timed: true})
	}
	return page
}

// evenly returns a page of n events, one every so many seconds, down from a time.
func evenly(n int, from, every auditlog.Second) (page []auditlog.Event) {
	for i := range auditlog.Second(n) {
		page = append(page, at(from-i*every)...)
	}
	return page
}

// What a window leaves is decided by what is known of it, and a burst is not taken for the whole.
func TestTooDense(t *testing.T) {
	const many = 100
	hour := window.Window{From: 1000, To: 4600}
	var burst []auditlog.Event
	for range 20 {
		burst = append(burst, at(4599)...)
	}
	for name, test := range map[string]struct {
		planned window.Planned
		pages   [][]auditlog.Event
		full    bool
		dense   bool
		before  auditlog.Second // if so
	}{
		"an empty page":      {pages: [][]auditlog.Event{nil}},
		"as many as wanted":  {planned: window.Planned{Basis: window.Unknown}, pages: [][]auditlog.Event{evenly(20, 4599, 36)}},
		"unknown, too many":  {planned: window.Planned{Basis: window.Unknown}, pages: [][]auditlog.Event{evenly(20, 4599, 9)}, dense: true, before: 4600 - 3600/8},
		"unknown, very many": {planned: window.Planned{Basis: window.Unknown}, pages: [][]auditlog.Event{evenly(20, 4599, 1)}, dense: true, before: 4600},
		"estimated, one page says nothing": {
			planned: window.Planned{Basis: window.Estimated, Rate: 1}, pages: [][]auditlog.Event{evenly(20, 4599, 9)},
		},
		"estimated, three do": {
			planned: window.Planned{Basis: window.Estimated, Rate: 1}, dense: true, before: 3708,
			pages: [][]auditlog.Event{evenly(20, 4599, 9), evenly(20, 4599-180, 9), evenly(20, 4599-360, 9)},
		},
		"a burst, as far as is known": {
			planned: window.Planned{Basis: window.Learned, Rate: 1. / 36}, pages: [][]auditlog.Event{burst, burst, burst, burst, burst},
		},
		"a burst, and more than wanted": {
			planned: window.Planned{Basis: window.Learned, Rate: 1. / 36}, dense: true, before: 4599,
			pages: [][]auditlog.Event{burst, burst, burst, burst, burst, burst, burst},
		},
		"nearly done": {
			planned: window.Planned{Basis: window.Learned, Rate: 1. / 36},
			pages:   [][]auditlog.Event{burst, burst, burst, burst, burst, evenly(20, 4599, 171)},
		},
		"full, newest first": {
			planned: window.Planned{Basis: window.Learned}, full: true, dense: true, before: 4599 - 19*36, pages: [][]auditlog.Event{evenly(20, 4599, 36)},
		},
		"full, oldest first": {
			planned: window.Planned{Basis: window.Learned}, full: true, dense: true, before: 4600, pages: [][]auditlog.Event{evenly(20, 1000, -1)},
		},
	} {
		s := window.NewSpread(hour)
		held := window.Held{Full: test.full}
		var got window.Dense
		dense := false
		for i, page := range test.pages {
			if dense {
				t.Errorf("%s: dense after %d pages", name, i)
			}
			s.Page(page, false)
			held.Events += len(page)
			held.Weight = held.Events
			test.planned.Window, test.planned.Events = hour, many
			got, dense = s.TooDense(test.planned, held)
		}
		if dense != test.dense || dense && (got.Before != test.before || got.Must != test.full || got.Events < 1) {
			t.Errorf("%s: %+v, %v; want before %v, %v", name, got, dense, test.before, test.dense)
		}
		s.Page(nil, true)
		if d, dense := s.TooDense(test.planned, held); dense {
			t.Errorf("%s: %+v of a list that has ended", name, d)
		}
	}
}

// Whatever is listed, in whatever order, what is left is a part of the window: less than nothing is
// never kept, and a second is never cut.
func TestWhatIsLeftIsOfTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := auditlog.Second(rapid.Int64Range(0, 1000).Draw(t, "from"))
		w := window.Window{From: from, To: from + auditlog.Second(rapid.Int64Range(1, 1<<40).Draw(t, "seconds"))}
		s := window.NewSpread(w)
		held := window.Held{Full: rapid.Bool().Draw(t, "full")}
		p := window.Planned{
			Window: w, Basis: window.Basis(rapid.IntRange(0, 2).Draw(t, "basis")),
			Events: rapid.IntRange(1, 50).Draw(t, "events"), Rate: rapid.Float64Range(0, 10).Draw(t, "rate"),
		}
		for range rapid.IntRange(1, 12).Draw(t, "pages") {
			var page []auditlog.Event
			for range rapid.IntRange(0, 10).Draw(t, "events of the page") {
				page = append(page, at(w.From+auditlog.Second(rapid.Int64Range(0, w.Seconds()-1).Draw(t, "at")))...)
			}
			s.Page(page, false)
			held.Events += len(page)
			held.Weight = held.Events * rapid.IntRange(1, 5).Draw(t, "weight")
			d, dense := s.TooDense(p, held)
			if dense && (d.Before <= w.From || d.Before > w.To || d.Events < 0 || w.Seconds() == 1) {
				t.Fatalf("%+v of %+v", d, w)
			}
			if read := s.ReadFrom(); read < w.From || read > w.To {
				t.Fatalf("read from %v of %+v", read, w)
			}
			if dense && d.Before < w.To {
				w.From = d.Before
				s.Leave(d.Before)
			}
		}
	})
}

// How dense a log is is seen from a page, if it has two different seconds.
func TestRate(t *testing.T) {
	for name, test := range map[string]struct {
		page     []auditlog.Event
		min, max float64
	}{
		"none":       {nil, 0, 0},
		"one":        {at(5), 0, 0},
		"one second": {at(5, 5, 5), 0, 0},
		"even":       {evenly(100, 10_000, 10), 0.09, 0.11},
		"a burst":    {append(at(10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000), evenly(20, 10_000, 100)...), 0.008, 0.012},
	} {
		if got := window.Rate(test.page); got < test.min || got > test.max {
			t.Errorf("%s: %v a second, want %v to %v", name, got, test.min, test.max)
		}
	}
}
