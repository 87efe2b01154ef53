package connector_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The failure stories of reading the API, end to end. Each is told in the tests
// of internal/openai too, where the pages are looked at one by one.

// quick is a poll interval at which stories are short.
const quick = 150 * time.Millisecond

func newQuickWorld(t *testing.T, c *kafkatest.Cluster, api simulator.Config) *world {
	w := newWorld(t, c, api)
	w.cfg.PollInterval = quick
	w.backfill(time.Now().Add(-time.Hour))
	return w
}

// burst adds n events spread over the last seconds.
func (w *world) burst(n, seconds int) {
	now := time.Now()
	for k := range n {
		w.add(now.Add(-time.Duration(k%seconds)*time.Second), 0)
	}
}

func TestPageDirection(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, n := range []int{250, 10_000} {
			w := newQuickWorld(t, c, simulator.Config{})
			w.burst(n, 600)
			i := w.start()
			if r := w.awaitEqual(30 * time.Second); r.API != n {
				t.Errorf("compared %d events, want %d", r.API, n)
			}
			i.stop()
		}
	})
}

func TestFirstPageOnly(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, n := range []int{100, 101, 199, 200, 201, 10_001} {
			w := newQuickWorld(t, c, simulator.Config{})
			w.burst(n, 50)
			i := w.start()
			w.awaitEqual(30 * time.Second)
			i.stop()
		}
	})
}

// A server that ignores what it does not know, one that refuses it, one that mixes
// a page up, and one that lists the oldest first: nothing is lost, and the last
// one is refused with the reason and without a step forward.
func TestOrderDrift(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, api := range map[string]simulator.Config{
			"ignores":  {IgnoreUnknown: true},
			"refuses":  {},
			"shuffles": {Faults: map[simulator.Fault]float64{simulator.Shuffled: 1}},
		} {
			w := newQuickWorld(t, c, api)
			w.burst(450, 100)
			i := w.start()
			r := w.awaitEqual(20 * time.Second)
			t.Log(name, r)
			i.stop()
		}

		w := newQuickWorld(t, c, simulator.Config{Faults: map[simulator.Fault]float64{simulator.Reversed: 1}})
		w.burst(450, 2000)
		i := w.start()
		eventually(t, 20*time.Second, "the reason is told", func() bool { return i.reason() != "" })
		time.Sleep(time.Second)
		if got := w.report(); got.Topic > 0 && len(got.Doubled)+len(got.Extra) > 0 {
			t.Errorf("listed oldest first: %s", got)
		}
		w.api.SetFaults(nil)
		w.awaitEqual(60 * time.Second)
		i.stop()
	})
}

// Page 2, and each page after it, fails in every way there is, and then works.
func TestMidSweepFailure(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, fault := range []simulator.Fault{
			simulator.RateLimitMillis, simulator.ServerError, simulator.BadGateway, simulator.WrongKey,
			simulator.Refused403, simulator.Reset, simulator.CutBody, simulator.HTML, simulator.TwoDocuments,
			simulator.EmptyObject, simulator.CutGzip, simulator.VanishedGone,
		} {
			t.Run(string(fault), func(t *testing.T) {
				w := newQuickWorld(t, c, simulator.Config{})
				i := w.start()
				i.awaitReady()
				for page := range 3 {
					script := make([]simulator.Fault, page+1, page+3)
					w.api.Script(append(script, fault, fault)...)
					w.burst(250, 20)
				}
				w.awaitEqual(30 * time.Second)
				i.stop()
			})
		}
	})
}

// 500 events of one second over six pages, a kill, then one more of that second
// after the commit.
func TestSameSecondStraggler(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		second := time.Now().Add(-20 * time.Second)
		i := w.start()
		i.awaitReady()
		for range 500 {
			w.add(second, 0)
		}
		time.Sleep(quick)
		i.cancel()
		<-i.done
		i = w.start()
		w.awaitEqual(20 * time.Second)
		w.add(second, 0)
		i.stop()
		i = w.start() // first after a start the whole lookback is walked
		if r := w.awaitEqual(20 * time.Second); r.API != 501 {
			t.Errorf("compared %d events, want 501", r.API)
		}
		i.stop()
	})
}

// A single second that is too dense for one transaction, in history: it is written
// in parts, and a kill between them doubles nothing.
func TestDenseSecond(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		w.backfill(time.Now().Add(-10 * 24 * time.Hour))
		second := time.Now().Add(-5 * 24 * time.Hour)
		for range 13_000 {
			w.add(second, 0)
		}
		for range 2 {
			i := w.start()
			eventually(t, 30*time.Second, "a part is written", func() bool { return i.commitsOK() > 1 })
			i.cancel()
			<-i.done
		}
		i := w.start()
		w.awaitEqual(30 * time.Second)
		i.stop()
	})
}

