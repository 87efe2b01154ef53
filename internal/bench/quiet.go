package main

import (
	"context"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// quietLog is a connector at a log in which nothing happens.
type quietLog struct {
	interval time.Duration
	a        *audit
	t        topics
	p        *process

	asked   requests
	written int64
	cpu     time.Duration
}

// quiet measures what a log costs in which nothing happens, at two intervals side
// by side: both hardly do anything.
func quiet(ctx context.Context, l *lab) error {
	const span = 70 * time.Second // whole polls, and a walk of the whole LOOKBACK
	var logs []*quietLog
	for _, interval := range []time.Duration{10 * time.Second, time.Second} {
		q, err := l.startQuiet(ctx, interval)
		if err != nil {
			return err
		}
		defer q.a.close()
		defer q.p.kill()
		logs = append(logs, q)
	}
	if err := pause(ctx, 12*time.Second); err != nil {
		return err
	}
	for _, q := range logs {
		if err := q.note(ctx, l); err != nil {
			return err
		}
	}
	l.say("%v of nothing", span)
	began := time.Now()
	if err := pause(ctx, span); err != nil {
		return err
	}
	took := time.Since(began)
	for _, q := range logs {
		before := *q
		if err := q.note(ctx, l); err != nil {
			return err
		}
		q.tell(l, before, took)
		if _, err := q.p.stop(); err != nil {
			return err
		}
	}
	return nil
}

// startQuiet starts a connector and waits until it has read what is there: events
// for three pages within LOOKBACK, so that a walk of it costs something.
func (l *lab) startQuiet(ctx context.Context, interval time.Duration) (*quietLog, error) {
	q := &quietLog{interval: interval, a: newAudit(simulator.Config{}), t: l.topics()}
	q.a.fill(250, 5*time.Minute, 2*time.Minute)
	var err error
	if q.p, err = l.start(l.environ(q.a, q.t, "BACKFILL_START_TIME=1d", "POLL_INTERVAL="+interval.String())); err != nil {
		return nil, err
	}
	_, err = l.awaitRecords(ctx, q.p, q.t.events, q.a.Len(), time.Minute)
	return q, err
}

// note records what it has used up to now.
func (q *quietLog) note(ctx context.Context, l *lab) (err error) {
	q.asked = q.a.asked()
	if q.written, err = l.length.Written(ctx, q.t.events, q.t.dlq, q.t.offsets); err != nil {
		return err
	}
	q.cpu, err = cpuOf(q.p.cmd.Process.Pid)
	return err
}

// tell reports what was used since before.
func (q *quietLog) tell(l *lab, before quietLog, took time.Duration) {
	const scopes = 2
	polls := took.Seconds() / q.interval.Seconds() * scopes
	first := float64(q.asked.first-before.asked.first) / polls
	further := q.asked.further - before.asked.further
	written := q.written - before.written
	share := func(d time.Duration) float64 { return d.Seconds() / took.Seconds() * 100 }
	cpu := share(q.cpu - before.cpu)
	text := fmt.Sprintf("%.2f %%", cpu)
	if cpu == 0 { // less than is counted
		text = fmt.Sprintf("< %.2f %%", share(tick))
	}
	name := fmt.Sprintf("quiet log, POLL_INTERVAL=%v, ", q.interval)
	// A poll more or less falls into the time, and a walk may come between two polls.
	l.report.aim(name+"requests a poll and scope", fmt.Sprintf("%.2f", first), "1", first <= 1.05)
	l.report.aim(name+"records and markers written", fmt.Sprint(written), "0", written == 0)
	l.report.aim(name+"CPU of one core", text, "≤ 0.5 %", cpu <= 0.5)
	l.report.figure(name+fmt.Sprintf("further pages of walks of the whole LOOKBACK, here 3 pages, in %.0f s", took.Seconds()), fmt.Sprint(further))
}
