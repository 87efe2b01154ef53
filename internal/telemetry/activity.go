package telemetry

import (
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

const (
	// minutesKept is how far back the page draws.
	minutesKept = 24 * 60
	// delaysKept and commitsKept are how many of the last ones are remembered.
	delaysKept  = 1000
	commitsKept = 100
)

// activity is what an organization did lately, for the page.
type activity struct {
	minutes [minutesKept]minute // a ring, by the number of the minute
	delays  []delay             // oldest first
	commits []commit            // oldest first
	gaps    []gap               // in which it was not ready, oldest first; the last may be open
}

// minute is what happened in one, by our own clock.
type minute struct {
	number            int64 // since 1970; that of an earlier day if nothing happened today
	events, late      int32 // that were news when they were written
	history           int32 // events that history brought
	requests, limited int32
}

type delay struct {
	at   time.Time // of the commit
	took time.Duration
}

// commit is one transaction as the page lists it.
type commit struct {
	At                        time.Time
	Took                      time.Duration
	Result                    string
	Events, Late, DeadLetters int
	History                   bool
}

// gap is a time in which the organization was not ready.
type gap struct {
	from, to time.Time // to is zero while it lasts
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// minute returns that of a time, empty if it is new.
func (a *activity) minute(now time.Time) *minute {
	number := minuteOf(now)
	m := &a.minutes[number%minutesKept]
	if m.number != number {
		*m = minute{number: number}
	}
	return m
}

// sum adds up the minutes from a number on, up to and without another.
func (a *activity) sum(from, to int64) (all minute) {
	for n := from; n < to; n++ {
		if m := a.minutes[n%minutesKept]; m.number == n {
			all.events += m.events
			all.late += m.late
			all.history += m.history
			all.requests += m.requests
			all.limited += m.limited
		}
	}
	return all
}

// committed begins the line of a commit. What it wrote is reported after it.
func (a *activity) committed(now time.Time, result string, took time.Duration) {
	a.commits = last(append(a.commits, commit{At: now, Took: took, Result: result}), commitsKept)
}

// written adds what the last commit wrote.
func (a *activity) written(now time.Time, w connector.Written) {
	m := a.minute(now)
	letters := 0
	for _, n := range w.DeadLetters {
		letters += n
	}
	if w.History {
		m.history += int32(w.Events)
	} else {
		m.events += int32(w.Events)
		m.late += int32(w.Late)
	}
	for _, took := range w.Delays {
		a.delays = append(a.delays, delay{now, took})
	}
	a.delays = last(a.delays, delaysKept)
	if n := len(a.commits); n > 0 {
		c := &a.commits[n-1]
		c.Events += w.Events
		c.Late += w.Late
		c.DeadLetters += letters
		c.History = w.History
	}
}

// last returns the last n of a list.
func last[T any](list []T, n int) []T {
	if len(list) <= n {
		return list
	}
	return slices.Delete(list, 0, len(list)-n)
}

// ready notes whether the organization is ready, and if not, since when.
func (a *activity) ready(now time.Time, is bool, since time.Time) {
	n := len(a.gaps)
	open := n > 0 && a.gaps[n-1].to.IsZero()
	switch {
	case is && open:
		a.gaps[n-1].to = now
	case !is && !open:
		a.gaps = append(a.gaps, gap{from: since})
	}
	// One that flaps all day fills no memory.
	for len(a.gaps) > 1 && (now.Sub(a.gaps[0].to) > minutesKept*time.Minute || len(a.gaps) > minutesKept) {
		a.gaps = a.gaps[1:]
	}
}

// unreadySince is the beginning of the gap that is open, or the zero time.
func (a *activity) unreadySince() time.Time {
	if n := len(a.gaps); n > 0 && a.gaps[n-1].to.IsZero() {
		return a.gaps[n-1].from
	}
	return time.Time{}
}

// unready is for how long the organization was not ready in a time.
func (a *activity) unready(from, to time.Time) (all time.Duration) {
	for _, g := range a.gaps {
		end := g.to
		if end.IsZero() || end.After(to) {
			end = to
		}
		begin := g.from
		if begin.Before(from) {
			begin = from
		}
		all += max(0, end.Sub(begin))
	}
	return all
}

// delayStatus is how late the news of the last hour arrived; nil without any.
func (a *activity) delayStatus(now time.Time) *DelayStatus {
	var all []time.Duration
	for _, d := range a.delays {
		if now.Sub(d.at) <= time.Hour {
			all = append(all, d.took)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(share float64) float64 { return oneDigit(all[int(share*float64(len(all)-1)+.5)].Seconds()) }
	return &DelayStatus{Events: len(all), P50: at(.5), P99: at(.99)}
}
