package openai

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// Class is the kind of a request, which says how long it waits at a Limiter.
type Class int

// The classes of request.
const (
	// Live reads what is new. It waits as long as the server orders and as the ceiling
	// of requests a minute demands. History goes first only at every fourth request.
	Live Class = iota
	// History reads the past, in parallel, with what the server lets it have.
	History
)

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
// counts them by organization. A 429 that means everybody closes it until the
// time the server named; after that history goes on at a rate that settles below
// the server's limit, see pace.
//
// One request of each class waits at the door, and those behind it wait in line.
// A request takes its turn at the ceiling and of the pace when it goes, and never
// before. So a request that is given up leaves nothing behind, and the one at the door
// follows the rate of this moment.
//
// It may be used by many goroutines at once.
type Limiter struct {
	now func() time.Time
	// interval is the time between two requests at the ceiling; 0: no ceiling.
	interval time.Duration
	// door holds the request of each class that goes next.
	door [2]chan struct{}
	// places holds the history requests in flight, and the one at the door.
	places chan struct{}
	// large holds one for each class while a body of that class is large. The head
	// has its own, so that it never waits for history.
	large [2]chan struct{}

	mu          sync.Mutex // guards what follows, never held while waiting
	pace        pace
	pausedUntil time.Time
	waitedUntil time.Time // until when a request waits as a 429 said
	nextAt      time.Time // when the ceiling lets the next request go
	live        int       // live requests at the door and behind it
	history     int       // history requests at the door that have a place
	turns       int       // live requests since the last one of history
	inFlight    int       // of both classes
}

// liveTurns is the number of live requests after which the next time at the ceiling is
// for history: a head that is always busy must not stop history for ever.
const liveTurns = 3

// NewLimiter returns a limiter for one organization.
func NewLimiter(cfg LimiterConfig) *Limiter {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = math.MaxInt32
	}
	l := &Limiter{now: cfg.Now, pace: newPace(cfg.Concurrency), places: make(chan struct{}, cfg.Concurrency)}
	for class := range l.large {
		l.large[class] = make(chan struct{}, 1)
		l.door[class] = make(chan struct{}, 1)
	}
	if cfg.RequestsPerMinute > 0 {
		l.interval = time.Minute / time.Duration(cfg.RequestsPerMinute)
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

// largeBody returns the permit for a large body of the class, not taken yet.
func (l *Limiter) largeBody(class Class) permit { return permit{holder: l.large[class]} }

// ticket is the permission to send one request. Its holder ends it, once, with
// answered, refused or failed.
type ticket struct {
	limiter *Limiter
	place   permit
	at      time.Time // when it was given
}

// acquire waits until a request of the class may be sent. The error is ctx's.
func (l *Limiter) acquire(ctx context.Context, class Class) (*ticket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if class == Live {
		l.count(&l.live, 1)
		defer l.count(&l.live, -1)
	}
	door := permit{holder: l.door[class]}
	if err := door.acquire(ctx); err != nil {
		return nil, err
	}
	defer door.release()
	t := &ticket{limiter: l}
	if class == History {
		t.place = permit{holder: l.places}
		if err := t.place.acquire(ctx); err != nil {
			return nil, err
		}
		l.count(&l.history, 1)
		defer l.count(&l.history, -1)
	}
	for {
		wait := l.pass(t, class)
		if wait <= 0 {
			return t, nil
		}
		if err := pause.For(ctx, wait); err != nil {
			t.place.release()
			return nil, err
		}
	}
}

func (l *Limiter) count(waiting *int, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*waiting += n
}

// pass lets the request at the door go, if it is time, or returns how long to wait
// before asking again.
func (l *Limiter) pass(t *ticket, class Class) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait = max(l.pausedUntil.Sub(now), l.nextAt.Sub(now))
	if class == History {
		wait = max(wait, l.pace.next.Sub(now))
	}
	if l.interval > 0 && l.otherNext(class, now) {
		wait = max(wait, l.nextAt.Add(l.interval).Sub(now))
	}
	if wait > 0 {
		return wait
	}
	l.nextAt = now.Add(l.interval)
	if class == History {
		l.pace.went(now)
		l.turns = 0
	} else {
		l.turns++
	}
	l.inFlight++
	t.at = now
	return 0
}

// otherNext reports whether the next time at the ceiling is for the other class: for
// the head if it waits, and for history if it could go and the head had its turns.
func (l *Limiter) otherNext(class Class, now time.Time) bool {
	historys := l.history > 0 && l.turns >= liveTurns && !l.pace.next.After(later(l.nextAt, now))
	if class == Live {
		return historys
	}
	return l.live > 0 && !historys
}

// answered ends a request whose page came.
func (t *ticket) answered() {
	t.end(func(l *Limiter, now time.Time) { l.pace.answered(now, t.at) })
}

// failed ends a request that failed in a way that says nothing about the limit.
func (t *ticket) failed() { t.end(func(*Limiter, time.Time) {}) }

// refused ends a request that was answered 429, with the wait that was named. Its
// sender waits that long in any case; all requests do if the 429 was not for this
// one alone. It returns by how much longer any request waits than before.
func (t *ticket) refused(wait time.Duration) (added time.Duration) {
	t.end(func(l *Limiter, now time.Time) {
		until := now.Add(wait)
		if l.pace.refused(now, t.at, wait) && until.After(l.pausedUntil) {
			l.pausedUntil = until
		}
		if before := later(l.waitedUntil, now); until.After(before) {
			added, l.waitedUntil = until.Sub(before), until
		}
	})
	return added
}

// end takes the request out, and lets the pace learn from its outcome.
func (t *ticket) end(learn func(l *Limiter, now time.Time)) {
	l := t.limiter
	l.mu.Lock()
	l.inFlight--
	learn(l, l.now())
	l.mu.Unlock()
	t.place.release()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
