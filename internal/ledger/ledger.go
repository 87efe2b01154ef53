// Package ledger keeps the committed state of an organization and the lock on its
// commits. Reads go on in parallel and are planned in the state of a moment; what they
// found is compared with the state of the commit, one commit after the other. What was
// planned in another state is discarded, and the caller plans it again.
//
// The state changes when a transaction is known to be committed, and not before. After
// an error only the topic knows what happened: the ledger is finished then, and the
// next one is made from what the topic says after a new fence.
//
// The ledger returns what it wrote. It tells no telemetry and writes no log.
package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Log is where transactions go: a *txlog.Log.
type Log interface {
	Commit(ctx context.Context, records []kafka.Message, changes []txlog.Change) error
}

// Ledger is the committed state of an organization. It is safe for concurrent use.
type Ledger struct {
	organization string
	log          Log // owned by the goroutine that holds writing
	now          func() time.Time
	commits      atomic.Int64
	writing      chan struct{} // has one while somebody commits, from staging to advancing

	// Owned by the goroutine that holds writing.
	committed   time.Time // when the last transaction was
	sealing     target.Sealing
	checkpoints map[string]bool // keys of those in the offsets topic

	mu    sync.Mutex    // guards what follows; held for no I/O
	state *window.State // changed only by the goroutine that holds writing as well
	sent  time.Time     // when the transaction that is not answered yet was begun; zero if none is
}

// New returns a ledger that writes to a log, and holds nothing before Begin.
func New(organization string, log Log, now func() time.Time) *Ledger {
	state := &window.State{Seen: window.NewSeenIDs()}
	return &Ledger{organization: organization, log: log, state: state, now: now, writing: make(chan struct{}, 1)}
}

// Begin takes the state from which commits go on: the one that was read after the fence
// of the log, or a first one. The ledger owns it from then on.
func (l *Ledger) Begin(state *window.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
}

// Cursor returns the cursor as it is now. Its maps and slices are never changed.
func (l *Ledger) Cursor() auditlog.Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Cursor
}

// SeenIDs returns how many ids are remembered.
func (l *Ledger) SeenIDs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Seen.Len()
}

// Latest returns the time of a clock, or the newest minute in which anything is
// remembered (see window.Latest).
func (l *Ledger) Latest(clock auditlog.Second) auditlog.Second {
	l.mu.Lock()
	defer l.mu.Unlock()
	return window.Latest(clock, l.state.Seen)
}

// Sift returns the events of a page that are not written, and those that are, and must
// be remembered for longer. Both are looked at again inside the commit. The page began
// at a server time.
func (l *Ledger) Sift(page []auditlog.Event, began auditlog.Second) (fresh, later []auditlog.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Seen.Sift(page, began, l.state.Policy)
}

// KnowsPage reports whether a page of the scope's head needs no older one.
func (l *Ledger) KnowsPage(scope auditlog.Scope, page []auditlog.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return window.KnownPage(l.state.Seen, page, l.state.Cursor.Scopes[scope].Live)
}

// Unanswered returns since when a transaction waits for its answer; zero if none does.
func (l *Ledger) Unanswered() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// Commits returns how many transactions were committed.
func (l *Ledger) Commits() int64 { return l.commits.Load() }
