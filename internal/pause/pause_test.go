package pause_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := pause.For(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if err := pause.For(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		for _, d := range []time.Duration{0, -1, 1} {
			if err := pause.For(ctx, d); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v on a context that has ended: %v", d, err)
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	for failures, most := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second, 7: time.Minute, 8: time.Minute,
		31: time.Minute, 64: time.Minute, math.MaxInt: time.Minute,
	} {
		for range 100 {
			if got := pause.Backoff(failures, time.Second, time.Minute); got < most/2 || got >= most {
				t.Errorf("after %d failures: %v, want from %v to below %v", failures, got, most/2, most)
			}
		}
	}
}
