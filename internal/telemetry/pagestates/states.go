// Package pagestates has telemetries that were told what brings the status page
// into each of its states, for the tests of the page and its screenshots.
package pagestates

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// At is the time at which the states are looked at first.
var At = time.Date(2026, 3, 12, 13, 37, 20, 0, time.UTC)

// State is one of them.
type State struct {
	Name string
	// Text is what the page says first.
	Text string
	*telemetry.Telemetry
	Clock *Clock
}

// Clock stands until it is set.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set moves the clock.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// Refused is what the connector tells when OpenAI does not take the key.
const Refused = `reading organization events: listing audit logs: HTTP 401 [invalid_api_key req_5d1c]: "Incorrect API key provided": ` +
	"the key is wrong, revoked or no admin key: put a valid one (sk-admin-…) into OPENAI_ADMIN_KEY or its file, it is read again"

// All returns every state.
func All() []State {
	return []State{
		one("starting", "Starting since 13:37 UTC: reading the state", false, func(w *world) {
			w.begin(At.Add(-3 * time.Second))
			w.Ready("acme", "starting: reading the state")
		}),
		one("history", "Reading history: 64 %, until about 13:45 UTC", false, history),
		one("catching-up", "Catching up: 2 hours behind, about 3 minutes left", false, catchingUp),
		one("live", "Whole up to 4 s ago", false, func(w *world) { w.live("acme", 26*time.Hour) }),
		one("warned", "Whole up to 4 s ago", true, warned),
		one("not-ready", "Not reading: the key is wrong, revoked or no admin key since 13:23 UTC", false, refused),
		one("standby", "Standing by for host-b, which is ready", false, func(w *world) {
			w.begin(At.Add(-50 * time.Hour))
			w.Ready("acme", "")
			w.Watched("acme", connector.Leader{Host: "host-b", Since: At.Add(-49 * time.Hour), Seen: At.Add(-8 * time.Second)})
		}),
		one("standby-not-ready", "Standing by for host-b, which is not ready: the key is wrong, revoked or no admin key since 09:12 UTC", false, func(w *world) {
			w.begin(At.Add(-50 * time.Hour))
			w.Ready("acme", "")
			w.Watched("acme", connector.Leader{
				Host: "host-b", Since: At.Add(-49 * time.Hour), Seen: At.Add(-8 * time.Second), Reason: Refused,
				UnreadySince: time.Date(2026, 3, 12, 9, 12, 0, 0, time.UTC),
			})
		}),
		several(),
	}
}

// world tells a telemetry what happens, and moves its clock.
type world struct {
	*telemetry.Telemetry
	clock  *Clock
	random *rand.Rand
	names  []string
	show   bool
}

func newWorld(show bool, names ...string) *world {
	return &world{clock: &Clock{at: At}, random: rand.New(rand.NewPCG(7, 1)), names: names, show: show}
}

// begin is the start of the process.
func (w *world) begin(at time.Time) {
	w.clock.Set(at)
	w.Telemetry = telemetry.New(telemetry.Config{
		Version: "v1.0.0", Commit: "0a1b2c3d4e5f", Organizations: w.names, DeadLetterReasons: []string{"too_large", "missing_id"},
		PollInterval: 10 * time.Second, RequestsPerMinute: 60, ShowEvents: w.show, Now: w.clock.Now,
	})
	w.clock.Set(at.Add(2 * time.Second))
}

func one(name, text string, show bool, tell func(*world)) State {
	w := newWorld(show, "acme")
	tell(w)
	w.clock.Set(At)
	return State{Name: name, Text: text, Telemetry: w.Telemetry, Clock: w.clock}
}

func (w *world) lead(name string) {
	w.Leading(name, true)
	w.Ready(name, "")
}

// live lets a working day go by up to now, with the last poll four seconds ago.
func (w *world) live(name string, since time.Duration) {
	if w.Telemetry == nil {
		w.begin(At.Add(-since))
	}
	w.lead(name)
	w.traffic(name, At.Add(-since), At.Add(-4*time.Second))
	w.verified(name, 0)
	w.done(name, At.Add(-4*time.Second))
}

