// Package pause waits: for a time, and before another try.
package pause

import (
	"context"
	"math/rand/v2"
	"time"
)

// For returns nil after d, or the context's error as soon as it ends.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff returns how long to wait after so many failures in a row, one or more: the
// first time, twice that after each further failure, and never above the most. The
// upper half of it is random, so that many clients do not come back at once.
func Backoff(failures int, first, most time.Duration) time.Duration {
	pause := most
	if shift := failures - 1; shift < 30 && first < most>>shift {
		pause = first << shift
	}
	return pause/2 + rand.N(max(1, pause/2))
}
