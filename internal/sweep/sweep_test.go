package sweep_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/sweep"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errOut = errors.New("out of order")

// list is a source with so many events in each second from 0, and a sink that notes
// what it got.
type list struct {
	events   []int
	most     int           // a window with more is dense
	keeps    bool          // what is not too much of it
	believes int           // at most so many events in what it leaves; 0: it knows
	kept     atomic.Int64  // events that are read and not taken
	mostKept atomic.Int64  // and the most of them
	page     time.Duration // that a window takes
	slow     time.Duration // that a commit takes
	fails    atomic.Int64  // how many tries fail from now on
	next     auditlog.Second
	seen     int // events taken of the window at next
	taken    int // events
	commits  int
	largest  int // bytes of a commit without its last part
	parts    int // the most of one commit
}

func (l *list) ReadWindow(ctx context.Context, f *sweep.Flight[int]) (sweep.Size, error) {
	time.Sleep(l.page)
	if ctx.Err() != nil {
		return sweep.Size{}, ctx.Err()
	}
	for sum := l.count(f.Window); sum > l.most && f.Window.Seconds() > 1; sum = l.count(f.Window) {
		before := f.Window.To // all of it, or as much as is too much
		if l.keeps {
			for before--; l.count(window.Window{From: before - 1, To: f.Window.To}) <= l.most && before-1 > f.Window.From; {
				before--
			}
		}
		rest := l.count(window.Window{From: f.Window.From, To: before})
		if l.believes > 0 {
			rest = min(rest, l.believes)
		}
		if err := f.Leave(ctx, before, sweep.Size{Events: rest, Page: l.page}); err != nil || f.Left() {
			return sweep.Size{}, err
		}
		time.Sleep(l.page)
	}
	if l.fails.Add(-1) >= 0 {
		return sweep.Size{}, errors.New("this try")
	}
	sum := l.count(f.Window)
	for left := sum; left > l.most; left -= l.most {
		if err := f.Give(ctx, l.most, l.most); err != nil {
			return sweep.Size{}, err
		}
		sum -= l.most
	}
	l.mostKept.Store(max(l.mostKept.Load(), l.kept.Add(int64(sum))))
	return sweep.Size{Events: sum, Bytes: sum, Page: l.page}, f.Give(ctx, sum, sum)
}

func (l *list) count(w window.Window) (sum int) {
	for at := w.From; at < w.To; at++ {
		sum += l.events[at]
	}
	return sum
}

func (l *list) Take(_ context.Context, parts []sweep.Part[int]) error {
	time.Sleep(l.slow)
	l.commits++
	l.parts = max(l.parts, len(parts))
	bytes := 0
	for i, p := range parts {
		if i == len(parts)-1 {
			l.largest = max(l.largest, bytes)
		}
		bytes += p.Of
		if p.Window.From != l.next {
			return errOut
		}
		l.kept.Add(-int64(p.Of))
		l.seen += p.Of
		l.taken += p.Of
		if l.seen == l.count(p.Window) {
			l.next, l.seen = p.Window.To, 0
		}
	}
	return nil
}

func (l *list) config(parallel, together int) sweep.Config {
	return sweep.Config{
		To: auditlog.Second(len(l.events)), Events: 20, Slow: 30, Parallel: parallel, Waiting: 3, Together: together,
		Bytes: func() int { return 1000 },
		Retry: func(ctx context.Context, _ window.Window, _ int, err error) error {
			time.Sleep(time.Second)
			return ctx.Err()
		},
	}
}

