package connector_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The API as an enemy, in virtual time: whatever it does, and for however long,
// nothing is lost and nothing doubled, it is not asked in a tight loop, and where
// the head cannot be read the reason is reported.

// enemy is what a fault means while every request meets it.
type enemy struct {
	harmless bool   // it is equal and ready all the same
	late     bool   // it is ready, and not all that is new is written yet
	reason   string // why it is not ready
	requests int    // the most in five minutes; 0: about two a scope and poll
}

// wholeWalks is the most requests in five minutes where a walk is found wrong at its
// end only: eleven polls, each with the five pages of what is new and of the lookback,
// the one past them, and one of the other scope.
const wholeWalks = 11 * (5 + 1 + 1)

var enemies = map[simulator.Fault]enemy{
	// Two minutes are waited for as told, whatever the API's clock says.
	simulator.RateLimitSeconds:    {requests: 4, reason: "no request until"},
	simulator.RateLimitDate:       {requests: 4, reason: "no request until"},
	simulator.RateLimitMillis:     {requests: 4, reason: "no request until"},
	simulator.RateLimitBare:       {reason: "rate limit"},
	simulator.RateLimitUserAction: {reason: "billing"},

	simulator.RequestTimeout: {reason: "HTTP 408"},
	simulator.Conflict:       {reason: "HTTP 409"},
	simulator.ServerError:    {reason: "HTTP 500"},
	simulator.BadGateway:     {reason: "HTTP 502"},
	simulator.Unavailable:    {reason: "HTTP 503"},

	simulator.WrongKey:        {reason: "OPENAI_ADMIN_KEY"},
	simulator.MissingScope401: {reason: "api.audit_logs.read"},
	simulator.MissingScope403: {reason: "api.audit_logs.read"},
	simulator.Refused401:      {reason: "api.audit_logs.read"},
	simulator.Refused403:      {reason: "api.audit_logs.read"},
	simulator.AddressRefused:  {reason: "Your IP address *** is not authorized"},
	simulator.OtherHost:       {reason: "OPENAI_BASE_URL=https://eu.api.openai.com/v1"},
	simulator.CountryRefused:  {reason: "does not serve the country"},
	simulator.ProxyRefuses:    {reason: "a proxy or firewall may answer"},
	simulator.Redirect:        {reason: "OPENAI_BASE_URL"},

	simulator.Hang:         {reason: "no complete answer in time"},
	simulator.HangInBody:   {reason: "no complete answer in time"},
	simulator.Reset:        {reason: "reset"},
	simulator.ResetInBody:  {reason: "reading the answer"},
	simulator.CutBody:      {reason: "not a page"},
	simulator.CutGzip:      {reason: "reading the answer"},
	simulator.TwoDocuments: {reason: "not a page"},
	simulator.NDJSON:       {reason: "not a page"},
	simulator.EmptyObject:  {reason: "not a page"},
	simulator.HTML:         {reason: "not a page"},

	simulator.DateOff:     {harmless: true},
	simulator.DateBehind:  {harmless: true},
	simulator.DateMissing: {harmless: true},

	simulator.SmallPage:     {harmless: true, requests: 20_000},
	simulator.HasMoreFalse:  {harmless: true},
	simulator.LastIDNull:    {harmless: true},
	simulator.LastIDMissing: {harmless: true},
	simulator.LastIDWrong:   {harmless: true},
	simulator.Duplicated:    {harmless: true},
	simulator.Shuffled:      {harmless: true},
	simulator.InsertAtHead:  {late: true, requests: 1000},
	simulator.HasMoreTrue:   {reason: "would not end", requests: wholeWalks},
	simulator.EmptyWithMore: {reason: "would not end"},
	simulator.RepeatedPage:  {reason: "would not end"},
	simulator.HeadRestart:   {reason: "would not end"},
	simulator.Reversed:      {reason: "oldest first"},
	simulator.IgnoreWindow:  {reason: "outside of the time that was asked for", requests: wholeWalks},
	simulator.VanishedBad:   {reason: "no longer knows the event"},
	simulator.VanishedGone:  {reason: "no longer knows the event"},
}

func TestEnemyAPI(t *testing.T) {
	for _, fault := range simulator.Faults() {
		if _, ok := enemies[fault]; !ok && !slices.Contains(endless, fault) {
			t.Errorf("the fault %q has no story", fault)
		}
	}
	for _, fault := range slices.Sorted(maps.Keys(enemies)) {
		t.Run(string(fault), func(t *testing.T) {
			api := simulator.Config{RetryAfter: 2 * time.Minute, DateOffset: 3 * time.Hour}
			inBubble(t, api, func(t *testing.T, w *world) { enemies[fault].meet(t, w, fault) })
		})
	}
}

// endless are bodies of a gigabyte. They take real time, so each comes for a short
// while only.
var endless = []simulator.Fault{simulator.EndlessBody, simulator.GzipBomb}

