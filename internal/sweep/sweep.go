// Package sweep reads a long time in windows: in parallel, and with the results in the
// order of time. It knows neither the API nor Kafka. A Source reads a window, a Sink
// takes what was read; a window.Plan cuts the time, so that each window holds about as
// many events as it should.
package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Source reads windows.
type Source[P any] interface {
	// ReadWindow reads a window to its end and gives its parts, in order and one at
	// least, each with the bytes that it takes until it is written. A window that holds too
	// much is a *Dense. It is called from several
	// goroutines at once. What fails may be read again from its start, so that a part
	// may come twice.
	ReadWindow(ctx context.Context, w window.Window, give func(part P, bytes int) error) (Size, error)
}

// Sink takes what was read.
type Sink[P any] interface {
	// Take takes the next part of the oldest window that is not done, together with those
	// that wait behind it in order, up to Config.Together bytes. One call follows the other,
	// and windows are read meanwhile. It ends soon after ctx does.
	Take(ctx context.Context, parts []Part[P]) error
}

// Part is a part of a window.
type Part[P any] struct {
	Window window.Window
	Of     P
	bytes  int
}

// Size is what a window held.
type Size struct {
	Events int           // as they count in the plan
	Bytes  int           // of memory until it is taken
	Page   time.Duration // that one of its pages took, about
}

// Dense says that a window holds too much, and about how many events. It is cut, and
// comes again in smaller ones. A window of one second cannot be.
type Dense struct{ Events int }

func (d *Dense) Error() string {
	return fmt.Sprintf("about %d events, too many for one window", d.Events)
}

// Config says how a sweep is read.
type Config struct {
	From, To auditlog.Second // [From, To)
	Events   int             // how many a window should hold
	Parallel int             // how many windows are read at once, but for two more
	// Waiting is how many windows that are read may wait for their turn before no other
	// is begun. More gain nothing where it is the Sink that takes long: what waits is
	// what the garbage collector has to look through, again and again. Where the Source
	// takes long, as many more wait as are read at once: the oldest may have had one page
	// more than they, and none of its requests must go unasked for that.
	Waiting int
	// Bytes says what bounds the memory of all windows together. Where the Source takes
	// long, it is twice that: then there is time to look through what waits.
	Bytes func() int
	// Together is from how many bytes on no further part is taken with others.
	Together int
	// Enough says that no more is to be begun now; nil: all is. Then Run returns without an
	// error when what it began is taken, and what is read behind a gap counts for nothing.
	Enough func() bool
	// Retry is asked after a window failed for the given time: nil, after a pause, to
	// read it again, or the error with which the sweep ends.
	Retry func(ctx context.Context, w window.Window, try int, err error) error
}

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
		Config: cfg, plan: window.NewPlan(cfg.From, cfg.To, cfg.Events), next: cfg.From,
		ended: make(chan result[P]), taken: make(chan error, 1),
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
		for !enough && s.room() {
			w, ok := s.plan.Next()
			if !ok {
				break
			}
			f := s.add(w)
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

// flight is a window that is read, or waits for its turn.
type flight[P any] struct {
	window window.Window
	parts  chan Part[P] // in order; closed after the last one
}

// result is how the read of a window ended.
type result[P any] struct {
	flight *flight[P]
	size   Size
	dense  *Dense
	err    error
}

// read reads the window, again from its start where that may help.
func (f *flight[P]) read(ctx context.Context, cfg Config, source Source[P]) result[P] {
	give := func(part P, bytes int) error {
		select {
		case f.parts <- Part[P]{f.window, part, bytes}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for try := 1; ; try++ {
		size, err := source.ReadWindow(ctx, f.window, give)
		res := result[P]{flight: f, size: size}
		if err == nil {
			close(f.parts)
			return res
		}
		if dense, ok := errors.AsType[*Dense](err); ok {
			res.dense = dense
			return res
		}
		if res.err = cfg.Retry(ctx, f.window, try, err); res.err != nil {
			return res
		}
	}
}

// state is how far a sweep is. The goroutine of Run owns it.
type state[P any] struct {
	Config
	plan    *window.Plan
	flights []*flight[P] // by time: begun, and not wholly taken
	next    auditlog.Second
	ended   chan result[P]
	bytes   int  // of an average window, from those read so far
	waiting int  // windows that are read and not wholly taken
	slow    bool // the Source is what takes long
	taking  bool // parts are taken now
	taken   chan error
}

// room reports whether one more window may be begun. The one whose turn is next always
// may.
func (s *state[P]) room() bool {
	if !s.begun() {
		return true
	}
	most, times := s.Parallel+2, 1
	switch {
	case s.slow && len(s.flights)-s.waiting >= most:
		return false
	case s.slow:
		most, times = most+s.Parallel, 2
	case s.waiting >= s.Waiting:
		return false
	}
	if s.bytes > 0 {
		most = min(most, max(2, times*s.Bytes()/s.bytes))
	}
	return len(s.flights) < most
}

// begun reports whether the window whose turn is next is begun.
func (s *state[P]) begun() bool {
	return len(s.flights) > 0 && s.flights[0].window.From == s.next
}

func (s *state[P]) add(w window.Window) *flight[P] {
	added := &flight[P]{window: w, parts: make(chan Part[P], 1)}
	at, _ := slices.BinarySearchFunc(s.flights, added, func(a, b *flight[P]) int { return cmp.Compare(a.window.From, b.window.From) })
	s.flights = slices.Insert(s.flights, at, added)
	return added
}

// oldest returns the parts of the window whose turn is next; nil, which blocks, while
// it is not begun, or others are taken.
func (s *state[P]) oldest() <-chan Part[P] {
	if s.begun() && !s.taking {
		return s.flights[0].parts
	}
	return nil
}

// end notes that the read of a window ended.
func (s *state[P]) end(res result[P]) error {
	if res.err != nil {
		return res.err
	}
	w := res.flight.window
	s.slow = res.size.Page >= slowPage
	if res.dense != nil {
		s.flights = slices.DeleteFunc(s.flights, func(f *flight[P]) bool { return f == res.flight })
		s.plan.GiveBack(w, res.dense.Events)
		return nil
	}
	s.waiting++
	s.plan.Read(w, res.size.Events)
	s.bytes = max(res.size.Bytes, (7*s.bytes+res.size.Bytes)/8)
	return nil
}

// gather returns a part of the window whose turn it is, together with those that wait
// behind it in order. ok is false when the window had its last part.
func (s *state[P]) gather(part Part[P], ok bool) (parts []Part[P]) {
	bytes := 0
	for there := true; there; {
		if ok {
			parts, bytes = append(parts, part), bytes+part.bytes
		} else {
			s.next = s.flights[0].window.To
			s.flights = s.flights[1:]
			s.waiting-- // below zero for a moment if its end is told after its last part
		}
		if bytes >= s.Together {
			break // before another part is received, which would be lost
		}
		select {
		case part, ok = <-s.oldest():
		default:
			there = false
		}
	}
	return parts
}
