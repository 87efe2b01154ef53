package connector

import (
	"context"
	"sync"
	"time"
)

const (
	// startsAtOnce is how many organizations of a process begin a session at the same
	// time. Each start opens connections and reads the state. Of a thousand that started
	// together many got no connection within the broker's backlog, and tried again.
	startsAtOnce = 32
	// startPatience is how long one that starts keeps another from it. A start may last for
	// as long as an API is away, and the others have APIs of their own.
	startPatience = 2 * time.Second
)

// starts are the organizations that begin a session now, and keep others waiting.
type starts chan struct{}

func newStarts() starts { return make(starts, startsAtOnce) }

// take waits for a turn to start. The error is that of ctx. The caller calls started at the
// end of the start, whichever it is.
func (s starts) take(ctx context.Context) (started func(), err error) {
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave := sync.OnceFunc(func() { <-s })
	impatient := time.AfterFunc(startPatience, leave)
	return func() { impatient.Stop(); leave() }, nil
}
