package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// instance is one of a group.
type instance struct {
	*process
	addr string
}

// takeover measures how long it takes until a standby has written an event that
// was shown after the active instance was killed, or told to leave.
func takeover(ctx context.Context, l *lab) error {
	const rounds = 3
	a := newAudit(simulator.Config{})
	defer a.close()
	n := a.fill(l.events/200, 30*day, time.Hour)
	t := l.topics()
	l.create(t)
	group := &group{l: l, a: a, t: t}
	defer group.killAll()
	for range 2 {
		if err := group.add(); err != nil {
			return err
		}
	}
	w := l.watch(ctx, t)
	defer w.stop()
	if err := w.awaitCount(ctx, n, time.Minute); err != nil {
		return err
	}
	var killed, left []time.Duration
	for round := range 2 * rounds {
		if err := pause(ctx, 4*time.Second); err != nil { // until both have joined
			return err
		}
		kill := round%2 == 0
		took, err := group.fail(ctx, w, fmt.Sprintf("takeover-%d", round), kill)
		if err != nil {
			return err
		}
		l.say("takeover %d: kill -9 %v, %s", round+1, kill, seconds(took))
		if kill {
			killed = append(killed, took)
		} else {
			left = append(left, took)
		}
		if err := group.add(); err != nil {
			return err
		}
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	r, err := l.compare(ctx, a, t.events)
	if err != nil {
		return err
	}
	worst := quantile(killed, 1)
	l.report.aim(fmt.Sprintf("takeover after kill -9, worst of %d", rounds), seconds(worst), "≤ 10.00 s", worst <= 10*time.Second)
	worst = quantile(left, 1)
	l.report.aim(fmt.Sprintf("takeover after SIGTERM, worst of %d", rounds), seconds(worst), "≤ 2.00 s", worst <= 2*time.Second)
	l.report.aim("lost and doubled in these takeovers", fmt.Sprintf("%d and %d", len(r.Missing), len(r.Doubled)), "0 and 0", r.OK())
	return nil
}

// group is the instances of one KAFKA_GROUP_ID.
type group struct {
	l         *lab
	a         *audit
	t         topics
	instances []instance
}

func (g *group) add() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	p, err := g.l.start(g.l.environ(g.a, g.t, "KAFKA_GROUP_ID="+g.t.events, "POLL_INTERVAL=1s", "BACKFILL_START_TIME=60d",
		"OPENAI_TENANT_EVENTS=off", "HTTP_ADDR="+addr))
	if err != nil {
		return err
	}
	g.instances = append(g.instances, instance{p, addr})
	return nil
}

func (g *group) killAll() {
	for _, i := range g.instances {
		i.kill()
	}
}

// fail ends the active instance, and returns after how long the other one had
// written an event that was shown later.
func (g *group) fail(ctx context.Context, w *watch, name string, kill bool) (time.Duration, error) {
	active, err := g.active(ctx)
	if err != nil {
		return 0, err
	}
	stopped := make(chan error, 1)
	began := time.Now()
	if kill {
		active.kill()
		stopped <- nil
	} else {
		go func() { _, err := active.stop(); stopped <- err }() // ends within 15 s
	}
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	go feed(feeding, g.a, name, 20) // ends with feeding
	var first time.Time
	err = w.until(ctx, 30*time.Second, "an event after the takeover", func() (ok bool) {
		first, ok = w.event(mark + name + "-0")
		return ok
	})
	return first.Sub(began), errors.Join(err, <-stopped)
}

// active takes the instance that leads out of the group.
func (g *group) active(ctx context.Context) (instance, error) {
	for n, i := range g.instances {
		if leads(ctx, i.addr) {
			g.instances = append(g.instances[:n:n], g.instances[n+1:]...)
			return i, nil
		}
	}
	return instance{}, errors.New("no instance says that it leads")
}

// leads reports whether an instance says that it works for the organization.
func leads(ctx context.Context, addr string) bool {
	text, ok := page(ctx, addr, "/metrics")
	return ok && strings.Contains(text, `openai_audit_leader{organization="default"} 1`)
}

// page returns what a connector answers at a path; ok is false unless it is 200.
func page(ctx context.Context, addr, path string) (text string, ok bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return "", false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err == nil && resp.StatusCode == http.StatusOK
}
