package connector

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// The sizes of reads in windows. They bound memory: a window is held while it is
// fetched and until it is committed, some windows are read ahead, and no more.
const (
	windowEvents = 1000     // what a window should hold, and so a transaction
	windowMost   = 2400     // above it, a window is given back and cut
	windowBytes  = 4 << 20  // of records, likewise
	eventBytes   = 2 << 10  // of records, up to which an event counts as one
	aheadBytes   = 16 << 20 // of records read ahead, all windows together
	// aheadWindows is how many windows that are fetched may wait for their commit
	// before no other is begun. More gain nothing where the commits are what takes
	// long: what waits is what the garbage collector has to look through, again and
	// again. Where the API takes long, some wait for the oldest, which had one page
	// more than they, and none of its requests must go unasked for that.
	aheadWindows = 3
	// groupBytes is from how many bytes of records on no further window goes into a
	// transaction. Windows that wait in order go together: each transaction costs a
	// marker for every consumer and some requests, and the next one waits for it.
	groupBytes = 4 << 20
	slowPage   = 75 * time.Millisecond // from here on the API takes long
)

// weigh says for how many events those of a window count. Large ones, or events with
// copies, count for more, so that a window of them is smaller from the start, and
// not given back when half of it is read.
func weigh(events, bytes int) int { return max(events, bytes/eventBytes) }

// stretch is a long time to read in windows, in parallel, and to write in order.
type stretch struct {
	from, to auditlog.Second // [from, to)
	open     bool            // the last window has no upper end
	scopes   []auditlog.Scope
	segment  *window.Segment // if it is history
	// finished returns what a whole stretch proves that began at a server time;
	// nil for history, whose windows each prove their own.
	finished func(began auditlog.Second) window.Effect
	written  func()      // called when all of it is committed; nil: nobody waits for that
	enough   func() bool // says that no more of it is to be begun now; nil: all is
	progress *progress
}

// errReplan says that what was planned is not what comes next any more.
var errReplan = errors.New("planned in another state")

// slot is a window that is being fetched, or waits for its commit.
type slot struct {
	window window.Window
	parts  chan read // in order; closed after the last one
}

// fetched is how the fetch of a slot ended.
type fetched struct {
	slot   *slot
	events int
	bytes  int
	page   time.Duration // that one of its pages took, about
	dense  int           // if not zero, about how many events the window holds: too many
	err    error
}

// readStretch reads the stretch and writes it. It keeps as many windows ahead of
// the commit as memory allows; how many requests are in flight is the limiter's
// business.
func (s *session) readStretch(ctx context.Context, st stretch) error {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()

	r := &reader{session: s, stretch: st, plan: window.NewPlan(st.from, st.to, windowEvents),
		next: st.from, began: auditlog.MaxSecond, results: make(chan fetched)}
	for !r.done() {
		enough := st.enough != nil && st.enough()
		if enough && (len(r.slots) == 0 || r.slots[0].window.From > r.next) {
			return nil // the rest is for another turn; what is read behind a gap is read again
		}
		for !enough && r.room() {
			w, ok := r.plan.Next()
			if !ok {
				break
			}
			slot := r.add(w)
			// Ends with its window, or with ctx; waited for above.
			fetching.Go(func() {
				res := s.fetchWindow(ctx, st, slot)
				select {
				case r.results <- res:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case res := <-r.results:
			if err := r.ended(res); err != nil {
				return err
			}
		case part, ok := <-r.head():
			if err := r.write(ctx, part, ok); err != nil {
				return err
			}
		}
	}
	if st.written != nil {
		st.written()
	}
	return nil
}

// reader is the state of readStretch, which owns it.
type reader struct {
	*session
	stretch
	plan    *window.Plan
	slots   []*slot // by time: given out, and not wholly committed
	next    auditlog.Second
	began   auditlog.Second // the earliest beginning of a walk
	results chan fetched
	bytes   int  // of an average window, from those read so far
	waiting int  // windows that are fetched and not wholly committed
	slow    bool // the API is what takes long
}

// done reports whether all is committed.
func (r *reader) done() bool { return r.next >= r.to }

// room reports whether one more window may be fetched. The one that is to be
// committed next always may.
func (r *reader) room() bool {
	if len(r.slots) == 0 || r.slots[0].window.From > r.next {
		return true
	}
	most := r.cfg.APIConcurrency + 2
	switch {
	case r.slow && len(r.slots)-r.waiting >= most:
		return false
	case r.slow:
		most += r.cfg.APIConcurrency
	case r.waiting >= aheadWindows:
		return false
	}
	if r.bytes > 0 {
		most = min(most, max(2, r.turns.share(aheadBytes)/r.bytes))
	}
	return len(r.slots) < most
}

func (r *reader) add(w window.Window) *slot {
	added := &slot{window: w, parts: make(chan read, 1)}
	at, _ := slices.BinarySearchFunc(r.slots, added, func(a, b *slot) int { return cmp.Compare(a.window.From, b.window.From) })
	r.slots = slices.Insert(r.slots, at, added)
	return added
}

// head returns the parts of the window that is to be committed next; nil, which
// blocks, while nobody has it.
func (r *reader) head() <-chan read {
	if len(r.slots) > 0 && r.slots[0].window.From == r.next {
		return r.slots[0].parts
	}
	return nil
}

// ended takes the end of a fetch.
func (r *reader) ended(res fetched) error {
	r.slow = res.page >= slowPage
	switch {
	case res.err != nil:
		return res.err
	case res.dense > 0:
		r.slots = slices.DeleteFunc(r.slots, func(sl *slot) bool { return sl == res.slot })
		r.plan.GiveBack(res.slot.window, res.dense)
	default:
		r.waiting++
		r.plan.Read(res.slot.window, weigh(res.events, res.bytes))
		r.bytes = max(res.bytes, (7*r.bytes+res.bytes)/8)
	}
	return nil
}

// write commits the part of the window that comes next, together with the parts that
// wait behind it in order, as many as one transaction should hold. ok is false when the
// window had its last part.
//
// A crash in it means the same as in a transaction of one window: all of it is written,
// or nothing, and the cursor in it says which windows are.
func (r *reader) write(ctx context.Context, part read, ok bool) error {
	var group []read
	var until auditlog.Second
	events := 0
	for bytes := 0; ; {
		w := r.slots[0].window
		if ok {
			group = append(group, r.proved(w, part))
			bytes, events, until = bytes+part.bytes, events+len(part.Events), w.To
		} else {
			r.next = w.To + 1
			r.slots = r.slots[1:]
			r.waiting-- // below zero for a moment if its end is told after its last part
		}
		if bytes >= groupBytes {
			break
		}
		waits := false
		select {
		case part, ok = <-r.head():
			waits = true
		default:
		}
		if !waits {
			break
		}
	}
	if len(group) == 0 {
		return nil
	}
	discarded, err := r.commit(ctx, group...)
	if discarded {
		return errReplan
	}
	if err == nil {
		r.progress.written(r.session, events, until)
	}
	return err
}

// proved returns the part with what it proves.
func (r *reader) proved(w window.Window, part read) read {
	// With the part and not with the end of its fetch, which may be told later:
	// what the stretch proves must not be later than any of its walks.
	r.began = min(r.began, part.began)
	if !part.Partial {
		part.Effect = r.effect(w)
	}
	return part
}

// effect is what a window proves.
func (r *reader) effect(w window.Window) window.Effect {
	switch {
	case r.segment != nil:
		return window.HistoryRead(r.scopes, w.To+1, r.policy)
	case w.To == r.to-1:
		return r.finished(r.began)
	default:
		return nil
	}
}
