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

// TestPaceSettles tries the pace of history on servers whose limit it does not know:
// few 429s, and most of what the server gives.
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
		if s := api.Requests(); s.MaxInFlight != 4 || s.Pages < 390 {
			t.Errorf("%d in flight at most, %d pages; want 4, about 400", s.MaxInFlight, s.Pages)
		}
	})
}

// TestBusyHeadLeavesHistoryTime holds that history goes on under a ceiling that the
// head alone would use up, and that the head has most of it.
func TestBusyHeadLeavesHistoryTime(t *testing.T) {
	for _, concurrency := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: concurrency, RequestsPerMinute: 60})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			var group sync.WaitGroup
			var apis [2]*simulator.API
			for class := range apis {
				apis[class] = simulator.New(simulator.Config{Latency: 100 * time.Millisecond})
				fill(apis[class], 1)
				c := newClient(t, apis[class], func(cfg *openai.Config) { cfg.Limiter = limiter })
				group.Go(func() { flood(ctx, t, c, 2, openai.Class(class)) })
			}
			group.Wait()
			live, history := apis[openai.Live].Requests().Pages, apis[openai.History].Requests().Pages
			if all := live + history; all < 590 || history*5 < all || history*10 > all*3 {
				t.Errorf("%d at once: %d pages of the head and %d of history in ten minutes, want 450 and 150", concurrency, live, history)
			}
		})
	}
}

// TestLiveNeverWaitsForHistory holds that the one request of a poll waits for one
// interval of the ceiling at most, whatever of history wants to go, or was given up.
func TestLiveNeverWaitsForHistory(t *testing.T) {
	for _, test := range []struct{ perMinute, concurrency, plans int }{
		{0, 2, 1}, {60, 2, 1}, {60, 8, 3}, {60, 64, 10}, {600, 64, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Latency: 100 * time.Millisecond})
			fill(api, 1)
			limiter := openai.NewLimiter(openai.LimiterConfig{Concurrency: test.concurrency, RequestsPerMinute: test.perMinute})
			c := newClient(t, api, func(cfg *openai.Config) { cfg.Limiter = limiter })
			began := time.Now()
			// A plan that is given up cancels its fetches.
			for range test.plans - 1 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				flood(ctx, t, c, test.concurrency, openai.History)
				cancel()
			}
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { flood(ctx, t, c, test.concurrency, openai.History) })
			most := 100 * time.Millisecond
			if test.perMinute > 0 {
				most += time.Minute / time.Duration(test.perMinute)
			}
			for range 20 {
				time.Sleep(3300 * time.Millisecond)
				begin := time.Now()
				if _, err := c.Newest(ctx, auditlog.ScopeOrganization, 1); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > most {
					t.Errorf("%+v: a live request took %v behind history, want at most %v", test, took, most)
				}
			}
			cancel()
			group.Wait()
			if limiter.InFlight() != 0 {
				t.Errorf("%d requests in flight at the end", limiter.InFlight())
			}
			allowed := test.perMinute * int(time.Since(began)/time.Millisecond) / 60_000
			if n := api.Requests().Total; test.perMinute > 0 && (n > allowed+1 || n < allowed*9/10) {
				t.Errorf("%+v: %d requests in %v, want %d", test, n, time.Since(began), allowed)
			}
		})
	}
}
