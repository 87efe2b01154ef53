package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

const (
	latency     = 150 * time.Millisecond // of the API in history
	concurrency = 8                      // API_CONCURRENCY
	day         = 24 * time.Hour
)

// slowHistory is a history whose pages take long, and what is promised of it.
type slowHistory struct {
	name     string
	events   int // of 1,000,000 that the benchmark was asked for
	bursts   bool
	ratio    float64 // to one page after the other, at least; 0: nothing is promised
	requests float64 // a page, at most; 0: likewise
	ideal    float64 // pages ÷ concurrency × latency, times this at most
}

var slowHistories = []slowHistory{
	{name: "even in time", events: 100_000, ratio: 7.2, requests: 1.05, ideal: 1.16},
	{name: "a third of it on 360 seconds", events: 80_000, bursts: true, ratio: 6.9, requests: 1.08, ideal: 1.16},
	{name: "a short one", events: 10_000, ideal: 1.3},
}

// history reads histories from an API that answers after 150 ms, beside a pager that
// asks for one page after the other.
func history(ctx context.Context, l *lab) error {
	var page time.Duration // of the pager
	for _, h := range slowHistories {
		if err := h.read(ctx, l, &page); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

// read reads it. What a page of the pager takes is measured the first time.
func (h slowHistory) read(ctx context.Context, l *lab, page *time.Duration) error {
	a := newAudit(simulator.Config{Latency: latency})
	defer a.close()
	wanted := int(float64(l.events) * float64(h.events) / 1_000_000)
	fill := a.fill
	if h.bursts {
		fill = a.fillBursts
	}
	n := fill(wanted, 400*day, 2*day)
	pages := float64(n) / 100
	const sample = 200
	if *page == 0 {
		l.say("one page after the other, %d pages", sample)
		var err error
		if *page, err = oneAtATime(ctx, a, min(sample, int(pages))); err != nil {
			return err
		}
		l.report.figure(fmt.Sprintf("a page of the pager, over %d pages", sample), seconds(*page))
	}
	asked := a.Requests().Total
	l.say("ours, %s events, %s", thousands(n), h.name)
	took, used, err := l.readHistory(ctx, a, n, l.topics(), fmt.Sprintf("API_CONCURRENCY=%d", concurrency))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("history at 150 ms a page, %s, ", h.name)
	ratio := page.Seconds() * pages / took.Seconds()
	ideal := took.Seconds() / (pages / concurrency * latency.Seconds())
	requests := float64(a.Requests().Total-asked) / pages
	if h.ratio > 0 {
		l.report.ratio(what+"ours to one page after the other", fmt.Sprintf("%.2f×", ratio), fmt.Sprintf("≥ %.1f×", h.ratio), ratio >= h.ratio)
	}
	l.report.aim(what+"to the ideal (pages ÷ 8 × 150 ms)", fmt.Sprintf("%.3f×", ideal), fmt.Sprintf("≤ %.2f×", h.ideal), ideal <= h.ideal)
	if h.requests > 0 {
		l.report.aim(what+"requests a page", fmt.Sprintf("%.3f", requests), fmt.Sprintf("≤ %.2f", h.requests), requests <= h.requests)
	}
	l.report.figure(fmt.Sprintf("%s: %s events, from process start to the last one committed", h.name, thousands(n)),
		fmt.Sprintf("%s, %.0f MiB", seconds(took), used.rssMiB))
	return nil
}

// readHistory runs the connector until the topic holds the n events of history, and
// compares the topic with the API.
func (l *lab) readHistory(ctx context.Context, a *audit, n int, t topics, more ...string) (time.Duration, usage, error) {
	environ := l.environ(a, t, append([]string{"OPENAI_TENANT_EVENTS=off", "BACKFILL_START_TIME=401d"}, more...)...)
	p, err := l.start(environ)
	if err != nil {
		return 0, usage{}, err
	}
	defer p.kill()
	done, err := l.awaitRecords(ctx, p, t.events, n, 5*time.Minute)
	if err != nil {
		return 0, usage{}, err
	}
	used, err := p.stop()
	if err != nil {
		return 0, used, err
	}
	return done.Sub(p.began), used, l.lossless(ctx, a, t.events)
}

// oneAtATime pages through the log as most collectors do, and returns what a page
// costs. It writes nothing, which is in its favour.
func oneAtATime(ctx context.Context, a *audit, pages int) (time.Duration, error) {
	began := time.Now()
	after := ""
	for range pages {
		var page struct {
			Data   []json.RawMessage `json:"data"`
			LastID string            `json:"last_id"`
		}
		if err := getPage(ctx, a, after, &page); err != nil {
			return 0, err
		}
		after = "&after=" + page.LastID
	}
	return time.Since(began) / time.Duration(pages), nil
}

func getPage(ctx context.Context, a *audit, after string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.URL+simulator.Path+"?limit=100"+after, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}
