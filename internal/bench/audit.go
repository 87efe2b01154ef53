package main

import (
	"cmp"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// audit is a simulated API on loopback. Its answers are compressed where the client
// asks for that, as the real one's. Only organization events are compared, so
// where tenant events are read as well nothing is.
type audit struct {
	*simulator.API
	server *httptest.Server

	mu       sync.Mutex // guards what follows
	requests requests
	polls    []time.Time // when the list was asked for without an upper end
}

// requests are those that were asked, with the further pages of walks counted apart.
type requests struct {
	first, further int // pages of a list
}

func newAudit(cfg simulator.Config) *audit {
	a := &audit{}
	cfg.Seed, cfg.OnRequest = cmp.Or(cfg.Seed, 5), a.count
	a.API = simulator.New(cfg)
	a.server = httptest.NewServer(a.API)
	return a
}

func (a *audit) url() string { return a.server.URL + "/v1" }

func (a *audit) close() { a.server.Close() }

func (a *audit) count(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch query := r.URL.Query(); {
	case query.Has("after"):
		a.requests.further++
		return
	case !query.Has("effective_at[lt]") && !query.Has("effective_at[lte]"):
		a.polls = append(a.polls, time.Now())
	}
	a.requests.first++
}

// longestGap is the longest time between two polls until then.
func (a *audit) longestGap(until time.Time) (longest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range a.polls {
		next := until
		if i+1 < len(a.polls) {
			next = a.polls[i+1]
		}
		if next.Before(until) || i+1 == len(a.polls) {
			longest = max(longest, next.Sub(at))
		}
	}
	return longest
}

func (a *audit) asked() requests {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// fill adds about n organization events between the ages, and as many tenant
// events as real logs have, and returns how many of the organization there are.
func (a *audit) fill(n int, oldest, newest time.Duration) int {
	now := time.Now()
	a.Generate(n*10/9, auditlog.SecondOf(now.Add(-oldest)), auditlog.SecondOf(now.Add(-newest)))
	return a.size()
}

// fillBursts is fill for a log with a third of its events on 360 seconds, as scripts have it
// that run every hour or two.
func (a *audit) fillBursts(n int, oldest, newest time.Duration) int {
	now := time.Now()
	simulator.GenerateBursts(a.API, n*10/9, auditlog.SecondOf(now.Add(-oldest)), auditlog.SecondOf(now.Add(-newest)), 360, 1)
	return a.size()
}

// size returns how many organization events there are.
func (a *audit) size() (n int) {
	for range a.ids() {
		n++
	}
	return n
}

// ids are those of the organization's events.
func (a *audit) ids() iter.Seq[string] {
	return func(yield func(string) bool) {
		for event := range a.Truth() {
			if event.Scopes[0] == auditlog.ScopeOrganization && !yield(event.ID) {
				return
			}
		}
	}
}

// show adds an event that is as old as it says, and returns from when on it is shown.
func (a *audit) show(id string, age time.Duration) time.Time {
	now := time.Now()
	a.Add(simulator.Event{ID: id, EffectiveAt: auditlog.SecondOf(now.Add(-age)), VisibleAt: now})
	return now
}
