package openai_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// limited is a server that knows one empty page, and how many requests it wants.
type limited struct {
	latency time.Duration
	mu      sync.Mutex // guards what follows
	rng     *rand.Rand

	perMinute int           // 0: no limit
	fixed     bool          // it counts in minutes of the clock; else in a bucket of a tenth
	stray     float64       // the share of 429s for no reason
	down      bool          // every answer is 429
	says      time.Duration // how long a 429 says to wait then; 0: a second

	tokens          float64
	filled          time.Time
	pages, refusals int
}

func (s *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	wait := s.take(time.Now())
	timer := time.NewTimer(s.latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(emptyPage)), Request: r}
	if wait > 0 {
		res.StatusCode = http.StatusTooManyRequests
		res.Header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	return res, nil
}

const emptyPage = `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`

func (s *limited) take(now time.Time) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if wait > 0 {
			s.refusals++
		} else {
			s.pages++
		}
	}()
	if s.down {
		return max(s.says, time.Second)
	}
	if s.rng.Float64() < s.stray {
		return time.Second
	}
	if s.perMinute == 0 {
		return 0
	}
	most := max(float64(s.perMinute)/10, 1)
	perSecond := float64(s.perMinute) / 60
	if s.fixed {
		most = float64(s.perMinute)
		if minute := now.Truncate(time.Minute); minute.After(s.filled) {
			s.filled, s.tokens = minute, most
		}
	} else {
		s.tokens = min(s.tokens+now.Sub(s.filled).Seconds()*perSecond, most)
		s.filled = now
	}
	if s.tokens > 1-1e-9 {
		s.tokens--
		return 0
	}
	if s.fixed {
		return s.filled.Add(time.Minute).Sub(now)
	}
	return time.Duration((1 - s.tokens) / perSecond * float64(time.Second))
}

func (s *limited) count() (pages, refusals int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages, s.refusals
}

// change changes what the server does, between two requests.
func (s *limited) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// paced lets ten walkers of history ask the server, eight at once, while f runs. run
// waits, and returns how many pages and 429s came meanwhile.
func paced(t *testing.T, s *limited, seed uint64, f func(run func(time.Duration) (pages, refusals int))) {
	synctest.Test(t, func(t *testing.T) {
		s.rng = rand.New(rand.NewPCG(seed, 1))
		c, err := openai.New(openai.Config{
			BaseURL: "https://api.example.com/v1", Key: func() (string, error) { return simulator.Key, nil },
			Transport: s, Limiter: openai.NewLimiter(openai.LimiterConfig{Concurrency: 8}),
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(seed) * 7919 * time.Millisecond) // another part of the minute
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { askAgain(ctx, c) })
		}
		f(func(d time.Duration) (int, int) {
			pages, refusals := s.count()
			time.Sleep(d)
			morePages, moreRefusals := s.count()
			return morePages - pages, moreRefusals - refusals
		})
		cancel()
		group.Wait()
	})
}

// seeds returns how many seeds are tried: all of them without -short.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return 1
	}
	return n
}

// askAgain walks one second of history until ctx ends. A walk may fail: the next one
// begins.
func askAgain(ctx context.Context, c *openai.Client) {
	for ctx.Err() == nil {
		for _, err := range c.Pages(ctx, openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 1, Bounded: true, Class: openai.History}) {
			_ = err
		}
	}
}

// TestSteadyLimit holds that fewer than one in twenty answers is 429 where the limit
// stays as it is, and that most of what the server gives is taken.
func TestSteadyLimit(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		for _, perMinute := range []int{60, 300, 1000, 3000} {
			if testing.Short() && perMinute > 300 {
				continue // many requests, which the race detector makes slow
			}
			for _, latency := range []time.Duration{time.Millisecond, 150 * time.Millisecond} {
				s := &limited{latency: latency, perMinute: perMinute, fixed: fixed}
				paced(t, s, 1, func(run func(time.Duration) (int, int)) {
					run(3 * time.Minute)
					pages, refusals := run(6 * time.Minute)
					if refusals*20 > pages+refusals || pages < 6*perMinute*3/4 {
						t.Errorf("%d a minute (fixed windows: %v), %v: %d pages and %d answers 429 in six minutes", perMinute, fixed, latency, pages, refusals)
					}
				})
			}
		}
	}
}

