package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// mark begins the ids of events that were added while somebody watched.
const mark = "bench-"

// watch is a read_committed consumer of a connector's topics.
type watch struct {
	topics topics
	stop   func() // ends it, and waits for it

	mu     sync.Mutex // guards what follows
	events map[string]time.Time
	count  int         // records in the events topic
	state  []time.Time // when a record of the offsets topic came
	err    error
}

// watch follows the topics, which must be there.
func (l *lab) watch(ctx context.Context, t topics) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{topics: t, events: map[string]time.Time{}}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		err := l.cluster.Follow(ctx, []string{t.events, t.offsets}, w.take)
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}()
	w.stop = func() { cancel(); <-done }
	return w
}

func (w *watch) take(a kafkatest.Arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.Topic == w.topics.offsets {
		w.state = append(w.state, a.At)
		return
	}
	w.count++
	if _, seen := w.events[a.Key]; !seen && strings.HasPrefix(a.Key, mark) {
		w.events[a.Key] = a.At
	}
}

// event returns when the event came.
func (w *watch) event(id string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.events[id]
	return at, ok
}

// stateAfter returns when the state was first committed after a time.
func (w *watch) stateAfter(t time.Time) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.state {
		if at.After(t) {
			return at, true
		}
	}
	return time.Time{}, false
}

// awaitCount waits until n events came.
func (w *watch) awaitCount(ctx context.Context, n int, limit time.Duration) error {
	return w.until(ctx, limit, fmt.Sprintf("%d events", n), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.count >= n
	})
}

// until waits until ok, or until the consumer failed.
func (w *watch) until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	var failed error
	err := until(ctx, limit, what, func() bool {
		w.mu.Lock()
		failed = w.err
		w.mu.Unlock()
		return failed != nil || ok()
	})
	if failed != nil {
		return failed
	}
	return err
}
