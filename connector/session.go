package connector

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// session is the time between a fence and the first error. Its state is what the
// topic says, and is thrown away with it.
//
// A session leaves nothing behind but what the organization remembers to report. So there
// is no state that a crash would lose and an error would keep: both begin again from the
// topic, and every start exercises what a crash needs.
type session struct {
	*organization
	kafkaLog    *txlog.Log // written to by the ledger alone, once there is one
	ledger      *ledger.Ledger
	topics      target.Found
	format      target.Format
	encoder     *target.Encoder
	lists       *lists // how the API's lists answer
	partition   int32
	apiName     string  // of the organization, as the API has it; empty if it does not say
	rate        float64 // of the newest events, in a second; 0: not known
	offsetsRead int     // records that the start read of the partition
	watching    bool    // the head was read once: what shows up since is live; owned by the poller
	// reported is why it is not ready, as those that stand by can read it; owned by
	// hello, then by the poller, with what follows.
	reported     string
	reportedAt   time.Time
	unreadySince auditlog.Second
	mu           sync.Mutex      // guards what follows; held for no I/O
	skew         time.Duration   // the API's clock less ours
	newest       auditlog.Second // effective_at of the newest event written
	wakes        []chan struct{} // of the sweepers
	sweeping     atomic.Int32    // how many of them read now
}

// work reads and writes until ctx ends or something fails whose outcome only the
// topic knows. Three loops read: the head at every poll, history, and the walks for what
// is late. They share the ledger, which lets one commit after the other through, and
// nothing that one of them read counts before its commit.
//
// The walks wait for the first round of polls: only the poll shows how far behind the head
// is, and so what is history. The history that there is already is read at once. It begins
// with one request, and those of the polls go first.
//
// The other loops watch. They end the session where it must begin again: a transaction of
// ours that hangs can only be ended by the next opening.
func (s *session) work(ctx context.Context) error {
	polled := make(chan struct{})
	history := &sweeper{session: s, find: s.findHistory, wake: make(chan struct{}, 1)}
	walks := &sweeper{session: s, find: s.findWalk, polled: polled, wake: make(chan struct{}, 1)}
	s.wakes = []chan struct{}{history.wake, walks.wake}
	s.tellPositions()
	// All end with ctx or the first error; waited for by Wait. So when work returns, nothing
	// reads or commits any more, and the caller may close the log.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return (&poller{s}).run(ctx, polled) })
	group.Go(func() error { return history.run(ctx) })
	group.Go(func() error { return walks.run(ctx) })
	group.Go(func() error { return s.watchSleep(ctx) })
	group.Go(func() error { return s.watchHanging(ctx) })
	group.Go(func() error { return s.watchVerified(ctx) })
	group.Go(func() error { return (&verifier{session: s}).run(ctx, polled) })
	return group.Wait()
}

// nudge tells the sweepers that there may be work. It never waits: the poller calls it
// between two polls, and a sweeper that reads now looks for more when it is done.
func (s *session) nudge() {
	for _, wake := range s.wakes {
		select {
		case wake <- struct{}{}:
		default: // it knows already
		}
	}
}

// serverNow is now by the earlier of two clocks. All positions come from it: see the
// function of that name.
func (s *session) serverNow() auditlog.Second {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serverNow(s.now(), s.skew)
}

// latestNow is now by the later of two clocks and of what is remembered. It is the upper
// end of what may have been written so far, for a scope that is frozen: a time that is too
// late remembers ids for longer than needed, one that is too early would forget some that
// are read again.
func (s *session) latestNow() auditlog.Second {
	s.mu.Lock()
	skew := s.skew
	s.mu.Unlock()
	return s.ledger.Latest(laterNow(s.now(), skew))
}

// cursor returns the cursor as it is now. Nobody changes its maps and slices.
func (s *session) cursor() auditlog.Cursor { return s.ledger.Cursor() }

// sift returns the events of a page that are not written, and those that are, and
// must be remembered for longer. Both are looked at again inside the commit: another loop
// may write the same event between here and there. What is sifted out here only saves the
// work of encoding it.
func (s *session) sift(page []auditlog.Event, began auditlog.Second) (fresh, later []auditlog.Event) {
	fresh, later = s.ledger.Sift(page, began)
	for i, ev := range later {
		later[i].Raw = ownRaw(ev)
	}
	return fresh, later
}
