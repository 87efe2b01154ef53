package telemetry

import (
	"fmt"
	"strings"
	"time"
)

// chart is a drawn time: a bar for each of its parts, 10 wide and 100
// high, in the coordinates of the drawing.
type chart struct {
	Name       string
	Width      int
	Bars       []bar
	Gaps       []interval // not ready
	Before     interval   // before this process began; empty if it is older
	Peak       string     // the highest bar, a minute
	From, Half string     // what the axis says
	Label      string     // what it shows, for screen readers
	Late       bool       // whether there is any, for the legend
	History    bool
}

type bar struct {
	X       int
	Y, High float64 // of the news
	LateY   float64 // and of what is late of them, on top
	Late    float64
	History bool
	Title   string
}

type interval struct{ X, Width float64 }

// hour and day are the two charts.
func (o *orgState) hour(now, started time.Time) chart {
	c := o.chart(now, started, 60, 1)
	c.Name, c.From, c.Half = "Last hour", "60 min ago", "30 min"
	return c
}

func (o *orgState) day(now, started time.Time) chart {
	c := o.chart(now, started, 96, 15)
	c.Name, c.From, c.Half = "Last day", "24 h ago", "12 h"
	return c
}

// chart draws so many bars of so many minutes, up to the one of now.
func (o *orgState) chart(now, started time.Time, bars, minutes int64) chart {
	end := (minuteOf(now)/minutes + 1) * minutes
	begin := end - bars*minutes
	peak := int32(1)
	sums := make([]minute, bars)
	var all minute
	for i := range bars {
		m := o.sum(max(begin+i*minutes, minuteOf(now)-minutesKept+1), begin+(i+1)*minutes)
		peak = max(peak, m.events)
		all.events, all.late, all.history = all.events+m.events, all.late+m.late, all.history+m.history
		sums[i] = m
	}
	c := chart{Width: int(bars) * 10, Late: all.late > 0, History: all.history > 0}
	for i, m := range sums {
		s := bar{X: i * 10, History: m.history > 0, Title: barTitle(m, begin+int64(i)*minutes, minutes)}
		s.High = 96 * float64(m.events) / float64(peak)
		s.Y = 100 - s.High
		s.Late = 96 * float64(m.late) / float64(peak)
		s.LateY = s.Y
		c.Bars = append(c.Bars, s)
	}
	from, to := time.Unix(begin*60, 0), time.Unix(end*60, 0)
	x := func(t time.Time) float64 {
		return float64(c.Width) * clamp(t.Sub(from).Seconds()/to.Sub(from).Seconds())
	}
	for _, g := range o.gaps {
		until := g.to
		if until.IsZero() {
			until = now
		}
		if until.After(from) {
			// So wide that it is seen.
			c.Gaps = append(c.Gaps, interval{x(g.from), max(2, x(until)-x(g.from))})
		}
	}
	c.Before = interval{0, x(started)}
	c.Peak = perMinute(int(peak), int(minutes))
	if all.events == 0 {
		c.Peak = "0"
	}
	c.Label = chartLabel(all, o.unready(from, now), c.Peak)
	return c
}

func clamp(x float64) float64 { return min(1, max(0, x)) }

// perMinute is a number of events in so many minutes, for one of them.
func perMinute(events, minutes int) string {
	if events%minutes == 0 || events > 100*minutes {
		return thousands(events / minutes)
	}
	return fmt.Sprintf("%.1f", float64(events)/float64(minutes))
}

func barTitle(m minute, begin, minutes int64) string {
	from := time.Unix(begin*60, 0).UTC()
	title := from.Format("15:04")
	if minutes > 1 {
		title += "–" + from.Add(time.Duration(minutes)*time.Minute).Format("15:04")
	}
	return title + " UTC: " + strings.Join(counted(m), ", ")
}

func counted(m minute) []string {
	parts := []string{many(int(m.events), "event")}
	if m.late > 0 {
		parts = append(parts, thousands(int(m.late))+" of them late")
	}
	if m.history > 0 {
		parts = append(parts, thousands(int(m.history))+" of history")
	}
	return parts
}

func chartLabel(all minute, unready time.Duration, peak string) string {
	parts := append(counted(all), "at most "+peak+" a minute")
	if unready >= time.Second {
		parts = append(parts, "not ready for "+span(unready))
	}
	return strings.Join(parts, ", ")
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}
