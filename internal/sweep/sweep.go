// Package sweep reads a long time in windows: in parallel, and with the results in the
// order of time. It knows neither the API nor Kafka. A Source reads a window, a Sink
// takes what was read; a window.Plan cuts the time, so that each window holds about as
// many events as it should.
package sweep

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Source reads windows.
type Source[P any] interface {
	// ReadWindow reads the window of a flight to its end and gives the flight its parts, in
	// order, and one at least unless all of the window is left. It is called from several
	// goroutines at once. What fails may be read again from its start, so that a part
	// may come twice.
	ReadWindow(ctx context.Context, f *Flight[P]) (Size, error)
}

// Sink takes what was read.
type Sink[P any] interface {
	// Take takes the next part of the oldest window that is not done, together with those
	// that wait behind it in order, up to some Config.Together bytes. One call follows the other,
	// and windows are read meanwhile. It ends soon after ctx does.
	Take(ctx context.Context, parts []Part[P]) error
}

// Part is a part of a window.
type Part[P any] struct {
	Window window.Window
	Of     P
	bytes  int
}

// Size is what a window held, or what is left of it holds.
type Size struct {
	Events int           // as they count in the plan
	Bytes  int           // of memory until it is taken
	Page   time.Duration // that one of its pages took, about
}

// Config says how a sweep is read.
type Config struct {
	From, To auditlog.Second // [From, To)
	Events   int             // how many a window should hold
	Slow     int             // likewise, where the Source takes long; 0: as many
	Rate     float64         // events a second, about; 0: nothing is known of that
	Parallel int             // how many windows are read at once, but for two more
	// Waiting is how many windows that are read may wait for their turn before no other
	// is begun. More gain nothing where it is the Sink that takes long: what waits is
	// what the garbage collector has to look through, again and again. Where the Source
	// takes long, as many more wait as are read at once: the oldest may have had one page
	// more than they, and none of its requests must go unasked for that.
	Waiting int
	// Bytes says what bounds the memory of all windows together; nil: they take none. Where
	// the Source takes long, it is two and a half times that, and three times with those that
	// were cut and wait for what they left: then there is time to look through what waits.
	Bytes func() int
	// Together is from how many bytes on no further part is taken with others. Where the Source
	// takes long it is half of that: what the Sink holds comes on top of what waits, of which
	// there is more then, and there is time for more calls.
	Together int
	// Enough says that no more is to be begun now; nil: all is. Then Run returns without an
	// error when what it began is taken, and what is read behind a gap counts for nothing.
	Enough func() bool
	// Retry is asked after a window failed for the given time: nil, after a pause, to
	// read it again, or the error with which the sweep ends.
	Retry func(ctx context.Context, w window.Window, try int, err error) error
}

// usual is how many bytes an event has, as long as none was read.
const usual = 1 << 10

// slowPage is how long a page takes at least where the Source counts as slow.
const slowPage = 75 * time.Millisecond

// Run reads all of the time, and returns when the last part of it was taken, or with the
// first error. Then nothing of it goes on.
//
// What the Sink takes when a read fails is taken to its end, and an error of the Sink comes
// before that of a read: to break a transaction off would leave its outcome unknown.
func Run[P any](ctx context.Context, cfg Config, source Source[P], sink Sink[P]) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()

	s := &state[P]{
		Config: cfg, plan: window.NewPlan(cfg.From, cfg.To, cfg.Events, cfg.Rate), next: cfg.From,
		bytes: cfg.Events * usual, largest: cfg.Events * usual,
		left: make(chan leaving[P]), ended: make(chan result[P]), taken: make(chan error, 1),
	}
	err := s.run(ctx, &reading, source, sink)
	if s.taking {
		if failed := <-s.taken; failed != nil {
			return failed
		}
	}
	return err
}