// verified is a recorded result of the night before.
func (w *world) verified(name string, missing int) {
	at := At.Add(-9 * time.Hour)
	w.Verified(name, connector.Verification{
		From: at.AddDate(0, 0, -30), To: at, At: at, By: "connector", Host: "host-a", Faults: missing,
		Counts: map[string]int{"api": 148203, "topic": 148203 - missing, "missing": missing},
	})
}

// traffic is a poll each minute, and what it finds.
func (w *world) traffic(name string, from, to time.Time) {
	for at := from.Truncate(time.Minute).Add(49 * time.Second); !at.After(to); at = at.Add(time.Minute) {
		w.clock.Set(at)
		for range 9 {
			w.Requested(name, 200, 180*time.Millisecond)
		}
		hour := float64(at.Hour()) + float64(at.Minute())/60
		n := int(14*math.Exp(-(hour-11)*(hour-11)/18) + 6*w.random.Float64())
		w.commit(name, at, n)
		for poll := range 3 { // the last of them at the end of the minute
			w.clock.Set(at.Add(time.Duration(poll) * 20 * time.Second))
			w.Positions(name, positions(w.clock.Now()))
		}
	}
}

func (w *world) commit(name string, at time.Time, n int) {
	late := 0
	if n > 4 && w.random.IntN(23) == 0 {
		late = 1 + w.random.IntN(3)
	}
	wrote := connector.Written{Scope: "organization", Events: n, Late: late, Newest: at.Add(-3 * time.Second)}
	for range n {
		wrote.Delays = append(wrote.Delays, time.Duration(2000+w.random.IntN(9000))*time.Millisecond)
	}
	w.Committed(name, "ok", time.Duration(6+w.random.IntN(20))*time.Millisecond)
	if n > 0 {
		w.Written(name, wrote)
	}
}

func positions(at time.Time) connector.Positions {
	return connector.Positions{
		Live:        map[string]time.Time{"organization": at.Add(-20 * time.Second), "tenant": at.Add(-20 * time.Second)},
		Deep:        map[string]time.Time{"organization": at.Add(-31 * time.Minute), "tenant": at.Add(-31 * time.Minute)},
		LastSuccess: at, SeenIDs: 18342, ScopeStates: map[string]string{"organization": "on", "tenant": "on"},
	}
}

// done is the last poll.
func (w *world) done(name string, at time.Time) {
	w.clock.Set(at)
	w.Requested(name, 200, 160*time.Millisecond)
	w.Positions(name, positions(at))
}

// past is a poll while history is read.
func (w *world) past(at, to, target time.Time, catchingUp bool) {
	w.clock.Set(at)
	p := positions(at)
	p.Deep, p.BackfillTo, p.BackfillTarget, p.CatchingUp = nil, to, target, catchingUp
	w.Positions("acme", p)
}

func history(w *world) {
	w.begin(At.Add(-13 * time.Minute))
	w.lead("acme")
	from, until := At.AddDate(0, 0, -90), At.AddDate(0, 0, -1)
	w.past(At.Add(-13*time.Minute+2*time.Second), from, until, false)
	for at := At.Add(-12 * time.Minute); at.Before(At); at = at.Add(time.Minute) {
		w.clock.Set(at)
		for range 55 {
			w.Requested("acme", 200, 200*time.Millisecond)
		}
		w.Committed("acme", "ok", 60*time.Millisecond)
		w.Written("acme", connector.Written{Scope: "organization", History: true, Events: 5400, Newest: from})
		w.commit("acme", at.Add(time.Second), 7)
		for poll := range 3 {
			w.past(at.Add(time.Duration(2+20*poll)*time.Second), from, until, false)
		}
	}
	w.Requested("acme", 429, 100*time.Millisecond)
	reached := from.Add(time.Duration(.642 * float64(until.Sub(from))))
	w.past(At.Add(-4*time.Second), reached, until, false)
	w.Progressed("acme", connector.Progress{
		Read: connector.ReadHistory, From: from, Reached: reached, Until: until, Events: 64800, Requests: 661,
		Took: 12 * time.Minute, PerSecond: 88.4, Left: 7*time.Minute + 50*time.Second,
	})
}

