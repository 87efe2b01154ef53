package connector

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// One more than may start at once waits for the first that has started, and for those that
// cannot start no longer than their time.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		take := func() func() {
			started, err := s.take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return started
		}
		first := take()
		for range 31 {
			take()
		}
		began := time.Now()
		stopped, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := s.take(stopped); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the 33rd start returned %v", err)
		}
		time.AfterFunc(500*time.Millisecond, first)
		take()
		if waited := time.Since(began); waited != 1500*time.Millisecond {
			t.Errorf("the 33rd waited for %v", waited)
		}
		for range 31 { // as many as the others that never started
			take()
		}
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("the last of 64 waited for %v", waited)
		}
		first() // a second time, which takes nobody else's turn
		if len(s) != startsAtOnce {
			t.Errorf("%d start, and not %d", len(s), startsAtOnce)
		}
	})
}