// A body without end is left where it is too large, and the page is asked for again
// with fewer events.
func TestEndlessBodies(t *testing.T) {
	for _, fault := range endless {
		t.Run(string(fault), func(t *testing.T) {
			var peak atomic.Uint64
			api := simulator.Config{OnRequest: func(*http.Request) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
			}}
			inBubble(t, api, func(t *testing.T, w *world) {
				w.backfill(time.Now().Add(-time.Hour))
				i := w.start()
				time.Sleep(time.Minute)
				w.burst(250, 500)
				w.api.Script(fault, fault)
				time.Sleep(2 * time.Minute)
				if r := w.report(); !r.OK() || w.api.Requests().Faults[fault] != 2 {
					t.Errorf("%v, after %v", r, w.api.Requests().Faults)
				}
				// While no page is any smaller, it is not ready and says why.
				w.api.SetFaults(map[simulator.Fault]float64{fault: 1})
				time.Sleep(45 * time.Second)
				if ready, reason := i.readiness(w); ready || !strings.Contains(reason, "larger than the limit") {
					t.Errorf("while it lasts: ready %v, because: %s", ready, reason)
				}
				w.api.SetFaults(nil)
				time.Sleep(2 * time.Minute)
				if ready, reason := i.readiness(w); !ready || !w.report().OK() {
					t.Errorf("afterwards: %s; %v", reason, w.report())
				}
				w.must(i.stop())
			})
			// A gigabyte that was read to its end would be far above it.
			if most := peak.Load(); most > 300<<20 {
				t.Errorf("the heap had %d MiB", most>>20)
			}
		})
	}
}

// meet lets a fault meet every request of one that runs, then of one that starts,
// and then goes away.
func (e enemy) meet(t *testing.T, w *world, fault simulator.Fault) {
	if e.requests == 0 {
		e.requests = 50
	}
	const lasts = 5 * time.Minute
	w.cfg.PollInterval = 30 * time.Second
	w.cfg.DeepLookback = 0 // no deep walk finds what the head has lost
	began := time.Now()
	w.backfill(began.Add(-3 * 24 * time.Hour))
	w.api.Generate(300, w.since, auditlog.SecondOf(began))
	i := w.start()
	time.Sleep(5 * time.Minute)
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.must(i.stop())
		}
		w.api.SetFaults(map[simulator.Fault]float64{fault: 1})
		if restarted {
			i = w.start()
		}
		before := w.api.Requests().Total
		w.burst(250, 500)
		time.Sleep(lasts)
		if n := w.api.Requests().Total - before; n > e.requests {
			t.Errorf("restarted %v: %d requests in %v", restarted, n, lasts)
		}
		r := w.report()
		if len(r.Doubled)+len(r.Extra)+len(r.Different) > 0 {
			t.Fatalf("restarted %v, while it lasts: %v", restarted, r)
		}
		ready, reason := i.readiness(w)
		switch {
		case e.late:
			if !ready {
				t.Errorf("restarted %v, while it lasts it is not ready: %s", restarted, reason)
			}
		case e.harmless && (!r.OK() || !ready):
			t.Errorf("restarted %v, while it lasts: %v; not ready because: %s", restarted, r, reason)
		case !e.harmless && (ready || !strings.Contains(reason, e.reason)):
			t.Errorf("restarted %v, while it lasts: ready %v, because: %s", restarted, ready, reason)
		case !e.harmless && len(r.Missing) == 0:
			t.Errorf("restarted %v: the fault harmed nothing", restarted)
		}
		// Longer than the lookback: what is before a position that moved without
		// being read is lost.
		time.Sleep(2 * w.cfg.Lookback)
		w.api.SetFaults(nil)
		time.Sleep(4 * time.Minute) // two as told, or the longest pause between tries
		if r := w.report(); !r.OK() {
			t.Errorf("restarted %v, afterwards: %v", restarted, r)
		}
		if ready, reason := i.readiness(w); !ready {
			t.Errorf("restarted %v, afterwards not ready: %s", restarted, reason)
		}
	}
	w.must(i.stop())
}

// beyondLookback makes the lookback shorter than what goes wrong, and leaves no deep
// walk to find it: what is before a position that moved without being read is lost.
func (w *world) beyondLookback() { w.cfg.Lookback, w.cfg.DeepLookback = time.Minute, 0 }

// readiness is as /readyz tells it: by what failed, and by how long ago the head
// was last read.
func (i *instance) readiness(w *world) (ready bool, reason string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	stale := time.Since(i.positions.LastSuccess) > 3*w.cfg.PollInterval
	return i.told && i.whyNot == "" && !stale, i.whyNot
}

