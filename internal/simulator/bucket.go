package simulator

import (
	"sync"
	"time"
)

// bucket is a rate limit: it holds tokens up to a number, and fills evenly.
type bucket struct {
	perSecond float64 // 0: no limit
	size      float64

	mu       sync.Mutex // guards what follows
	tokens   float64
	filledAt time.Time
}

// newBucket returns a full bucket.
func newBucket(perMinute, size int, now time.Time) *bucket {
	return &bucket{perSecond: float64(perMinute) / 60, size: float64(size), tokens: float64(size), filledAt: now}
}

// take takes a token. wait is how long until there is one; 0: taken.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	if b.perSecond == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+now.Sub(b.filledAt).Seconds()*b.perSecond, b.size)
	b.filledAt = now
	// A hair below one is one: the sum of many small times is not exact.
	if b.tokens > 1-1e-9 {
		b.tokens--
		return 0
	}
	return time.Duration((1 - b.tokens) / b.perSecond * float64(time.Second))
}
