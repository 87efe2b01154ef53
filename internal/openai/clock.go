package openai

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// clockSamples is how many of the last answers the server's clock is taken from.
const clockSamples = 31

// Clock is the API's clock as an organization's clients see it. The API may be many
// servers, and the clock of one may be wrong. So its time is not that of a single
// answer but the middle one of the last answers.
//
// It goes on with the local monotonic clock from answer to answer: a local clock that
// is set must not move the server's.
type Clock struct {
	mu      sync.Mutex // guards what follows
	base    time.Time  // the local time of the first answer
	samples []clockSample
	next    int // where the next sample goes
}

// clockSample is what one answer says of the server's clock.
type clockSample struct {
	// ahead is the server's clock less the local one since base, at least: the whole
	// time to the answer counts as if the list was made at its start. If that is too
	// early, a little is read twice; if it were too late, events would be lost.
	ahead time.Duration
	// half of the time to the answer, by which ahead is too small on average.
	half time.Duration
}

// add takes an answer's Date.
func (k *Clock) add(asked, date time.Time, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.base.IsZero() {
		k.base = asked
	}
	s := clockSample{ahead: date.Add(-took).Sub(k.base.Round(0)) - asked.Sub(k.base), half: took / 2}
	if len(k.samples) < clockSamples {
		k.samples = append(k.samples, s)
		return
	}
	k.samples[k.next] = s
	k.next = (k.next + 1) % clockSamples
}

// at returns the server's time at a local one, never too late by the middle answer,
// and about how far it is ahead of it. ok is false while no answer has given the time.
func (k *Clock) at(local time.Time) (server time.Time, skew time.Duration, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.samples) == 0 {
		return server, 0, false
	}
	sorted := slices.SortedFunc(slices.Values(k.samples), func(a, b clockSample) int { return cmp.Compare(a.ahead, b.ahead) })
	middle := sorted[(len(sorted)-1)/2]
	server = k.base.Round(0).Add(local.Sub(k.base) + middle.ahead)
	return server, server.Add(middle.half).Sub(local.Round(0)), true
}
