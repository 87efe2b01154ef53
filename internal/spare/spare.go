// Package spare keeps memory that is used again and again.
package spare

import (
	"slices"
	"sync"
)

// List is memory that is free now. Unlike a sync.Pool it keeps what it has: from a pool the
// garbage collector takes what was not used for a while, and it runs ten times a second and
// more while a history is read. What was not taken for long is left to it all the same: a
// moment that needs much must not cost memory for ever. The zero value is usable, and safe for concurrent use.
type List[T any] struct {
	// New makes a new one; nil: it is the zero value.
	New func() *T
	// Most is how many are kept; those above it are left to the garbage collector. Zero: as
	// many as were in use at once, lately.
	Most int

	mu    sync.Mutex // guards what follows
	free  []*T
	given int // since the unused ones were dropped
	least int // free ones since then, so that as many were not used
}

// period is after how many that are given back those that were not used meanwhile are dropped.
const period = 512

// Take returns what was given back last; a new one if there is nothing.
func (l *List[T]) Take() *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.free)
	switch {
	case n > 0:
		t := l.free[n-1]
		l.free = l.free[:n-1]
		l.least = min(l.least, n-1)
		return t
	case l.New != nil:
		return l.New()
	}
	return new(T)
}

// Give gives it back. Nobody else may use it from then on.
func (l *List[T]) Give(t *T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Most == 0 || len(l.free) < l.Most {
		l.free = append(l.free, t)
	}
	if l.given++; l.given == period {
		l.free = slices.Delete(l.free, 0, l.least) // the last ones are taken first
		l.given, l.least = 0, len(l.free)
	}
}