func catchingUp(w *world) {
	w.begin(At.Add(-5 * time.Minute))
	w.lead("acme")
	w.past(At.Add(-5*time.Minute+3*time.Second), At.Add(-5*time.Hour), At.Add(-15*time.Minute), true)
	w.traffic("acme", At.Add(-4*time.Minute), At.Add(-time.Minute))
	w.past(At.Add(-4*time.Second), At.Add(-2*time.Hour-12*time.Minute), At.Add(-15*time.Minute), true)
	w.Progressed("acme", connector.Progress{
		Read: connector.ReadHistory, From: At.Add(-5 * time.Hour), Reached: At.Add(-2*time.Hour - 12*time.Minute), Until: At.Add(-15 * time.Minute),
		Events: 2100, Requests: 24, Took: 4 * time.Minute, PerSecond: 9.1, Left: 3*time.Minute + 10*time.Second,
	})
}

func refused(w *world) {
	from := At.Add(-14 * time.Minute)
	w.begin(At.Add(-26 * time.Hour))
	w.lead("acme")
	w.traffic("acme", At.Add(-26*time.Hour), from)
	w.clock.Set(from)
	w.Ready("acme", Refused)
	for at := from; at.Before(At); at = at.Add(45 * time.Second) {
		w.clock.Set(at)
		w.Requested("acme", 401, 90*time.Millisecond)
	}
}

func warned(w *world) {
	w.begin(At.Add(-26 * time.Hour))
	w.lead("acme")
	w.traffic("acme", At.Add(-26*time.Hour), At.Add(-5*time.Hour))
	w.Ready("acme", "the API's rate limit: it wants no request until 08:50; if that stays, set API_REQUESTS_PER_MINUTE")
	w.clock.Set(At.Add(-4*time.Hour - 10*time.Minute))
	w.Ready("acme", "")
	w.traffic("acme", At.Add(-4*time.Hour-9*time.Minute), At.Add(-4*time.Second))
	w.clock.Set(At.Add(-20 * time.Minute))
	w.Written("acme", connector.Written{Scope: "tenant", DeadLetters: map[string]int{"too_large": 1}})
	for i, kind := range []string{"login.failed", "api_key.created", "role.assignment.created", "project.service_account.created"} {
		w.Written("acme", connector.Written{Scope: "organization", Latest: []connector.LatestEvent{{
			Time: At.Add(-time.Duration(4*(4-i)) * time.Minute), Type: kind, Scope: "organization",
			ID:    "audit_log-6b1f0a2c4d5e6f708192a3b4c5d6e7f8091a2b3c" + string(rune('0'+i)),
			Actor: []string{"a.person.with.a.long.name@subsidiary.example.com", "b@example.com"}[i%2], IP: "2001:db8:0:42:1234:5678:9abc:def0",
		}}})
	}
	w.verified("acme", 3)
	w.Warned("acme", "clock", connector.Warning{
		Text:   "The clock of OpenAI's API is 6 minutes ahead of this host's. New events are read again for longer.",
		Remedy: "Let this host take its time from a time server.",
	})
	w.done("acme", At.Add(-4*time.Second))
}

func several() State {
	w := newWorld(false, "acme", "globex", "initech")
	w.begin(At.Add(-26 * time.Hour))
	w.live("acme", 26*time.Hour)
	w.lead("globex")
	w.clock.Set(At.Add(-26 * time.Hour))
	w.traffic("globex", At.Add(-20*time.Hour), At.Add(-14*time.Minute))
	w.Ready("globex", Refused)
	w.clock.Set(At.Add(-26 * time.Hour))
	w.Ready("initech", "")
	w.Watched("initech", connector.Leader{Host: "host-b", Since: At.Add(-49 * time.Hour), Seen: At.Add(-8 * time.Second)})
	w.clock.Set(At)
	return State{Name: "several", Text: "1 of 3 organizations is not read", Telemetry: w.Telemetry, Clock: w.clock}
}