// One request in three meets some fault, a different one each time, while events
// go on for hours.
func TestEnemyAPIAllAtOnce(t *testing.T) {
	inBubble(t, simulator.Config{Seed: 5, EndlessBytes: 40 << 20}, func(t *testing.T, w *world) {
		faults := map[simulator.Fault]float64{}
		for _, fault := range simulator.Faults() {
			faults[fault] = 1.0 / 3 / float64(len(simulator.Faults()))
		}
		delete(faults, simulator.EndlessBody) // these two alone would take most of the time
		delete(faults, simulator.GzipBomb)
		began := time.Now()
		w.cfg.PollInterval = 2 * time.Minute
		w.beyondLookback()
		w.backfill(began.Add(-30 * 24 * time.Hour))
		w.api.Generate(5000, w.since, auditlog.SecondOf(began))
		w.api.SetFaults(faults)
		i := w.start()
		for range 60 {
			w.api.Step(20, 0.1, 50*time.Second)
			time.Sleep(time.Minute)
		}
		w.api.SetFaults(nil)
		time.Sleep(2 * time.Hour)
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
		w.must(i.stop())
	})
}

// A key that is replaced at the API makes it unready, with the remedy; the new one
// is read from its file without a restart.
func TestKeyChanged(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		file := filepath.Join(t.TempDir(), "key")
		w.must(os.WriteFile(file, []byte(simulator.Key+"\n"), 0o600))
		w.cfg.Organizations[0].AdminKey = connector.SecretFile(file)
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(time.Minute)
		for _, key := range []string{"sk-admin-second", "sk-admin-third"} {
			w.api.SetKeys(key)
			w.burst(150, 20)
			time.Sleep(10 * time.Minute)
			if ready, reason := i.readiness(w); ready || !strings.Contains(reason, "OPENAI_ADMIN_KEY") || strings.Contains(reason, simulator.Key) {
				t.Errorf("with the old key: ready %v, because: %s", ready, reason)
			}
			w.must(os.WriteFile(file, []byte(key), 0o600))
			time.Sleep(6 * time.Minute)
			if r := w.report(); !r.OK() || r.API == 0 {
				t.Errorf("with the new key: %v", r)
			}
			if ready, reason := i.readiness(w); !ready {
				t.Errorf("with the new key it is not ready: %s", reason)
			}
		}
		w.must(i.stop())
	})
}

// Events dated in the future are written when they are shown, and not again when
// their time comes; those that come meanwhile, dated before them, are no less seen.
func TestEventsInTheFuture(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = 5 * time.Minute
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(time.Minute)
		for _, ahead := range []time.Duration{time.Second, time.Minute, 9 * time.Minute, time.Hour, 20 * time.Hour, 400 * 24 * time.Hour} {
			w.add(time.Now().Add(ahead), 0)
		}
		time.Sleep(6 * time.Minute)
		if r := w.report(); !r.OK() || r.API != 6 {
			t.Errorf("when they are shown: %v", r)
		}
		for hour := range 26 {
			w.api.Step(3, 0, 0)
			w.add(time.Now().Add(30*time.Minute), 10*time.Minute)
			time.Sleep(time.Hour)
			if hour%10 == 9 {
				w.must(i.stop())
				time.Sleep(3 * time.Hour)
				w.burst(1200, 60) // enough to fall behind
				i = w.start()
			}
		}
		time.Sleep(2 * time.Hour)
		if r := w.report(); !r.OK() {
			t.Errorf("when their time has come: %v", r)
		}
		w.must(i.stop())
	})
}

// Ten thousand events of one second, while it runs and while new ones come.
func TestThousandsInOneSecondLive(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(time.Minute)
		w.api.Step(10_000, 0, 0)
		for range 6 {
			time.Sleep(10 * time.Second)
			w.api.Step(5, 0, 0)
		}
		time.Sleep(10 * time.Second)
		if r := w.report(); !r.OK() || r.API != 10_030 {
			t.Errorf("a minute after they showed up: %v", r)
		}
		if ready, reason := i.readiness(w); !ready {
			t.Errorf("not ready: %s", reason)
		}
		w.must(i.stop())
	})
}

// Events that were written vanish from the list, some while their ids are where a
// walk goes on: that walk begins again, and what is there stays single.
func TestVanishedCursor(t *testing.T) {
	var w *world
	var left, vanished atomic.Int64
	api := simulator.Config{OnRequest: func(r *http.Request) {
		if id := r.URL.Query().Get("after"); id != "" && left.Add(-1) >= 0 {
			w.api.Hide(true, id)
			vanished.Add(1)
		}
	}}
	inBubble(t, api, func(t *testing.T, made *world) {
		w = made
		w.backfill(time.Now().Add(-time.Hour))
		i := w.start()
		for range 5 {
			w.burst(250, 500)
			time.Sleep(time.Minute) // now they are written
			left.Store(3)           // of what the full walks go on behind
			time.Sleep(4 * time.Minute)
			if r := w.report(); !r.OK() {
				t.Error(r)
			}
		}
		if n := vanished.Load(); n != 15 {
			t.Errorf("%d events vanished, want 15", n)
		}
		w.must(i.stop())
	})
}