// Five new events land at the head before every page.
func TestInsertWhilePaging(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{Faults: map[simulator.Fault]float64{simulator.InsertAtHead: 1}})
		w.burst(700, 300)
		i := w.start()
		eventually(t, time.Minute, "events are inserted", func() bool {
			return w.api.Requests().Faults[simulator.InsertAtHead] >= 20
		})
		w.api.SetFaults(nil)
		r := w.awaitEqual(20 * time.Second)
		if r.API <= 700 {
			t.Errorf("%d events: none was inserted", r.API)
		}
		i.stop()
	})
}

// A page that brings nothing new is an error: no tight loop, no step forward.
func TestNoProgressPage(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, fault := range []simulator.Fault{simulator.RepeatedPage, simulator.EmptyWithMore, simulator.HasMoreTrue} {
			t.Run(string(fault), func(t *testing.T) {
				w := newQuickWorld(t, c, simulator.Config{})
				i := w.start()
				i.awaitReady()
				w.api.SetFaults(map[simulator.Fault]float64{fault: 1})
				before := w.api.Requests().Total
				w.burst(250, 20)
				eventually(t, 20*time.Second, "the reason is told", func() bool { return i.reason() != "" })
				time.Sleep(2 * time.Second)
				if n := w.api.Requests().Total - before; n > 200 {
					t.Errorf("%d requests against a page without progress", n)
				}
				w.api.SetFaults(nil)
				w.awaitEqual(30 * time.Second)
				i.stop()
			})
		}
	})
}

// Without a start nothing old is read; with one, from there; with earliest, all.
// A restart during the first walk keeps the anchor.
func TestFirstRun(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		now := time.Now()
		for name, start := range map[string]*connector.BackfillStart{
			"from now":      nil,
			"from a time":   {At: now.Add(-10 * 24 * time.Hour)},
			"from earliest": {Earliest: true},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, c, simulator.Config{})
				w.cfg.PollInterval = quick
				w.api.Generate(2000, auditlog.SecondOf(now.Add(-400*24*time.Hour)), auditlog.SecondOf(now.Add(-20*time.Second)))
				w.cfg.Organizations[0].BackfillStart = start
				switch {
				case start == nil:
					w.since = auditlog.SecondOf(now)
				case start.Earliest:
					w.since = 0
				default:
					w.since = auditlog.SecondOf(start.At)
				}
				i := w.start()
				i.awaitReady()
				i.cancel()
				<-i.done
				anchor := w.cursor().Start
				time.Sleep(1100 * time.Millisecond)
				i = w.start()
				i.awaitReady()
				w.api.Step(5, 0, 0)
				w.awaitEqual(30 * time.Second)
				if got := w.cursor().Start; got != anchor {
					t.Errorf("the start moved from %v to %v with a restart", anchor, got)
				}
				i.stop()
			})
		}
	})
}

// A restart with an overlap of 1, 100 and 10,000 ids doubles none, and the records
// of the state stay small.
func TestDedupeMemory(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, n := range []int{1, 100, 10_000} {
			w := newQuickWorld(t, c, simulator.Config{})
			w.burst(n, 300)
			for range 3 {
				i := w.start()
				w.awaitEqual(30 * time.Second)
				i.stop()
			}
			if size := w.kafka().largestState(); size > 100_000 {
				t.Errorf("%d ids: a record of the state has %d bytes", n, size)
			}
		}
	})
}

// 50 events of each scope, and 20 that both list: each once, the shared ones as
// the organization's. A 403 on the tenant's does not stop the other, and what was
// missed comes when it is allowed.
func TestTenantScope(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		add := func(w *world) {
			now := auditlog.SecondOf(time.Now())
			for k := range 50 {
				at := now - auditlog.Second(k)
				w.addEvent(simulator.Event{EffectiveAt: at})
				w.addEvent(simulator.Event{EffectiveAt: at, Scopes: []auditlog.Scope{auditlog.ScopeTenant}})
				if k < 20 {
					w.addEvent(simulator.Event{EffectiveAt: at, Scopes: auditlog.Scopes()})
				}
			}
		}
		w := newQuickWorld(t, c, simulator.Config{})
		add(w)
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.api.AllowTenant(false)
		time.Sleep(2 * quick)
		w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(time.Now())})
		w.awaitEqual(20 * time.Second)
		eventually(t, 10*time.Second, "the tenant scope is told to be refused", func() bool {
			return i.scopeState("tenant") == "refused"
		})
		eventually(t, time.Minute, "ready beside a refused tenant scope", i.ready)
		w.api.AllowTenant(true)
		add(w)
		w.awaitEqual(60 * time.Second)
		i.stop()

		// Never allowed at first: its whole history comes later.
		w = newQuickWorld(t, c, simulator.Config{TenantForbidden: true})
		add(w)
		i = w.start()
		i.awaitReady()
		time.Sleep(4 * quick)
		w.api.AllowTenant(true)
		i.stop()
		i = w.start()
		w.awaitEqual(30 * time.Second)
		i.stop()
	})
}

// largestState is the size of the largest value in the offsets topic.
func (w inKafka) largestState() int {
	most := 0
	for _, value := range w.kafka().stateValues() {
		most = max(most, len(value))
	}
	return most
}
