package openai

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Class is which share of a Limiter a request takes.
type Class int

// The classes of request.
const (
	// Live reads what is new. It waits for what the server ordered and for the
	// ceiling a minute, and never for history.
	Live Class = iota
	// History reads the past, in parallel, with what the server lets it have.
	History
)

// historyShare is how much of the ceiling a minute history may take. The rest is
// for the head, which so never finds the door full.
const historyShare = 0.75

// LimiterConfig says what a Limiter allows. The zero value allows everything.
type LimiterConfig struct {
	// Concurrency is the most history requests in flight; 0: no bound.
	Concurrency int
	// RequestsPerMinute is a ceiling for all requests together, evenly spaced; 0:
	// none.
	RequestsPerMinute int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Limiter is the one door for all requests of an organization, since the API
// counts them by organization. A 429 closes it for everybody until the time the
// server named; after that history goes on with half as many requests in flight
// and at a rate that settles below the server's limit, see pace.
//
// It may be used by many goroutines at once.
type Limiter struct {
	now func() time.Time
	// ceiling and share hold RequestsPerMinute; nil without one. History takes
	// from share first, so that it can never make a queue at the ceiling.
	ceiling, share *rate.Limiter
	// large holds one for each class while a body of that class is large. The head
	// has its own, so that it never waits for history.
	large [2]chan struct{}

	mu          sync.Mutex // guards what follows, never held while waiting
	pace        pace
	pausedUntil time.Time
	inFlight    int // of both classes
	history     int // of these, history
	// changed is closed, and replaced, when history may look again for a place.
	changed chan struct{}
}

// NewLimiter returns a limiter for one organization.
func NewLimiter(cfg LimiterConfig) *Limiter {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = math.MaxInt32
	}
	l := &Limiter{now: cfg.Now, pace: newPace(cfg.Concurrency), changed: make(chan struct{})}
	for class := range l.large {
		l.large[class] = make(chan struct{}, 1)
	}
	if perMinute := float64(cfg.RequestsPerMinute); perMinute > 0 {
		// One at a time: a burst on top would break the ceiling.
		l.ceiling = rate.NewLimiter(rate.Limit(perMinute/60), 1)
		l.share = rate.NewLimiter(rate.Limit(historyShare*perMinute/60), 1)
	}
	return l
}

// PausedUntil returns until when the server wants no request, or the zero time.
func (l *Limiter) PausedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pausedUntil.After(l.now()) {
		return l.pausedUntil
	}
	return time.Time{}
}

// InFlight returns how many requests are out.
func (l *Limiter) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight
}

// Allowed returns how many history requests may be out now.
func (l *Limiter) Allowed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pace.allowed()
}

// largeBody returns the permit for a large body of the class, not taken yet.
func (l *Limiter) largeBody(class Class) permit { return permit{slot: l.large[class]} }

// pause keeps everybody waiting for d from now on, and returns by how much that
// is longer than before.
func (l *Limiter) pause(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	before, until := l.pausedUntil, now.Add(d)
	if before.Before(now) {
		before = now
	}
	if !until.After(before) {
		return 0
	}
	l.pausedUntil = until
	return until.Sub(before)
}

// ticket is the permission to send one request. Its holder releases it when the
// answer is there.
type ticket struct {
	limiter *Limiter
	class   Class
	at      time.Time // when it was given
}

// outcome is how a request ended, as far as the limiter cares.
type outcome int

const (
	outcomeAnswered outcome = iota
	outcomeLimited          // 429
	outcomeFailed           // anything else: it says nothing about the limit
)

// acquire waits until a request of the class may be sent. The error is ctx's.
func (l *Limiter) acquire(ctx context.Context, class Class) (*ticket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if class == History {
		if err := l.enter(ctx); err != nil {
			return nil, err
		}
	}
	for {
		wait, line := l.delay(class)
		if err := sleep(ctx, wait); err != nil {
			l.leave(class)
			return nil, err
		}
		if t := l.ticket(class, line); t != nil {
			return t, nil
		}
	}
}

// enter waits for a place among the history requests in flight.
func (l *Limiter) enter(ctx context.Context) error {
	for {
		l.mu.Lock()
		if l.history < l.pace.allowed() {
			l.history++
			l.mu.Unlock()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave gives back what enter took.
func (l *Limiter) leave(class Class) {
	if class != History {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history--
	l.wakeLocked()
}

func (l *Limiter) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// delay returns how long a request must wait as things are now, and the line of
// the pace in which it does. It takes the request's place at each rate, and none
// while the server's pause lasts, since the place is for those who may go.
func (l *Limiter) delay(class Class) (wait time.Duration, line int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if pause := l.pausedUntil.Sub(now); pause > 0 {
		return pause, -1
	}
	if l.ceiling != nil {
		wait = l.ceiling.ReserveN(now, 1).DelayFrom(now)
	}
	if class == History {
		if l.share != nil {
			wait = max(wait, l.share.ReserveN(now, 1).DelayFrom(now))
		}
		wait = max(wait, l.pace.reserve(now))
	}
	return wait, l.pace.line
}

// ticket lets the request out. nil: it only waited for a pause, or one began
// while it waited, or history got a new line; look at the delay again.
func (l *Limiter) ticket(class Class, line int) *ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if line < 0 || l.pausedUntil.After(now) || (class == History && line != l.pace.line) {
		return nil
	}
	l.inFlight++
	return &ticket{limiter: l, class: class, at: now}
}

// release ends a request, and lets the pace learn from its outcome.
func (t *ticket) release(o outcome) {
	l := t.limiter
	l.mu.Lock()
	l.inFlight--
	switch o {
	case outcomeAnswered:
		l.pace.answered(l.now())
	case outcomeLimited:
		l.pace.limited(l.now(), t.at)
	}
	l.mu.Unlock()
	l.leave(t.class)
}
