package connector

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// session is the time between a fence and the first error. Its state is what the
// topic says, and is thrown away with it.
type session struct {
	*organization
	kafkaLog    *txlog.Log // owned by whoever holds writing
	topics      topics
	values      *values
	partition   int32
	known       *window.State       // as it was read; nil on a first run
	apiName     string              // of the organization, as the API has it; empty if it does not say
	peeked      []map[string][]byte // cursors by partition; first runs only
	offsetsRead int                 // records that the start read of the partition
	watching    bool                // the head was read once: what shows up since is live; owned by pollHead
	// reported is why it is not ready, as those that stand by can read it; owned by
	// hello, then by pollHead, with what follows.
	reported     string
	reportedAt   time.Time
	unreadySince auditlog.Second
	writing      chan struct{}   // has one while somebody commits, from staging to advancing
	mu           sync.Mutex      // guards what follows; held for no I/O
	state        *window.State   // changed only by who holds writing as well
	skew         time.Duration   // the API's clock less ours
	committed    time.Time       // when the last transaction was committed
	sent         time.Time       // when the transaction that is not answered yet was begun; zero if none is
	newest       auditlog.Second // effective_at of the newest event written
	health       map[auditlog.Scope]*scopeHealth
	wakes        []chan struct{} // of the readers of the past
	commits      atomic.Int64    // of this session
}

// cursorEvery is how often a quiet log writes its cursor. That keeps the
// transactional id alive, which brokers forget after a week, and tells other
// hosts that somebody is at work.
const cursorEvery = 10 * time.Minute

// historyEvery is how often history writes its cursor while it finds nothing: a
// crash reads that much again.
const historyEvery = 10 * time.Second

// work reads and writes until ctx ends or something fails whose outcome only the
// topic knows.
func (s *session) work(ctx context.Context) error {
	polled := make(chan struct{})
	history := past{polled: polled, wake: make(chan struct{}, 1)}
	walks := past{polled: polled, wake: make(chan struct{}, 1)}
	s.wakes = []chan struct{}{history.wake, walks.wake}
	s.health = map[auditlog.Scope]*scopeHealth{}
	for _, scope := range auditlog.Scopes() {
		due := window.DeepWait(s.state.Cursor, scope, s.serverNow())
		s.health[scope] = &scopeHealth{nextDeep: s.now().Add(due)}
	}
	s.tellPositions()
	// All end with ctx or the first error; waited for by Wait.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.pollHead(ctx, polled) })
	group.Go(func() error { return s.readHistory(ctx, history) })
	group.Go(func() error { return s.walkFully(ctx, walks) })
	group.Go(func() error { return s.watchSleep(ctx) })
	group.Go(func() error { return s.watchHanging(ctx) })
	return group.Wait()
}

// nudge tells the readers of the past that there may be work.
func (s *session) nudge() {
	for _, wake := range s.wakes {
		select {
		case wake <- struct{}{}:
		default: // it has been told
		}
	}
}

// serverNow is now by the earlier of two clocks.
func (s *session) serverNow() auditlog.Second {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serverNow(s.now(), s.skew)
}

// latestNow is now by the later of two clocks and of what is remembered.
func (s *session) latestNow() auditlog.Second {
	s.mu.Lock()
	defer s.mu.Unlock()
	return latestNow(s.now(), s.skew, s.state.Memory)
}

// cursor returns the cursor as it is now. Nobody changes its maps and slices.
func (s *session) cursor() auditlog.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Cursor
}

// sift returns the events of a page that are not written, and those that are, and
// must be remembered for longer. Both are looked at again inside the commit.
func (s *session) sift(page openai.Page) (fresh, later []auditlog.Event) {
	s.mu.Lock()
	fresh, later = s.state.Memory.Sift(page.Events, page.Began, s.policy)
	s.mu.Unlock()
	for i, ev := range later {
		if ev.ID != "" {
			later[i].Raw = nil // without an id, the bytes are the identity
		}
	}
	return fresh, later
}

// knownPage reports whether a page of the scope's head needs no older one.
func (s *session) knownPage(scope auditlog.Scope, page []auditlog.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return window.KnownPage(s.state.Memory, page, s.state.Cursor.Scopes[scope].Live)
}