// All of the time is taken, once and in order, whatever is dense, fails or takes long,
// and no commit goes on taking parts once it holds what one should.
func TestRun(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &list{
			events: rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 120)), 1, 200).Draw(rt, "events"),
			most:   40,
			keeps:  rapid.Bool().Draw(rt, "keeps"),
			page:   time.Duration(rapid.IntRange(0, 300).Draw(rt, "page")) * time.Millisecond,
			slow:   time.Duration(rapid.IntRange(0, 300).Draw(rt, "commit")) * time.Millisecond,
		}
		l.fails.Store(int64(rapid.IntRange(0, 5).Draw(rt, "fails")))
		together, parallel := rapid.IntRange(0, 200).Draw(rt, "together"), rapid.IntRange(1, 8).Draw(rt, "parallel")
		var err error
		synctest.Test(t, func(t *testing.T) { err = sweep.Run(t.Context(), l.config(parallel, together), l, l) })
		sum := 0
		for _, n := range l.events {
			sum += n
		}
		if err != nil || l.taken != sum || int(l.next) != len(l.events) {
			rt.Errorf("%d of %d events, up to %d of %d: %v", l.taken, sum, l.next, len(l.events), err)
		}
		if l.largest > 0 && l.largest >= together {
			rt.Errorf("a part was added to %d bytes, though %d are enough", l.largest, together)
		}
	})
}

// What waits in order is taken together: where commits take long, there are few.
func TestPartsAreTakenTogether(t *testing.T) {
	for together, want := range map[int][2]int{0: {70, 200}, 80: {20, 60}} {
		l := &list{events: make([]int, 2000), most: 40, page: time.Millisecond, slow: time.Second}
		for i := range l.events {
			l.events[i] = 1
		}
		synctest.Test(t, func(t *testing.T) {
			if err := sweep.Run(t.Context(), l.config(8, together), l, l); err != nil {
				t.Error(err)
			}
		})
		if l.taken != 2000 || l.commits < want[0] || l.commits > want[1] {
			t.Errorf("together %d: %d events in %d commits", together, l.taken, l.commits)
		}
		if alone := l.parts == 1; alone != (together == 0) {
			t.Errorf("together %d: up to %d parts in a commit", together, l.parts)
		}
	}
}

// Where it is the source that takes long, half as much is taken together.
func TestSlowIsTakenInSmallerGroups(t *testing.T) {
	for page, want := range map[time.Duration][2]int{10 * time.Millisecond: {40, 79}, 100 * time.Millisecond: {20, 39}} {
		l := &list{events: make([]int, 2000), most: 40, page: page, slow: time.Second}
		for i := range l.events {
			l.events[i] = 1
		}
		synctest.Test(t, func(t *testing.T) {
			if err := sweep.Run(t.Context(), l.config(8, 80), l, l); err != nil {
				t.Error(err)
			}
		})
		if l.taken != 2000 || l.largest < want[0] || l.largest > want[1] {
			t.Errorf("pages of %v: %d events, and a part was added to %d bytes, want %d to %d", page, l.taken, l.largest, want[0], want[1])
		}
	}
}

// Where the past is far denser than it is said to be, what is kept of windows that are cut stays within
// bounds, though it waits for all that comes before.
func TestWhatIsKeptIsBounded(t *testing.T) {
	const parallel, most = 8, 40
	l := &list{events: make([]int, 20_000), most: most, keeps: true, believes: 3 * 20, page: 100 * time.Millisecond}
	for i := range l.events {
		l.events[i] = 1 + 19*(len(l.events)-i)/len(l.events)
	}
	room := 5 * most
	synctest.Test(t, func(t *testing.T) {
		cfg := l.config(parallel, 80)
		cfg.Rate = 0.01
		cfg.Bytes = func() int { return room }
		if err := sweep.Run(t.Context(), cfg, l, l); err != nil {
			t.Error(err)
		}
	})
	if int(l.next) != len(l.events) {
		t.Errorf("up to %d of %d", l.next, len(l.events))
	}
	// What is read when the bound is met comes on top, with those that are begun since it is their
	// turn, and what is taken.
	if bound := 3*room + 2*(parallel+2)*most + 80 + most; int(l.mostKept.Load()) > bound {
		t.Errorf("%d were kept, want at most %d", l.mostKept.Load(), bound)
	}
}

// A sweep that is told that it is enough takes what it began, and ends without a gap.
func TestEnough(t *testing.T) {
	l := &list{events: make([]int, 2000), most: 40, page: 100 * time.Millisecond}
	for i := range l.events {
		l.events[i] = 1
	}
	synctest.Test(t, func(t *testing.T) {
		cfg, began := l.config(4, 80), time.Now()
		cfg.Enough = func() bool { return time.Since(began) > time.Second }
		if err := sweep.Run(t.Context(), cfg, l, l); err != nil {
			t.Error(err)
		}
		if l.next == 0 || l.next == 2000 || l.taken != int(l.next) || l.seen != 0 {
			t.Errorf("%d events up to %d", l.taken, l.next)
		}
	})
}

