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
var limits = window.Limits{Events: 990, Slow: 1390, Most: 2400, Bytes: 4 << 20, EventBytes: 2 << 10}

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
	rate := 0.0 // of what is walked again and again nothing is known: it is little, mostly
	if r.Segment != nil {
		rate = r.session.rate
	}
	err := sweep.Run(ctx, sweep.Config{
		From: r.From, To: r.To, Events: limits.Events, Slow: limits.Slow, Rate: rate,
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

// ReadWindow reads the window of a flight to its end, and encodes what is new in it.
//
// None of it counts before Take. A try that fails in the middle, or a crash, is as if it
// had never been: the window is read again from its start. Parts of it that were given
// already may be committed by then; the next try knows their events by their ids.
func (r *sweepRun) ReadWindow(ctx context.Context, f *sweep.Flight[encodedBatch]) (size sweep.Size, err error) {
	s := r.session
	sizes := limits
	sizes.Events = f.Events
	t := &windowTry{run: r, flight: f, read: window.NewRead(r.Sweep, f.Window, s.cursor(), sizes, s.sift), began: s.now()}
	defer func() {
		if err != nil || f.Left() {
			r.progress.count(-t.seconds, -t.read.Events) // it comes again
			r.memories.give(t.batch(t.read.Last()))      // of which nobody knows yet
		}
		t.read.End()
		size.Page = t.page()
	}()
	for walk, ok := t.read.Next(); ok; walk, ok = t.read.Next() {
		if err := t.walk(ctx, walk.Scope); err != nil || f.Left() {
			return size, err
		}
	}
	if err := t.giveAway(ctx, t.read.Last()); err != nil {
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
	flight  *sweep.Flight[encodedBatch]
	read    *window.Read
	memory  *memory          // of the part; nil before its first page
	encoded []target.Encoded // of the part
	bytes   int              // of records
	given   int              // of them, in parts that were given away
	pages   int
	began   time.Time
	seconds int64 // of the window, in its progress
}

// page returns how long one of its pages took, about.
func (t *windowTry) page() time.Duration {
	return t.run.session.now().Sub(t.began) / time.Duration(max(1, t.pages))
}

// walk walks one list of the window to its end. The end is what makes the window complete:
// a list that breaks off is an error, and no short window.
func (t *windowTry) walk(ctx context.Context, scope auditlog.Scope) error {
	s, w := t.run.session, t.flight.Window
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
		if err := t.take(ctx, page); err != nil {
			return err
		}
		if scope == t.run.Scopes[0] {
			t.count(int64(w.To-t.read.ReadFrom())-t.seconds, 0)
		}
		// Found while reading, since the API does not say how many events there are.
		if d, dense := t.read.TooDense(t.flight.Planned); dense {
			if err := t.leave(ctx, page, d); err != nil || t.flight.Left() {
				return err
			}
		}
	}
	return nil
}

// leave leaves what the window has too much of to other flights. The walk goes on in the list of
// what stays. Where it cannot, since the page ends with an event that has no place there, it
// waits for another page, and a window that is full leaves all that it has.
//
// A failure after it reads what stays again from its start. Nothing of it is lost with that: the
// others have what was left, and nobody has given anything away yet.
func (t *windowTry) leave(ctx context.Context, page openai.Page, d window.Dense) error {
	if d.Before < t.flight.Window.To && !page.Shorten(d.Before) {
		if !d.Must {
			return nil
		}
		d.Before, d.Events = t.flight.Window.To, d.Whole
	}
	if err := t.flight.Leave(ctx, d.Before, sweep.Size{Events: d.Events, Page: t.page()}); err != nil || t.flight.Left() {
		return err
	}
	if kept := t.read.Leave(d.Before); kept != nil {
		t.drop(kept)
	}
	t.count(min(0, t.flight.Window.Seconds()-t.seconds), 0) // the others count what was left
	return t.giveFull(ctx)
}

// drop drops all of what was encoded but for the places that are kept, as the batch did.
func (t *windowTry) drop(kept []int) {
	had, bytes := len(t.encoded), bytesOf(t.encoded)
	for to, at := range kept {
		t.encoded[to] = t.encoded[at]
	}
	clear(t.encoded[len(kept):])
	t.encoded = t.encoded[:len(kept)]
	bytes -= bytesOf(t.encoded)
	t.bytes -= bytes
	t.read.Encoded(-bytes)
	t.count(0, len(kept)-had)
}

func bytesOf(events []target.Encoded) (sum int) {
	for i := range events {
		sum += events[i].Bytes
	}
	return sum
}

// take encodes what is new in a page, and gives a part away when it is full.
func (t *windowTry) take(ctx context.Context, page openai.Page) error {
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
	return t.giveFull(ctx)
}

// giveFull gives a part away when it is full, which that of a single second can be.
func (t *windowTry) giveFull(ctx context.Context) error {
	if b, full := t.read.Part(); full {
		return t.giveAway(ctx, b)
	}
	return nil
}

// giveAway gives a batch away, with what its events become. The batch owns them from here
// on, so a try that fails later must not free their memory.
func (t *windowTry) giveAway(ctx context.Context, b window.Batch) error {
	p, bytes := t.batch(b), t.bytes-t.given
	t.encoded, t.memory, t.given = nil, nil, t.bytes
	return t.flight.Give(ctx, p, bytes)
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
