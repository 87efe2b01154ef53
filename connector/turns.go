package connector

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

const (
	// HistoryAtOnce is how many organizations of a process read history at the same time.
	// Each holds windows in memory, and a few keep all cores busy.
	HistoryAtOnce = 4
	// turnTime is how long a turn lasts while others wait. It is long enough to read
	// several windows, so that what is read ahead at its end costs little.
	turnTime = 10 * time.Second
)

// turns let a few organizations read history at once, and the one whose history is
// oldest next. The limit on the heap is for the process: with a hundred at once each
// would find it full, and the garbage collector would do nothing else.
//
// Those whose last turn failed have a line of their own, in the order of their coming, and
// every fourth turn at most while others wait. Enough APIs that are away would take all
// turns otherwise: each comes back after a minute at the latest, and with an older history
// it would come before those that can be read, again and again.
type turns struct {
	mu      sync.Mutex // guards what follows; held for no I/O
	reading int
	waiting []*waiter // in the order of their coming
	passed  int       // turns in a row that went past those that failed
}

// waiter is a sweep that waits for a turn.
type waiter struct {
	oldest auditlog.Second
	failed bool          // its last turn did
	turn   chan struct{} // closed when it has one
}

// take waits for a turn of one whose history begins at a second, and whose last turn may have
// failed. The error is that of ctx. The turn must be given back however the sweep ends: one
// that is kept leaves one less to all others, and when all are kept no history of the process
// is read any more.
func (t *turns) take(ctx context.Context, oldest auditlog.Second, failed bool) error {
	t.mu.Lock()
	if t.reading < HistoryAtOnce {
		t.reading++
		t.mu.Unlock()
		return nil
	}
	w := &waiter{oldest: oldest, failed: failed, turn: make(chan struct{})}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Still in the line: no turn was passed on to it. Not there: next gave it one between the
	// end of ctx and this lock, and it would be lost.
	if at := slices.Index(t.waiting, w); at >= 0 {
		t.waiting = slices.Delete(t.waiting, at, at+1)
		return ctx.Err()
	}
	t.next() // it had a turn at the same moment, which is for another one now
	return ctx.Err()
}

// give gives a turn back.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

// next passes a turn on to the one that is to have it. The caller holds mu.
func (t *turns) next() {
	if len(t.waiting) == 0 {
		t.reading--
		return
	}
	at := t.choose()
	close(t.waiting[at].turn)
	t.waiting = slices.Delete(t.waiting, at, at+1)
}

// choose returns the place of the one that waits for the oldest history, or every so often
// of the first of those that failed. The caller holds mu, and somebody waits.
func (t *turns) choose() int {
	oldest, failed := -1, -1
	for i, w := range t.waiting {
		switch {
		case w.failed && failed < 0:
			failed = i
		case !w.failed && (oldest < 0 || w.oldest < t.waiting[oldest].oldest):
			oldest = i
		}
	}
	switch {
	case oldest < 0, failed >= 0 && t.passed >= HistoryAtOnce-1:
		t.passed = 0
		return failed
	case failed >= 0:
		t.passed++
	}
	return oldest
}

// wanted reports whether an organization waits for a turn.
func (t *turns) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting) > 0
}

// budget is how many bytes one of those that read may hold, of what all may hold together.
// It is asked again for each window, since others begin and end meanwhile.
func (t *turns) budget(all int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return all / max(1, t.reading)
}

// inTurn does a sweep: one of history when it is our turn, and any other immediately. A turn
// ends early where others wait; what is read by then is committed. Whether the turn before it
// failed is what the line is told.
func (w *sweeper) inTurn(ctx context.Context, sweep *sweepRun, failed bool) error {
	if sweep.Segment == nil {
		return sweep.run(ctx)
	}
	s := w.session
	if err := s.turns.take(ctx, sweep.From, failed); err != nil {
		return err
	}
	defer s.turns.give()
	// The rest stays in the cursor as history, and is found again when it is our turn.
	began := s.now()
	sweep.enough = func() bool { return s.now().Sub(began) > turnTime && s.turns.wanted() }
	return sweep.run(ctx)
}