// A sink that fails ends the sweep, and nothing of it goes on.
func TestSinkFails(t *testing.T) {
	l := &list{events: make([]int, 2000), most: 40, page: 100 * time.Millisecond, next: 1} // it expects another one
	synctest.Test(t, func(t *testing.T) {
		if err := sweep.Run(t.Context(), l.config(4, 80), l, l); !errors.Is(err, errOut) {
			t.Errorf("got %v", err)
		}
	})
}

// Windows are begun while others are taken, as many as may be, and one call of Take follows
// the other.
func TestReadsWhileOthersAreTaken(t *testing.T) {
	l := &list{events: make([]int, 2000), most: 40, page: time.Millisecond}
	for i := range l.events {
		l.events[i] = 1
	}
	const atOnce = 1 + 2 // as Config.Parallel says
	s := &watched{list: l}
	taken, idle := int64(0), 0
	s.take = func(parts int) {
		taken += int64(parts)
		for began := time.Now(); s.reads.Load()-taken < atOnce; time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				idle++
				break
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if err := sweep.Run(t.Context(), l.config(atOnce-2, 80), s, s); err != nil {
			t.Error(err)
		}
	})
	// At the end nothing is left to be begun.
	if idle > atOnce || s.atOnce.Load() != 1 {
		t.Errorf("in %d of %d calls of Take no window was begun; %d calls at once", idle, l.commits, s.atOnce.Load())
	}
}

// A read that fails breaks nothing off that is taken meanwhile, and an error of that comes
// first: it may leave more behind.
func TestReadFailsWhileOthersAreTaken(t *testing.T) {
	errRead, errTaken := errors.New("read"), errors.New("taken")
	for name, fails := range map[string]error{"it is taken": nil, "it is not": errTaken} {
		l := &list{events: make([]int, 2000), most: 40, page: time.Millisecond, slow: time.Second}
		for i := range l.events {
			l.events[i] = 1
		}
		s := &watched{list: l, fails: fails}
		synctest.Test(t, func(t *testing.T) {
			cfg := l.config(8, 80)
			cfg.Retry = func(context.Context, window.Window, int, error) error { return errRead }
			s.read = func() {
				if s.taking.Load() > 0 {
					l.fails.Store(1) // while a commit is under way that began before the read did
				}
			}
			want := errRead
			if fails != nil {
				want = fails
			}
			if err := sweep.Run(t.Context(), cfg, s, s); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		})
		if s.brokenOff.Load() || s.taking.Load() != 0 || l.commits == 0 {
			t.Errorf("%s: broken off %v, %d are still taken, %d commits", name, s.brokenOff.Load(), s.taking.Load(), l.commits)
		}
	}
}

// watched is a list that notes what happens beside what.
type watched struct {
	*list
	fails error           // of Take
	read  func()          // called when a window is begun; nil: nothing is
	take  func(parts int) // likewise, when parts are taken

	reads, taking, atOnce atomic.Int64
	brokenOff             atomic.Bool // ctx ended while something was taken
}

func (s *watched) ReadWindow(ctx context.Context, f *sweep.Flight[int]) (sweep.Size, error) {
	s.reads.Add(1)
	if s.read != nil {
		s.read()
	}
	size, err := s.list.ReadWindow(ctx, f)
	if f.Left() {
		s.reads.Add(-1) // it comes again in pieces
	}
	return size, err
}

func (s *watched) Take(ctx context.Context, parts []sweep.Part[int]) error {
	n := s.taking.Add(1)
	defer s.taking.Add(-1)
	s.atOnce.Store(max(s.atOnce.Load(), n))
	if s.take != nil {
		s.take(len(parts))
	}
	err := s.list.Take(ctx, parts)
	if ctx.Err() != nil {
		s.brokenOff.Store(true)
	}
	return errors.Join(err, s.fails)
}