// TestStray429s holds that a server which says 429 for no reason takes no more than
// half of our speed, and that a refused request waits as it was told all the same.
func TestStray429s(t *testing.T) {
	for _, latency := range []time.Duration{100 * time.Millisecond, 150 * time.Millisecond} {
		for seed := range seeds(4) {
			paced(t, &limited{latency: latency, stray: 0.08}, seed, func(run func(time.Duration) (int, int)) {
				pages, refusals := run(2 * time.Minute)
				without := 8 * int(2*time.Minute/latency) // eight at once
				if pages < without/2 {
					t.Errorf("%v, seed %d: %d pages in two minutes with %d answers 429, want half of %d", latency, seed, pages, refusals, without)
				}
			})
		}
	}
}

// TestStray429sBesideOtherFaults holds the same where everything else goes wrong
// now and then too.
func TestStray429sBesideOtherFaults(t *testing.T) {
	pages := func(t *testing.T, stray float64, seed uint64) int {
		faults := map[simulator.Fault]float64{}
		for _, fault := range simulator.Faults() {
			faults[fault] = 0.001
		}
		if faults[simulator.RateLimitSeconds] = stray; stray == 0 {
			for _, fault := range simulator.Faults() {
				if strings.HasPrefix(string(fault), "429") {
					delete(faults, fault)
				}
			}
		}
		api := simulator.New(simulator.Config{Seed: seed, Latency: 150 * time.Millisecond, Faults: faults, EndlessBytes: 128 << 10})
		fill(api, 1)
		c := newClient(t, api, func(cfg *openai.Config) {
			cfg.Limiter, cfg.MaxBodyBytes = openai.NewLimiter(openai.LimiterConfig{Concurrency: 8}), 64<<10
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { askAgain(ctx, c) })
		}
		group.Wait()
		return api.Requests().Pages
	}
	for seed := range seeds(2) {
		synctest.Test(t, func(t *testing.T) {
			if with, without := pages(t, 0.08, seed), pages(t, 0, seed); with < without/2 {
				t.Errorf("seed %d: %d pages in two minutes, want half of %d", seed, with, without)
			}
		})
	}
}

// TestPaceComesBack holds that history is as fast as before within a minute of the
// server's giving it again, and of the end of the last wait that it named.
func TestPaceComesBack(t *testing.T) {
	down := func(says time.Duration) func(*limited) {
		return func(s *limited) { s.down, s.says = true, says }
	}
	up := func(s *limited) { s.down = false }
	for name, test := range map[string]struct {
		before, after func(*limited)
		lasts, wait   time.Duration
	}{
		"two minutes of 429":             {down(0), up, 2 * time.Minute, 0},
		"a quarter of an hour of 429":    {down(0), up, 15 * time.Minute, 0},
		"429s that say to wait 30 s":     {down(30 * time.Second), up, 2 * time.Minute, 30 * time.Second},
		"429s that say to wait a minute": {down(time.Minute), up, 15 * time.Minute, time.Minute},
		"8 % at random":                  {func(s *limited) { s.stray = 0.08 }, func(s *limited) { s.stray = 0 }, 2 * time.Minute, 0},
		"60 a minute":                    {func(s *limited) { s.perMinute = 60 }, func(s *limited) { s.perMinute = 0 }, 2 * time.Minute, 0},
	} {
		for seed := range seeds(2) {
			s := &limited{latency: 100 * time.Millisecond}
			paced(t, s, seed, func(run func(time.Duration) (int, int)) {
				run(time.Minute)
				s.change(func() { test.before(s) })
				run(test.lasts)
				s.change(func() { test.after(s) })
				run(test.wait + time.Minute)
				if pages, _ := run(10 * time.Second); pages < 760 {
					t.Errorf("%s, seed %d: %d pages in ten seconds, a minute after its end, want 760 of 800", name, seed, pages)
				}
			})
		}
	}
}
