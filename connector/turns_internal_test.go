package connector

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// allTaken returns turns of which all are taken.
func allTaken(t *testing.T) *turns {
	all := new(turns)
	for range HistoryAtOnce {
		if err := all.take(t.Context(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// As many read at once as may, and of those that wait the one with the oldest history
// goes next. One that does not wait any more takes no turn along.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := allTaken(t)
		had := make(chan auditlog.Second, 4)
		wait := func(ctx context.Context, oldest auditlog.Second) {
			go func() {
				if all.take(ctx, oldest, false) == nil {
					had <- oldest
				}
			}()
			synctest.Wait()
		}
		wait(t.Context(), 30)
		wait(t.Context(), 10)
		gone, leave := context.WithCancel(t.Context())
		wait(gone, 5)
		wait(t.Context(), 20)
		leave()
		synctest.Wait()
		if len(had) > 0 {
			t.Fatalf("%d had a turn where all were taken", len(had))
		}
		for _, want := range []auditlog.Second{10, 20, 30} {
			all.give()
			if got := <-had; got != want {
				t.Errorf("the history of %d was next, want %d", got, want)
			}
		}
		if all.wanted() {
			t.Error("an organization waits, and none is there")
		}
		for range HistoryAtOnce {
			all.give()
		}
		if got := all.budget(12); all.reading != 0 || got != 12 {
			t.Errorf("%d read in the end, and one that comes has %d of 12", all.reading, got)
		}
	})
}

// Those whose last turn failed go in the order of their coming, one after three of the others,
// and all of them when no other waits.
func TestTurnsOfThoseThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := allTaken(t)
		had := make(chan auditlog.Second, 1)
		wait := func(oldest auditlog.Second, failed bool) {
			go func() {
				if all.take(t.Context(), oldest, failed) == nil {
					had <- oldest
				}
			}()
			synctest.Wait()
		}
		for _, oldest := range []auditlog.Second{3, 1, 2} {
			wait(oldest, true)
		}
		for oldest := auditlog.Second(40); oldest > 35; oldest-- {
			wait(oldest, false)
		}
		for n, want := range []auditlog.Second{36, 37, 38, 3, 39, 40, 1, 2} {
			all.give()
			if got := <-had; got != want {
				t.Errorf("turn %d was for the history of %d, want %d", n, got, want)
			}
		}
	})
}
