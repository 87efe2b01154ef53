package openai

import (
	"testing"
	"time"
)

// TestWhomARefusalMeans holds which 429s close the door for everybody. Where none
// are known to be strays every one does.
func TestWhomARefusalMeans(t *testing.T) {
	const short, long = time.Second, 5 * time.Second
	answer := time.Duration(-1)
	for _, test := range []struct {
		name     string
		stray    float64
		outcomes []time.Duration // answers, or how long a 429 says to wait
		want     bool            // for the last
	}{
		{"the first of all", 0, []time.Duration{answer, short}, true},
		{"a stray", 0.08, []time.Duration{answer, short}, false},
		{"a stray that says to wait long", 0.08, []time.Duration{answer, long}, true},
		{"two in a row", 0.08, []time.Duration{answer, short, short}, false},
		{"three in a row", 0.08, []time.Duration{answer, short, short, short}, true},
		{"three, and an answer between them", 0.08, []time.Duration{short, short, answer, short}, false},
	} {
		p, now := newPace(8), time.Unix(1_700_000_000, 0)
		p.stray, p.triedAt = test.stray, now
		var everybody bool
		for _, wait := range test.outcomes {
			sent := now
			if now = now.Add(100 * time.Millisecond); wait == answer {
				p.answered(now, sent)
			} else {
				everybody = p.refused(now, sent, wait)
			}
		}
		if everybody != test.want {
			t.Errorf("%s: everybody waits: %v, want %v", test.name, everybody, test.want)
		}
	}
}

// TestRefusedWaitsAsTold: the refused request waits even if no other request does, and
// the time is reported once, no matter how many requests wait in it.
func TestRefusedWaitsAsTold(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := NewLimiter(LimiterConfig{Concurrency: 8, Now: func() time.Time { return now }})
	l.pace.stray, l.pace.triedAt = 0.08, now
	first, _ := l.acquire(t.Context(), History)
	second, _ := l.acquire(t.Context(), History)
	now = now.Add(100 * time.Millisecond)
	if added := first.refused(time.Second); added != time.Second {
		t.Errorf("the first 429 adds %v, want 1s", added)
	}
	now = now.Add(400 * time.Millisecond)
	if added := second.refused(time.Second); added != 400*time.Millisecond {
		t.Errorf("the second 429 adds %v, want 400ms", added)
	}
	if until := l.PausedUntil(); !until.IsZero() {
		t.Errorf("everybody waits until %v, want nobody to", until)
	}
	e := &Error{Kind: KindRateLimited, RetryAfter: time.Second, wait: time.Second}
	if wait, again := (&tries{most: 5}).next(e); wait != time.Second || !again {
		t.Errorf("the refused request waits %v and goes on: %v, want 1s and true", wait, again)
	}
}
