package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// hardWork lets all read the same log side by side: it grows while they page, some
// events show up 30 s late, and each is killed in the middle of its history and
// started again. Then what each lost and doubled is counted.
func (l *lab) hardWork(ctx context.Context, all []contestant) error {
	const (
		growing = 25 * time.Second
		// settling is as long as a late event may take us, and a little more.
		settling = 65 * time.Second
		lateBy   = 30 * time.Second
	)
	a := newAudit(simulator.Config{})
	defer a.close()
	n := a.fill(l.events/50, 30*day, time.Hour)

	l.say("a log of %s events that grows, late events, a kill -9, for %v", thousands(n), growing+settling)
	feeding, stop := context.WithTimeout(ctx, growing)
	defer stop()
	var fed sync.WaitGroup
	fed.Go(func() { feed(feeding, a, "live", 20) })
	fed.Go(func() { feedLate(feeding, a, 2, lateBy) })
	var racers []*racer
	for _, c := range all {
		if c.missing != nil || c.plainOnly {
			continue
		}
		j, err := l.job(a, 60*day)
		if err != nil {
			return err
		}
		l.create(j.t)
		r := &racer{l: l, contestant: c, job: j, n: n}
		defer r.end()
		racers = append(racers, r)
		fed.Go(func() { r.err = r.race(ctx) })
	}
	fed.Wait()
	if err := pause(ctx, settling); err != nil {
		return err
	}
	for _, r := range racers {
		if err := r.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// feedLate shows events that are older than what is shown besides.
func feedLate(ctx context.Context, a *audit, perSecond int, age time.Duration) {
	for i := 0; pause(ctx, time.Second/time.Duration(perSecond)) == nil; i++ {
		a.show(fmt.Sprintf("%slate-%d", mark, i), age)
	}
}

// racer is a contestant at hard work.
type racer struct {
	l *lab
	contestant
	job
	n   int // events of history
	p   *process
	err error
}

// race starts it, kills it when a third of the history is in its topic, and starts
// it again.
func (r *racer) race(ctx context.Context) (err error) {
	if r.p, err = r.start("poll", r.job); err != nil {
		return err
	}
	err = until(ctx, time.Minute, r.name+" has a third of the history in Kafka", func() bool {
		written, err := r.l.length.Written(ctx, r.t.events)
		return err == nil && written >= int64(r.n/3) || r.p.ended()
	})
	if err != nil {
		return err
	}
	if r.p.ended() {
		return fmt.Errorf("it ended by itself:\n%s", r.p.words())
	}
	r.p.kill()
	r.p, err = r.start("poll", r.job)
	return err
}

// end kills it, if it runs.
func (r *racer) end() {
	if r.p != nil {
		r.p.kill()
	}
}

// tell stops it and counts what is in its topic.
func (r *racer) tell(ctx context.Context) error {
	if r.err == nil && r.p.ended() {
		r.err = fmt.Errorf("it ended by itself:\n%s", r.p.words())
	}
	if r.err != nil {
		r.l.say("%s: %v", r.name, r.err)
		r.l.report.add(hardWork, r.name, "failed")
		return nil
	}
	if r.name == ours {
		if _, err := r.p.stop(); err != nil {
			return err
		}
	}
	r.end()
	report, err := r.l.compare(ctx, r.a, r.t.events)
	if err != nil {
		return err
	}
	late := 0
	for _, id := range report.Missing {
		if strings.HasPrefix(id, mark+"late-") {
			late++
		}
	}
	r.l.report.add(hardWork, r.name, thousands(report.API), thousands(len(report.Missing)), thousands(late), thousands(len(report.Doubled)))
	if r.name == ours {
		r.l.report.aim("lost and doubled when things go wrong", fmt.Sprintf("%d and %d", len(report.Missing), len(report.Doubled)), "0 and 0", report.OK())
	}
	return nil
}
