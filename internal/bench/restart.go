package main

import (
	"context"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// restart measures starts of the connector with 100,000 ids in its state, half of
// them after kill -9: to the first transaction, and to the first new event, that a
// consumer has.
func restart(ctx context.Context, l *lab) error {
	const rounds = 10
	a := newAudit(simulator.Config{})
	defer a.close()
	// All of it younger than DEEP_LOOKBACK, so every id is remembered.
	n := a.fill(l.events/10, 23*time.Hour, time.Minute)
	t := l.topics()
	l.create(t)
	environ := l.environ(a, t, "OPENAI_TENANT_EVENTS=off", "BACKFILL_START_TIME=2d", "POLL_INTERVAL=1s")
	p, err := l.start(environ)
	if err != nil {
		return err
	}
	defer func() { p.kill() }()
	w := l.watch(ctx, t)
	defer w.stop()
	if err := w.awaitCount(ctx, n, 2*time.Minute); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	var commits, events []time.Duration
	for round := range rounds {
		if round%2 == 0 {
			p.kill()
		} else if _, err := p.stop(); err != nil {
			return err
		}
		id := fmt.Sprintf("%srestart-%d", mark, round)
		a.show(id, 0)
		// What the one before wrote has long arrived when this one starts.
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		if p, err = l.start(environ); err != nil {
			return err
		}
		err := w.until(ctx, 30*time.Second, "the new event", func() bool { _, ok := w.event(id); return ok })
		if err != nil {
			return err
		}
		event, _ := w.event(id)
		commit, ok := w.stateAfter(p.began)
		if !ok || commit.After(event) {
			commit = event // of two topics either may be the first to arrive
		}
		l.say("start %d: first commit after %s, new event after %s", round+1, seconds(commit.Sub(p.began)), seconds(event.Sub(p.began)))
		commits, events = append(commits, commit.Sub(p.began)), append(events, event.Sub(p.began))
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	if _, err := p.stop(); err != nil {
		return err
	}
	worst := quantile(commits, 1)
	l.report.aim(fmt.Sprintf("restart with %s seen ids, process start to first commit, worst of %d", thousands(n), rounds),
		seconds(worst), "≤ 0.50 s", worst <= time.Second/2)
	l.report.figure(fmt.Sprintf("restart, first commit, median of %d", rounds), seconds(quantile(commits, 0.5)))
	l.report.figure("restart, first new event, median and worst", seconds(quantile(events, 0.5))+", "+seconds(quantile(events, 1)))
	return l.lossless(ctx, a, t.events)
}
