package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// peers lets us and other programs do the same work: first history without
// latency and without trouble, then a log that grows while it is read, with late
// events and a kill -9.
func peers(ctx context.Context, l *lab) error {
	all, err := l.contestants(ctx)
	if err != nil {
		return err
	}
	return errors.Join(l.plainWork(ctx, all), l.hardWork(ctx, all))
}

// contestant is a program that brings the log into Kafka.
type contestant struct {
	name, delivers string
	// plainOnly says that it keeps nothing to go on from, and so has no part in the
	// hard work.
	plainOnly bool
	// start starts it: once, or to poll every second. dir keeps its state.
	start func(mode string, j job) (*process, error)
	// missing is why it cannot be measured here; nil if it can.
	missing error
}

// job is what a contestant is to do.
type job struct {
	a     *audit
	t     topics
	dir   string
	since time.Time
}

const (
	ours      = "openai-audit-kafka" // it and unsealed end only when they are told to
	unsealed  = "openai-audit-kafka without a seal"
	yardstick = "the bare copy loop" // the least that a program does
)

func (l *lab) us(name string, more ...string) contestant {
	return contestant{name: name, delivers: "exactly once, Avro", start: func(_ string, j job) (*process, error) {
		return l.start(l.environ(j.a, j.t, append([]string{"OPENAI_TENANT_EVENTS=off", "POLL_INTERVAL=1s",
			"BACKFILL_START_TIME=" + j.since.UTC().Format(time.RFC3339)}, more...)...))
	}}
}

// script makes a contestant of a command that takes: once or poll, URL, key,
// brokers, topic, a folder for its state, and the Unix time to begin at.
func (l *lab) script(command ...string) func(string, job) (*process, error) {
	return func(mode string, j job) (*process, error) {
		args := slices.Concat(command[1:], []string{mode, j.a.url(), simulator.Key,
			strings.Join(l.cluster.Brokers(), ","), j.t.events, j.dir, strconv.FormatInt(j.since.Unix(), 10)})
		return launch(l.command(command[0], args...))
	}
}

func (l *lab) job(a *audit, age time.Duration) (job, error) {
	dir, err := l.tempDir()
	return job{a: a, t: l.topics(), dir: dir, since: time.Now().Add(-age)}, err
}

// plainWork lets one after the other read the same history.
func (l *lab) plainWork(ctx context.Context, all []contestant) error {
	// Not all can ask for compressed answers, and all are to do the same.
	a := newAudit(simulator.Config{NoGzip: true})
	defer a.close()
	n := a.fill(l.events/10, 400*day, 2*day)
	l.report.figure("events of the plain work", thousands(n))
	var own plainResult
	for _, c := range all {
		if c.missing != nil {
			l.report.add(plainWork, c.name, "not measured: "+c.missing.Error())
			continue
		}
		l.say("%s, %s events", c.name, thousands(n))
		r, err := l.plain(ctx, c, a, n)
		if err != nil {
			l.say("%s: %v", c.name, err)
			l.report.add(plainWork, c.name, "failed")
			continue
		}
		l.report.add(plainWork, c.name, thousands(int(r.rate)), fmt.Sprintf("%.2f", r.cpu), fmt.Sprintf("%.0f", r.rssMiB),
			fmt.Sprint(len(r.topic.Missing)), fmt.Sprint(len(r.topic.Doubled)), c.delivers)
		if c.name == ours {
			own = r
			continue
		}
		if own.rate > 0 {
			l.against(c, own, r)
		}
	}
	return nil
}

// against reports our result beside that of another one.
func (l *lab) against(c contestant, own, other plainResult) {
	if c.name == yardstick {
		return // the part loop measures that
	}
	speed, cpu := own.rate/other.rate, other.cpu/own.cpu
	const faster, cheaper = "events/s, ours to ", "CPU for an event, %s to ours"
	l.report.add(ratios, faster+c.name, fmt.Sprintf("%.1f×", speed))
	l.report.add(ratios, fmt.Sprintf(cheaper, c.name), fmt.Sprintf("%.1f×", cpu))
}

// plainResult is how a contestant did the plain work.
type plainResult struct {
	rate, cpu, rssMiB float64
	topic             kafkatest.Report
}

// plain lets one contestant read history, and compares its topic with the API.
func (l *lab) plain(ctx context.Context, c contestant, a *audit, n int) (r plainResult, err error) {
	j, err := l.job(a, 401*day)
	if err != nil {
		return r, err
	}
	l.create(j.t)
	p, err := c.start("once", j)
	if err != nil {
		return r, err
	}
	defer p.kill()
	var took time.Duration
	var used usage
	if c.name == ours || c.name == unsealed {
		done, err := l.awaitRecords(ctx, p, j.t.events, n, 3*time.Minute)
		if err != nil {
			return r, err
		}
		took = done.Sub(p.began)
		used, err = p.stop()
		if err != nil {
			return r, err
		}
	} else {
		if used, err = p.finish(ctx, 4*time.Minute); err != nil {
			return r, err
		}
		took = p.end.Sub(p.began)
	}
	r.rate, r.cpu, r.rssMiB = float64(n)/took.Seconds(), used.per100k(n), used.rssMiB
	r.topic, err = l.compare(ctx, a, j.t.events)
	return r, err
}
