package connector_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// inBubble runs the test in virtual time, with the in-process broker on a virtual
// network. Polls are ten seconds apart, as by default.
func inBubble(t *testing.T, api simulator.Config, test func(t *testing.T, w *world), opts ...kafkatest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.InProcess(t, append(opts, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))...)
		w := newWorld(t, c, api)
		w.cfg.PollInterval = 10 * time.Second
		w.startsAfter = 250 * time.Millisecond // or polls are at the very moments at which a test does something
		// A zstd decoder ends its goroutine in a finalizer, outside the bubble.
		w.cfg.Kafka.Compression = "none"
		test(t, w)
	})
}

// add adds one event of the organization that took effect at a time and shows up
// after a delay from now.
func (w *world) add(at time.Time, delay time.Duration) {
	w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(at), VisibleAt: time.Now().Add(delay)})
}

// Each late event within the lookback is committed within a minute of showing up,
// and each within the deep lookback within an hour; none is doubled.
func TestLateEvent(t *testing.T) {
	for name, late := range map[string]struct {
		by, within time.Duration
	}{
		"one second":   {time.Second, time.Minute},
		"one minute":   {time.Minute, time.Minute},
		"ten minutes":  {10*time.Minute - 15*time.Second, time.Minute},
		"one hour":     {time.Hour, time.Hour},
		"almost a day": {23*time.Hour - time.Minute, time.Hour},
	} {
		if testing.Short() && late.by > 2*time.Hour {
			continue // a day of polls is minutes under the race detector
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.since = auditlog.SecondOf(time.Now())
				i := w.start()
				i.awaitReady()
				for range int((late.by + 2*time.Hour) / (5 * time.Minute)) {
					time.Sleep(5 * time.Minute)
					w.api.Step(1, 0, 0)
				}
				w.add(time.Now().Add(-late.by), 0)
				time.Sleep(late.within + time.Second)
				if r := w.report(); !r.OK() {
					t.Errorf("%v after it showed up: %s", late.within, r)
				}
				i.stop()
			})
		})
	}
}

// What showed up late while nobody looked is found after weeks, and the time is
// read in windows while new events do not wait.
func TestLateEventWhileDown(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		i.awaitReady()
		for range 200 {
			time.Sleep(time.Minute)
			w.api.Step(3, 0, 0)
		}
		i.stop()
		w.add(time.Now().Add(-3*time.Hour), time.Minute)
		days := 21
		if testing.Short() {
			days = 2
		}
		for range days * 24 {
			time.Sleep(time.Hour)
			w.api.Step(20, 0.1, 20*time.Hour)
		}
		i = w.start()
		i.awaitReady()
		time.Sleep(26 * time.Hour)
		if r := w.report(); !r.OK() {
			t.Error(r)
		} else {
			t.Log(r)
		}
		i.stop()
	})
}

// A hundred thousand empty seconds do not widen what is read again, and an event
// dated inside the last window is found then.
func TestEmptyPolls(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		i.awaitReady()
		quiet := 100_000
		if testing.Short() {
			quiet /= 4 // the race detector makes a poll ten times as long
		}
		time.Sleep(time.Duration(quiet) * time.Second)
		before := w.api.Requests()
		time.Sleep(1000 * time.Second)
		// One request a poll and scope; deep walks every fifty minutes on top.
		if got := w.api.Requests().Total - before.Total; got > 2*100+4 {
			t.Errorf("%d requests in 100 polls of two scopes", got)
		}
		w.add(time.Now().Add(-5*time.Minute), 0)
		time.Sleep(time.Minute)
		if r := w.report(); !r.OK() || r.Topic != 1 {
			t.Error(r)
		}
		// A quiet log writes its cursor every ten minutes and nothing else.
		if n := i.commitsOK(); n > quiet/600+10 {
			t.Errorf("%d commits of a quiet log in %d s", n, quiet+1000)
		}
		i.stop()
	})
}

func (r *recorder) commitsOK() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commits["ok"]
}

var simulatedSeeds = flag.Int("sim.seeds", 1, "how many seeds TestSimulatedWeeks runs")

// Simulated weeks, with what happens in them: bursts, late events, outages of the
// API, restarts and kills, days of downtime, starts moved earlier, the tenant
// scope forbidden and allowed again.
func TestSimulatedWeeks(t *testing.T) {
	for seed := range uint64(*simulatedSeeds) {
		inBubble(t, simulator.Config{Seed: seed}, func(t *testing.T, w *world) {
			simulateWeeks(t, w, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func simulateWeeks(t *testing.T, w *world, rng *rand.Rand) {
	began := time.Now()
	w.api.Generate(3000, auditlog.SecondOf(began.Add(-100*24*time.Hour)), auditlog.SecondOf(began))
	w.backfill(began.Add(-20 * 24 * time.Hour))
	i := w.start()
	days := 8
	if testing.Short() {
		days = 1 // the race detector makes them ten times as long
	}
	for hour := range days * 24 {
		for range 6 {
			time.Sleep(10 * time.Minute)
			w.api.Step(rng.IntN(4), 0.2, 9*time.Minute)
		}
		switch rng.IntN(20) {
		case 0:
			w.api.Step(rng.IntN(1500), 0, 0)
		case 1:
			i.stop()
			i = w.start()
		case 2:
			i.stop()
			time.Sleep(time.Duration(rng.IntN(36)) * time.Hour)
			i = w.start()
		case 3:
			w.api.SetFaults(map[simulator.Fault]float64{simulator.ServerError: 0.5, simulator.CutBody: 0.2, simulator.Refused403: 0.1})
		case 4, 5:
			w.api.SetFaults(nil)
		case 6:
			w.api.AllowTenant(false)
		case 7, 8:
			w.api.AllowTenant(true)
		case 9:
			if hour > days*12 {
				i.stop()
				w.backfill(began.Add(-time.Duration(20+rng.IntN(60)) * 24 * time.Hour))
				w.since = min(w.since, auditlog.SecondOf(began.Add(-20*24*time.Hour)))
				i = w.start()
			}
		}
	}
	w.api.SetFaults(nil)
	w.api.AllowTenant(true)
	time.Sleep(30 * time.Hour)
	i.stop()
	w.since = w.kafka().startInTopic()
	if r := w.report(); !r.OK() {
		t.Error(r)
	} else {
		t.Log(r)
	}
}

// startInTopic is the start that the cursor stands for.
func (w inKafka) startInTopic() auditlog.Second {
	return auditlog.SecondOf(w.cursor().Start.Time())
}

// An organization so busy that its lookback takes more pages than a poll reads: it
// is walked in windows beside the polls, and both its positions keep up.
func TestBusyOrganization(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Lookback, w.cfg.DeepLookback = 3*time.Minute, time.Hour
		i := w.start()
		i.awaitReady()
		minutes := 70
		if testing.Short() {
			minutes = 15
		}
		for range minutes * 12 {
			time.Sleep(5 * time.Second)
			w.api.Step(40, 0.1, 2*time.Minute)
		}
		time.Sleep(4 * time.Minute)
		if r := w.report(); !r.OK() {
			t.Error(r)
		} else {
			t.Log(r)
		}
		i.stop()
		now := auditlog.SecondOf(time.Now())
		for scope, pos := range w.cursor().Scopes {
			if behind := now.Sub(pos.Live); behind < 0 || behind > 2*time.Minute {
				t.Errorf("the live position of %s is %v, now is %v", scope, pos.Live, now)
			}
			if behind := now.Sub(pos.Deep); behind < 0 || behind > time.Hour {
				t.Errorf("the deep position of %s is %v, now is %v", scope, pos.Deep, now)
			}
		}
	})
}
