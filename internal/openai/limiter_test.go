package openai_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// flood reads first pages with n walkers until ctx ends.
func flood(ctx context.Context, t *testing.T, c *openai.Client, n int, class openai.Class) {
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				for _, err := range c.Pages(ctx, openai.Query{Scope: auditlog.ScopeOrganization, From: start, Class: class}) {
					if err != nil && ctx.Err() == nil {
						t.Errorf("a walk failed: %v", err)
					}
				}
			}
		})
	}
	group.Wait()
}

// TestPaceSettles holds the pace of history against servers whose limit it does
// not know: few 429s, and most of what the server gives.
func TestPaceSettles(t *testing.T) {
	for _, perMinute := range []int{20, 60, 600} {
		for _, latency := range []time.Duration{time.Millisecond, 150 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d a minute, %v", perMinute, latency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := simulator.New(simulator.Config{RequestsPerMinute: perMinute, Latency: latency})
					fill(api, 1)
					limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: 8})
					c := newClient(t, api, func(cfg *openai.Config) { cfg.Limiter = limiter })
					run := func(d time.Duration) (pages, limited int) {
						before := api.Requests()
						ctx, cancel := context.WithTimeout(t.Context(), d)
						defer cancel()
						flood(ctx, t, c, 8, openai.History)
						after := api.Requests()
						return after.Pages - before.Pages, after.RateLimited - before.RateLimited
					}
					// Through 300 pages of the limit it finds its pace.
					minutes := time.Duration(300/perMinute+1) * time.Minute
					pages, limited := run(minutes)
					t.Logf("at first: %d pages in %v, %d answers 429", pages, minutes, limited)
					pages, limited = run(2 * minutes)
					t.Logf("settled: %d pages in %v (of %d), %d answers 429", pages, 2*minutes, perMinute*int(2*minutes/time.Minute), limited)
					if limited*20 > pages {
						t.Errorf("%d of %d answers are 429, want less than one in twenty", limited, pages+limited)
					}
					possible := perMinute * int(2*minutes/time.Minute)
					if atOnce := int(8 * 2 * minutes / latency); atOnce < possible {
						possible = atOnce
					}
					if pages < possible*3/4 {
						t.Errorf("%d pages of a possible %d", pages, possible)
					}
				})
			})
		}
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Latency: 100 * time.Millisecond})
		fill(api, 1)
		limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: 4})
		c := newClient(t, api, func(cfg *openai.Config) { cfg.Limiter = limiter })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		flood(ctx, t, c, 10, openai.History)
		if s := api.Requests(); s.MaxInFlight != 4 || s.Pages < 390 || limiter.Allowed() != 4 {
			t.Errorf("%d in flight at most, %d pages, %d allowed; want 4, about 400, 4", s.MaxInFlight, s.Pages, limiter.Allowed())
		}
	})
}

func TestLiveNeverWaitsForHistory(t *testing.T) {
	for _, perMinute := range []int{0, 60} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Latency: 100 * time.Millisecond})
			fill(api, 1)
			limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: 2, RequestsPerMinute: perMinute})
			c := newClient(t, api, func(cfg *openai.Config) { cfg.Limiter = limiter })
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { flood(ctx, t, c, 8, openai.History) })
			most := 100 * time.Millisecond
			if perMinute > 0 {
				most += 2 * time.Second // its turn at the ceiling, and one before it
			}
			for range 20 {
				time.Sleep(10 * time.Second)
				begin := time.Now()
				if _, err := c.Newest(ctx, auditlog.ScopeOrganization, 1); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > most {
					t.Errorf("ceiling %d: a live request took %v behind history, want at most %v", perMinute, took, most)
				}
			}
			cancel()
			group.Wait()
			if s := api.Requests(); perMinute > 0 && s.Total > 202*perMinute/60 {
				t.Errorf("%d requests in 200 s are more than %d a minute", s.Total, perMinute)
			}
		})
	}
}

func TestOneRateLimitHalvesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Latency: 100 * time.Millisecond})
		fill(api, 1)
		limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: 8})
		c := newClient(t, api, func(cfg *openai.Config) { cfg.Limiter = limiter })
		ctx, cancel := context.WithTimeout(t.Context(), 1010*time.Millisecond)
		flood(ctx, t, c, 8, openai.History)
		cancel()
		// All eight in flight are answered 429: one burst.
		for range 8 {
			api.Script(simulator.RateLimitSeconds)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		flood(ctx, t, c, 8, openai.History)
		if n := limiter.Allowed(); n != 4 {
			t.Errorf("%d requests are allowed after a burst of 429s to eight, want 4", n)
		}
		if n := api.Requests().RateLimited; n != 8 {
			t.Errorf("%d answers 429, want 8", n)
		}
	})
}

// TestStray429s holds that a server which says 429 for no reason slows us down,
// since it cannot be told from one that means it, but not to a crawl.
func TestStray429s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Latency: 50 * time.Millisecond, Seed: 1,
			Faults: map[simulator.Fault]float64{simulator.RateLimitSeconds: 0.02}})
		fill(api, 1)
		c := newClient(t, api, func(cfg *openai.Config) {
			cfg.Limiter = openai.NewLimiter(openai.LimiterConfig{Concurrency: 8})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		flood(ctx, t, c, 8, openai.History)
		if s := api.Requests(); s.Pages < 1800 {
			t.Errorf("%d pages in ten minutes with %d stray 429s, want three a second", s.Pages, s.RateLimited)
		}
	})
}
