package main

import (
	"context"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// growth reads histories of a tenth of the events, of all and of ten times as many, each
// with a restart in the middle: what an event costs must not grow with their number. It
// runs only when it is asked for, since ten million events take many minutes.
func growth(ctx context.Context, l *lab) error {
	for _, n := range []int{l.events / 10, l.events, 10 * l.events} {
		if err := grow(ctx, l, n); err != nil {
			return fmt.Errorf("%s events: %w", thousands(n), err)
		}
	}
	return nil
}

func grow(ctx context.Context, l *lab, events int) error {
	a := newAudit(simulator.Config{})
	defer a.close()
	n := a.fill(events, 400*day, 2*day)
	l.say("%s events", thousands(n))
	t := l.topics()
	l.create(t)
	environ := l.environ(a, t, "OPENAI_TENANT_EVENTS=off", "BACKFILL_START_TIME=401d")
	began := time.Now()
	first, err := l.start(environ)
	if err != nil {
		return err
	}
	defer first.kill()
	limit := time.Minute + time.Duration(n)*time.Millisecond/3
	length := func() int64 { now, _ := l.length.Committed(ctx, t.events); return now }
	if err := until(ctx, limit, "half of the events", func() bool { return length() >= int64(n/2) }); err != nil {
		return err
	}
	usedBefore, err := first.stop()
	if err != nil {
		return err
	}
	half := length()
	second, err := l.start(environ)
	if err != nil {
		return err
	}
	defer second.kill()
	if err := until(ctx, time.Minute, "a commit after the restart", func() bool { return length() > half }); err != nil {
		return err
	}
	restarted := time.Since(second.began)
	done, err := l.awaitRecords(ctx, second, t.events, n, limit)
	if err != nil {
		return err
	}
	used, err := second.stop()
	if err != nil {
		return err
	}
	state, err := l.length.Written(ctx, t.offsets)
	if err != nil {
		return err
	}
	used.cpu += usedBefore.cpu
	l.report.add(growing, thousands(n), thousands(int(float64(n)/done.Sub(began).Seconds())), fmt.Sprintf("%.2f", used.per100k(n)),
		fmt.Sprintf("%.0f", max(used.rssMiB, usedBefore.rssMiB)), thousands(int(state)), seconds(restarted))
	return l.lossless(ctx, a, t.events)
}
