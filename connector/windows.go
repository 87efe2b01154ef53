package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/sweep"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// limits are the sizes of windows. They bound the memory of a window that is read, and so
// how much a crash reads again.
var limits = window.Limits{Events: 1000, Most: 2400, Bytes: 4 << 20, EventBytes: 2 << 10}

const (
	// aheadBytes is how many bytes of records are read ahead, all windows together. Twice as
	// many cost a tenth more CPU for an event: the garbage collector has to stay below its
	// limit, and what lives longer leaves it less room.
	aheadBytes = 8 << 20
	// aheadWindows is how many windows that are read may wait for their commit.
	aheadWindows = 4
	// groupBytes is from how many bytes of records on no further window goes into a
	// transaction. Windows that wait in order go together: each transaction costs a
	// marker for every consumer and some requests, and the next one waits for it.
	groupBytes = 4 << 20
	// windowTries is how often a window is read from its start before the sweep is
	// planned again: what keeps failing may be the list of a scope that is left out by
	// then.
	windowTries = 5
)

// errReplan says that what was planned is not what comes next any more: the cursor moved
// while windows were read, for example because the other scope was frozen or thawed. What
// was read is dropped, and the sweeper asks the cursor again.
var errReplan = errors.New("planned in another state")

// sweepRun reads the windows of a sweep, and writes them in the order of time. The order is
// what makes one position enough: of the sweep all before it is written, and nothing from it
// on. So a crash loses the windows that were read ahead and not committed, and no other.
//
// It is the Source and the Sink of package sweep. ReadWindow runs in several goroutines at
// once, each with a windowTry of its own. Take runs beside them, one call after the other, and
// what the run itself holds is Take's.
type sweepRun struct {
	window.Sweep
	session  *session
	progress *progress
	enough   func() bool     // says that no more of it is to be begun now; nil: all is
	done     func()          // called when all of it is committed; nil: nothing is
	began    auditlog.Second // the earliest beginning of a walk that was committed
	memories memories
}

func newSweepRun(s *session, sw window.Sweep, p *progress) *sweepRun {
	return &sweepRun{Sweep: sw, session: s, progress: p, began: auditlog.MaxSecond}
}

// run reads all of it. How many requests are in flight is the limiter's business.
func (r *sweepRun) run(ctx context.Context) error {
	err := sweep.Run(ctx, sweep.Config{
		From: r.From, To: r.To, Events: limits.Events,
		Parallel: r.session.cfg.APIConcurrency, Waiting: aheadWindows, Together: groupBytes,
		Bytes: func() int { return r.session.turns.budget(aheadBytes) }, Retry: r.retry, Enough: r.enough,
	}, r, r)
	// Only after the last window is committed: the next deep walk counts from this one.
	if err == nil && r.done != nil {
		r.done()
	}
	return err
}

// retry waits, where the same window may be read later. A scope that is refused is a
// change of plan, which is for the head's polls to find. Nor does a window that fails
// keep a turn that others wait for: four APIs that are away would stop the history of all.
func (r *sweepRun) retry(ctx context.Context, w window.Window, try int, err error) error {
	e, ok := errors.AsType[*openai.Error](err)
	passes := ok && !e.Denied() && e.Kind != openai.KindRejected
	if ctx.Err() != nil || !passes || try == windowTries || r.enough != nil && r.enough() {
		return err
	}
	pause := backoff(try, time.Minute)
	r.session.log.Warn("reading a window failed; it is read again from its start", "error", err,
		"from", w.From.String(), "to", w.To.String(), "backoff", pause.Round(time.Millisecond))
	return wait(ctx, pause)
}

// ReadWindow reads a window to its end, and encodes what is new in it.
//
// None of it counts before Take. A try that fails in the middle, or a crash, is as if it
// had never been: the window is read again from its start. Parts of it that were given
// already may be committed by then; the next try knows their events by their ids.
func (r *sweepRun) ReadWindow(ctx context.Context, w window.Window, give func(encodedBatch, int) error) (size sweep.Size, err error) {
	s := r.session
	t := &windowTry{run: r, window: w, give: give, read: window.NewRead(r.Sweep, w, s.cursor(), limits, s.sift)}
	began := s.now()
	defer func() {
		if err != nil {
			r.progress.count(-t.seconds, -t.read.Events) // it comes again
			r.memories.give(t.batch(t.read.Last()))      // of which nobody knows yet
		}
		t.read.End()
		size.Page = s.now().Sub(began) / time.Duration(max(1, t.pages))
	}()
	for walk, ok := t.read.Next(); ok; walk, ok = t.read.Next() {
		if err := t.walk(ctx, walk.Scope); err != nil {
			return size, err
		}
	}
	if err := t.giveAway(t.read.Last()); err != nil {
		return size, err
	}
	return sweep.Size{Events: limits.Weigh(t.read.Events, t.bytes), Bytes: t.bytes}, nil
}

