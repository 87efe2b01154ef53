package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// feed shows events at random moments, as many a second on average, until ctx ends,
// and returns when each was shown, by id.
func feed(ctx context.Context, a *audit, name string, perSecond float64) map[string]time.Time {
	shown := map[string]time.Time{}
	r := rand.New(rand.NewPCG(5, 5))
	for pause(ctx, time.Duration(r.ExpFloat64()/perSecond*float64(time.Second))) == nil {
		id := fmt.Sprintf("%s%s-%d", mark, name, len(shown))
		shown[id] = a.show(id, 0)
	}
	return shown
}

// freshness measures the time from the API showing an event to a consumer having
// it.
func freshness(ctx context.Context, l *lab) error {
	const interval, span = time.Second, time.Minute
	a := newAudit(simulator.Config{})
	defer a.close()
	n := a.fill(l.events/200, day, time.Hour)
	t := l.topics()
	l.create(t)
	p, err := l.start(l.environ(a, t, "BACKFILL_START_TIME=2d", "POLL_INTERVAL="+interval.String()))
	if err != nil {
		return err
	}
	defer p.kill()
	w := l.watch(ctx, t)
	defer w.stop()
	if err := w.awaitCount(ctx, n, time.Minute); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	l.say("events at random moments for %v", span)
	feeding, stop := context.WithTimeout(ctx, span)
	shown := feed(feeding, a, "fresh", 7)
	stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	var delays []time.Duration
	for id, from := range shown {
		err := w.until(ctx, 10*time.Second, id, func() bool { _, ok := w.event(id); return ok })
		if err != nil {
			return err
		}
		at, _ := w.event(id)
		delays = append(delays, at.Sub(from))
	}
	if _, err := p.stop(); err != nil {
		return err
	}
	p99, aim := quantile(delays, 0.99), interval+100*time.Millisecond
	l.report.aim("new event, shown to consumed, p99, POLL_INTERVAL=1s", seconds(p99), "≤ "+seconds(aim), p99 <= aim)
	l.report.figure(fmt.Sprintf("new event, shown to consumed, of %d events: p50, p90, max", len(delays)),
		seconds(quantile(delays, 0.5))+", "+seconds(quantile(delays, 0.9))+", "+seconds(quantile(delays, 1)))
	return nil
}
