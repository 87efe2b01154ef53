package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// A repair is killed with SIGKILL, at random moments and at the end of its
// transactions, and given again, beside a connector at work: what was missing is
// written once.
func TestRepairIsKilledAnywhere(t *testing.T) {
	c := kafkatest.Real(t)
	trials := kafkatest.NewTrials(t, c.Backend(), "kill -9 of verify --repair, and again")
	kills, seed := kafkatest.Runs(t, 6, 40), kafkatest.Seeds(t, 1)[0]
	rng := rand.New(rand.NewPCG(seed, 2))
	t.Log("seed", seed)
	w := newProcesses(t, c)
	stop := w.holed(500 * kills)
	for n := range kills {
		ends := 0
		var mu sync.Mutex // guards ends and p
		var p *process
		w.proxy.Observe(func(f kafkatest.Frame) {
			mu.Lock()
			defer mu.Unlock()
			if f.Key != kmsg.EndTxn.Int16() || n%2 == 0 {
				return
			}
			// The request, or its answer, is passed on when nobody waits any more.
			if ends++; ends == 1+n%4/2 {
				p.signal(syscall.SIGKILL)
			}
		})
		mu.Lock()
		p = w.repair()
		mu.Unlock()
		if n%2 == 0 {
			time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
			p.signal(syscall.SIGKILL)
		}
		p.exit(30 * time.Second)
	}
	w.proxy.Observe(nil)
	if p := w.repair(); p.exit(time.Minute) != exitDone {
		t.Errorf("the last repair ended with %d\n%s", p.cmd.ProcessState.ExitCode(), p.log.String())
	}
	stop()
	trials.Add(kills, await(t, c, w.api, w.topics[:2]))
}

// Two repairs are started at once, beside a connector at work. One of them may be
// fenced by the other; together they write what is missing once.
func TestTwoRepairsAtOnce(t *testing.T) {
	c := kafkatest.Real(t)
	trials := kafkatest.NewTrials(t, c.Backend(), "two verify --repair at once")
	for n := range kafkatest.Runs(t, 1, 10) {
		w := newProcesses(t, c)
		stop := w.holed(2500)
		first := w.repair()
		time.Sleep(time.Duration(n) * 40 * time.Millisecond)
		for _, p := range []*process{first, w.repair()} {
			if code := p.exit(time.Minute); code != exitDone && code != exitFenced {
				t.Errorf("a repair ended with %d\n%s", code, p.log.String())
			}
		}
		if p := w.repair(); p.exit(time.Minute) != exitDone {
			t.Errorf("the last repair ended with %d\n%s", p.cmd.ProcessState.ExitCode(), p.log.String())
		}
		stop()
		trials.Add(1, await(t, c, w.api, w.topics[:2]))
	}
}

// holed runs a connector whose topic lacks n events: they showed up when all that
// looks for late ones had passed them. New events go on until stop.
func (w *processes) holed(n int) (stop func()) {
	w.t.Helper()
	w.api.Generate(2000, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
	connector := w.start(w.c.Brokers())
	w.await()
	for k := range n {
		at := w.from + auditlog.Second(3600+k*(40*24*3600/n))
		w.api.Add(simulator.Event{ID: fmt.Sprintf("audit_log-late%06d", k), EffectiveAt: at})
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var feed sync.WaitGroup
	feed.Go(func() { w.api.Feed(ctx, 20) })
	return func() {
		cancel()
		feed.Wait()
		w.alive(connector)
	}
}

func (w *processes) repair() *process {
	return w.start(w.proxy.Brokers(), "verify", "--from", "55d", "--to", "2d", "--repair")
}

// A connector that verifies itself is killed with SIGKILL when its repair ends a
// transaction. The next one verifies again, and what was missing is written once.
func TestVerifyingConnectorIsKilled(t *testing.T) {
	t.Parallel() // it waits for a broker of its own
	c := kafkatest.Real(t)
	w := newProcesses(t, c)
	w.from = auditlog.SecondOf(time.Now().Add(-5 * 24 * time.Hour))
	w.api.Generate(200, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
	p := w.start(c.Brokers())
	w.await()
	p.signal(syscall.SIGTERM)
	p.exit(20 * time.Second)
	for k := range 300 { // later than DEEP_LOOKBACK
		w.api.Add(simulator.Event{ID: fmt.Sprintf("audit_log-late%06d", k), EffectiveAt: w.from + auditlog.Second(3600+k*800)})
	}

	w.extra = []string{"VERIFY_EVERY=24h", "VERIFY_REPAIR=true"}
	const compared = "compared the topic with the API"
	var mu sync.Mutex // guards p
	w.proxy.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		// Before that it is the start that ends transactions. There are no new events.
		if f.Key == kmsg.EndTxn.Int16() && !f.Answer && strings.Contains(p.log.String(), `"msg":"opened"`) {
			p.signal(syscall.SIGKILL)
		}
	})
	mu.Lock()
	p = w.start(w.proxy.Brokers())
	mu.Unlock()
	if code := p.exit(2 * time.Minute); code != -1 || strings.Contains(p.log.String(), compared) {
		t.Fatalf("it ended with %d; want it killed, and before it had compared\n%s", code, p.log.String())
	}
	w.proxy.Observe(nil)
	p = w.start(c.Brokers())
	w.await()
	w.until("the result is recorded", func() bool { return strings.Contains(p.log.String(), compared) })
	w.alive(p)
	if r := await(t, c, w.api, w.topics[:2]); !r.OK() {
		t.Error(r)
	}
}