// run is Run, but that the last parts may still be taken when it returns.
func (s *state[P]) run(ctx context.Context, reading *sync.WaitGroup, source Source[P], sink Sink[P]) error {
	cfg := s.Config
	for s.next < cfg.To {
		enough := cfg.Enough != nil && cfg.Enough()
		if enough && !s.begun() {
			return nil
		}
		for left, idle := s.plan.Left(), len(s.turns) == s.waiting; !enough && s.room(); {
			next, ok := s.plan.Next(left, idle)
			if !ok {
				break
			}
			f := &Flight[P]{Planned: next, turn: s.add(next.Window), left: s.left}
			// Ends with its window, or with ctx; waited for above.
			reading.Go(func() {
				res := f.read(ctx, cfg, source)
				select {
				case s.ended <- res:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case l := <-s.left:
			s.leave(l)
		case res := <-s.ended:
			if err := s.end(res); err != nil {
				return err
			}
		case err := <-s.taken:
			if s.taking = false; err != nil {
				return err
			}
		case part, ok := <-s.oldest():
			if parts := s.gather(part, ok); len(parts) > 0 {
				s.taking = true
				go func() { s.taken <- sink.Take(ctx, parts) }() // waited for by Run
			}
		}
	}
	return nil
}

// Flight is a window while it is read. The goroutine that reads it owns it.
type Flight[P any] struct {
	window.Planned // Leave moves the beginning of its Window

	turn *turn[P]
	left chan<- leaving[P]
}

// Give gives the flight the next part of its window, which has so many bytes.
func (f *Flight[P]) Give(ctx context.Context, part P, bytes int) error {
	select {
	case f.turn.parts <- Part[P]{f.Window, part, bytes}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave leaves what of the window is before a second to other flights, and says about how much that
// is. It comes before the first part. After it the window is the rest, also when that is
// read again, and is nothing if all of it was left.
func (f *Flight[P]) Leave(ctx context.Context, before auditlog.Second, rest Size) error {
	// Received before any part of this flight is. So none is taken in the turn of what it left.
	select {
	case f.left <- leaving[P]{f.turn, window.Window{From: f.Window.From, To: before}, rest}:
		f.Window.From = before
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Left reports whether all of the window was left.
func (f *Flight[P]) Left() bool { return f.Window.Seconds() == 0 }

// leaving is what a flight leaves to others.
type leaving[P any] struct {
	turn   *turn[P]
	window window.Window
	rest   Size
}

// result is how the read of a window ended.
type result[P any] struct {
	flight *Flight[P]
	size   Size
	err    error
}

// read reads the window, again from its start where that may help.
func (f *Flight[P]) read(ctx context.Context, cfg Config, source Source[P]) result[P] {
	for try := 1; ; try++ {
		size, err := source.ReadWindow(ctx, f)
		res := result[P]{flight: f, size: size}
		if err == nil {
			close(f.turn.parts)
			return res
		}
		if res.err = cfg.Retry(ctx, f.Window, try, err); res.err != nil {
			return res
		}
	}
}

// turn is the place of a window in the order in which all are taken.
type turn[P any] struct {
	window window.Window // less what was left to others
	parts  chan Part[P]  // in order; closed after the last one
	read   bool          // all of it
	bytes  int           // if so
}

// state is how far a sweep is. The goroutine of Run owns it.
type state[P any] struct {
	Config
	plan    *window.Plan
	turns   []*turn[P] // by time: begun, and not wholly taken
	next    auditlog.Second
	left    chan leaving[P]
	ended   chan result[P]
	bytes   int  // of an average window, from those read so far
	largest int  // of a large one
	sized   bool // these are known, and no guess
	waiting int  // windows that are read and not wholly taken
	slow    bool // the Source is what takes long
	taking  bool // parts are taken now
	taken   chan error
}

// room reports whether one more window may be begun. The one whose turn is next always
// may. Those that come after the one that is begun now, since they were a part of it, do not count for
// what may wait: they wait for it. But they take memory too, so all together have a bound of their own.
func (s *state[P]) room() bool {
	if !s.begun() {
		return true
	}
	most := s.Parallel + 2
	if len(s.turns)-s.waiting >= most {
		return false
	}
	before, waiting, bytes := s.before()
	if s.slow {
		most += s.Parallel
	} else if waiting >= s.Waiting {
		return false
	}
	if s.Bytes == nil || before < 2 {
		return before < most
	}
	room := s.Bytes()
	switch {
	// Where the Source is fast nothing is gained by more, and all that waits takes room from
	// the garbage collector.
	case !s.slow && len(s.turns) >= room/s.largest:
		return false
	case s.slow && (bytes+s.bytes > room*5/2 || s.size(s.turns)+s.bytes > 3*room):
		return false
	}
	return before < most
}

// before returns how many windows come before the one that is begun next, how many of them
// wait, and how many bytes they take.
func (s *state[P]) before() (all, waiting, bytes int) {
	turns := s.turns
	if at, ok := s.plan.Place(); ok {
		if i := slices.IndexFunc(turns, func(t *turn[P]) bool { return t.window.From >= at }); i >= 0 {
			turns = turns[:i]
		}
	}
	for _, t := range turns {
		if t.read {
			waiting++
		}
	}
	return len(turns), waiting, s.size(turns)
}

// size returns how many bytes windows take when they are read, about.
func (s *state[P]) size(turns []*turn[P]) (bytes int) {
	for _, t := range turns {
		if t.read {
			bytes += t.bytes
		} else {
			bytes += s.bytes
		}
	}
	return bytes
}

// begun reports whether the window whose turn is next is begun.
func (s *state[P]) begun() bool {
	return len(s.turns) > 0 && s.turns[0].window.From == s.next
}

func (s *state[P]) add(w window.Window) *turn[P] {
	added := &turn[P]{window: w, parts: make(chan Part[P], 1)}
	at, _ := slices.BinarySearchFunc(s.turns, added, func(a, b *turn[P]) int { return cmp.Compare(a.window.From, b.window.From) })
	s.turns = slices.Insert(s.turns, at, added)
	return added
}

// oldest returns the parts of the window whose turn is next; nil, which blocks, while
// it is not begun, or others are taken.
func (s *state[P]) oldest() <-chan Part[P] {
	if s.begun() && !s.taking {
		return s.turns[0].parts
	}
	return nil
}

// leave gives back to the plan what a flight leaves.
func (s *state[P]) leave(l leaving[P]) {
	l.turn.window.From = l.window.To
	if l.turn.window.Seconds() == 0 {
		s.turns = slices.DeleteFunc(s.turns, func(t *turn[P]) bool { return t == l.turn })
	}
	s.pace(l.rest.Page)
	s.plan.GiveBack(l.window, l.rest.Events)
}

// end notes that the read of a window ended.
func (s *state[P]) end(res result[P]) error {
	if res.err != nil {
		return res.err
	}
	s.pace(res.size.Page)
	if res.flight.Left() {
		return nil
	}
	t := res.flight.turn
	t.read, t.bytes = true, res.size.Bytes
	s.waiting++
	s.plan.Read(t.window, res.size.Events)
	s.passTaken()
	if bytes := res.size.Bytes; !s.sized {
		s.bytes, s.largest, s.sized = bytes, max(1, bytes), bytes > 0
	} else {
		s.bytes, s.largest = (3*s.bytes+bytes)/4, max(1, bytes, (7*s.largest+bytes)/8)
	}
	return nil
}

// pace notes how long a page took.
func (s *state[P]) pace(page time.Duration) {
	events := s.Events
	if s.slow = page >= slowPage; s.slow {
		events = cmp.Or(s.Slow, events)
	}
	s.plan.Target(events)
}

// pass goes on to the turn after the one whose last part was taken.
func (s *state[P]) pass() {
	s.next = s.turns[0].window.To
	s.turns = s.turns[1:]
	s.waiting-- // below zero for a moment if its end is told after its last part
}

// passTaken goes on if the window whose turn it is had its last part taken, or if that is about
// to be. It does not wait any more, and another one may be begun while Take goes on. Where the
// Source is slow only bytes bound what waits, and those of what is taken count until Take returns.
func (s *state[P]) passTaken() {
	if !s.slow && s.begun() && s.turns[0].read && len(s.turns[0].parts) == 0 {
		s.pass()
	}
}

// gather returns a part of the window whose turn it is, together with those that wait
// behind it in order. ok is false when the window had its last part.
func (s *state[P]) gather(part Part[P], ok bool) (parts []Part[P]) {
	bytes, together := 0, s.Together
	if s.slow {
		together /= 2
	}
	for there := true; there; {
		if ok {
			parts, bytes = append(parts, part), bytes+part.bytes
		} else {
			s.pass()
		}
		if bytes >= together {
			break // before another part is received, which would be lost
		}
		select {
		case part, ok = <-s.oldest():
		default:
			there = false
		}
	}
	s.passTaken()
	return parts
}
