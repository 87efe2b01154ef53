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

// history reads history from an API that answers after 150 ms, beside a pager that
// asks for one page after the other.
func history(ctx context.Context, l *lab) error {
	a := newAudit(simulator.Config{Latency: latency})
	defer a.close()
	n := a.fill(l.events/10, 400*day, 2*day)
	pages := float64(n) / 100

	const sample = 200
	l.say("one page after the other, %d pages", sample)
	page, err := oneAtATime(ctx, a, min(sample, int(pages)))
	if err != nil {
		return err
	}
	asked := a.Requests().Total
	l.say("ours, %s events", thousands(n))
	took, _, err := l.readHistory(ctx, a, n, l.topics(), fmt.Sprintf("API_CONCURRENCY=%d", concurrency))
	if err != nil {
		return err
	}
	ratio := page.Seconds() * pages / took.Seconds()
	ideal := pages / concurrency * latency.Seconds()
	requests := float64(a.Requests().Total-asked) / pages
	l.report.ratio("history at 150 ms a page, ours to one page after the other", fmt.Sprintf("%.2f×", ratio), "≥ 7.2×", ratio >= 7.2)
	l.report.aim("history at 150 ms a page, to the ideal (pages ÷ 8 × 150 ms)", fmt.Sprintf("%.3f×", took.Seconds()/ideal), "≤ 1.16×", took.Seconds()/ideal <= 1.16)
	l.report.aim("requests a page", fmt.Sprintf("%.3f", requests), "≤ 1.05", requests <= 1.05)
	l.report.figure(fmt.Sprintf("%s events, from process start to the last one committed", thousands(n)), seconds(took))
	l.report.figure(fmt.Sprintf("a page of the pager, over %d pages", sample), seconds(page))
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