// Take commits the parts whose turn it is, in one transaction.
//
// A crash in it means the same as in a transaction of one window: all of it is written,
// or nothing, and the cursor in it says which windows are.
func (r *sweepRun) Take(ctx context.Context, parts []sweep.Part[encodedBatch]) error {
	group := make([]encodedBatch, len(parts))
	var until auditlog.Second
	events := 0
	for i, p := range parts {
		// With the part and not with the end of its window, which may come later: what
		// the sweep proves must not be later than any of its walks.
		r.began = min(r.began, p.Of.began)
		if group[i] = p.Of; !p.Of.Partial {
			group[i].Effect = r.Effect(p.Window, r.began, r.session.policy)
		}
		until, events = p.Window.To, events+len(p.Of.Events)
	}
	discarded, err := r.session.commit(ctx, group...)
	// What of the group comes before the discarded part may be committed, and the cursor says
	// so. All after it was planned on a state that did not come.
	if discarded {
		return errReplan
	}
	if err != nil {
		return err // and the client may hold the records for a moment longer
	}
	for _, p := range group {
		r.memories.give(p)
	}
	r.progress.written(r.session, events, until)
	return nil
}

// windowTry is one try at a window. One goroutine owns it. What to read and what to take of
// it is decided by window.Read, which knows neither Kafka nor the API; here are the
// requests, the encoding and the memory.
type windowTry struct {
	run     *sweepRun
	window  window.Window
	read    *window.Read
	give    func(encodedBatch, int) error
	memory  *memory          // of the part; nil before its first page
	encoded []target.Encoded // of the part
	bytes   int              // of records
	given   int              // of them, in parts that were given away
	pages   int
	seconds int64 // of the window, in its progress
}

// walk walks one list of the window to its end. The end is what makes the window complete:
// a list that breaks off is an error, and no short window.
func (t *windowTry) walk(ctx context.Context, scope auditlog.Scope) error {
	s, w := t.run.session, t.window
	query := openai.Query{
		Scope: scope, AlsoRead: s.alsoRead(scope), From: w.From, To: w.To, Bounded: t.run.Bounded(w),
		ToEnd: true, Class: openai.History,
		Parsed: t.run.Segment != nil, // elsewhere nearly all is known, and not encoded
	}
	for page, err := range s.history.Pages(ctx, query) {
		if err == nil {
			err = s.checkPage(page)
		}
		if err != nil {
			return err
		}
		s.notePage(page)
		if err := t.take(page); err != nil {
			return err
		}
		if scope == t.run.Scopes[0] {
			t.count(int64(w.To-t.read.ReadFrom())-t.seconds, 0)
		}
		// Found while reading, since the API does not say how many events there are. The sweep
		// cuts the window and reads the pieces from their starts.
		if about, dense := t.read.TooDense(); dense {
			return &sweep.Dense{Events: about}
		}
	}
	return nil
}

// take encodes what is new in a page, and gives a part away when it is full.
func (t *windowTry) take(page openai.Page) error {
	s, had := t.run.session, t.read.Events
	t.pages++
	if t.memory == nil {
		t.memory = t.run.memories.take()
		t.encoded = t.memory.encoded
		t.read.Use(t.memory.events)
	}
	fresh, repeats := t.read.Page(page.Events, page.Began, page.Last)
	if repeats > 0 {
		s.telemetry.Skipped(s.name, repeats)
	}
	t.count(0, t.read.Events-had)
	var err error
	first := len(t.encoded)
	if first == 0 {
		t.encoded = slices.Grow(t.encoded, cap(t.read.Last().Events)) // what grows is copied again and again
	}
	if t.encoded, err = s.encodeAll(t.memory.slab, page, t.encoded, fresh); err != nil {
		return err
	}
	bytes := 0
	for i := first; i < len(t.encoded); i++ {
		e := &t.encoded[i]
		e.Info.Actor, e.Info.IP = "", "" // parts of the page, which is given back
		bytes += e.Bytes
	}
	// From here on the page's memory holds another page. Whatever of this one is still needed
	// was copied into the slab, or the topic would get bytes of other events.
	page.Release()
	t.bytes += bytes
	t.read.Encoded(bytes)
	if b, full := t.read.Part(); full {
		return t.giveAway(b)
	}
	return nil
}

// giveAway gives a batch away, with what its events become. The batch owns them from here
// on, so a try that fails later must not free their memory.
func (t *windowTry) giveAway(b window.Batch) error {
	p, bytes := t.batch(b), t.bytes-t.given
	t.encoded, t.memory, t.given = nil, nil, t.bytes
	return t.give(p, bytes)
}

// batch is what was read, with what becomes of it.
func (t *windowTry) batch(b window.Batch) encodedBatch {
	return encodedBatch{Batch: b, encoded: t.encoded, memory: t.memory, began: t.read.Began()}
}

// count tells the progress of what was read.
func (t *windowTry) count(seconds int64, events int) {
	t.seconds += seconds
	t.run.progress.count(seconds, events)
}
