package telemetry

import (
	"fmt"
	"strconv"
	"time"
)

// ago says how long before now a time is. page.js has the same words, so that they
// go on while the page stands.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := now.Sub(t); d < -time.Second {
		return "in " + span(-d)
	}
	return span(max(0, now.Sub(t))) + " ago"
}

// span is a duration in one unit.
func span(d time.Duration) string {
	many := func(n time.Duration, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return many(d/time.Minute, "minute")
	case d < 48*time.Hour:
		return many(d/time.Hour, "hour")
	}
	return many(d/(24*time.Hour), "day")
}

// clockTime is the time of day, with the day where that is another one than now's.
func clockTime(now, t time.Time) string {
	now, t = now.UTC(), t.UTC()
	switch {
	case t.IsZero():
		return "never"
	case t.Year() != now.Year():
		return t.Format("2 Jan 2006 15:04 UTC")
	case t.YearDay() != now.YearDay():
		return t.Format("2 Jan 15:04 UTC")
	}
	return t.Format("15:04 UTC")
}

// absolute is a time without doubt.
func absolute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
