package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// loop measures us beside the bare copy loop, in turns: what the machine does beside it
// falls on both, and the middle one of three counts.
func loop(ctx context.Context, l *lab) error {
	const rounds = 3
	all, err := l.contestants(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c contestant) bool { return c.name != ours && c.name != yardstick })
	all = append(all, l.us(unsealed, "KAFKA_SEAL=off"))
	a := newAudit(simulator.Config{NoGzip: true})
	defer a.close()
	n := a.fill(l.events*3/10, 400*day, 2*day)
	results := map[string][]plainResult{}
	for range rounds {
		slices.Reverse(all) // who comes first has the broker as the one before left it
		for _, c := range all {
			if c.missing != nil {
				return c.missing
			}
			r, err := l.plain(ctx, c, a, n)
			if err != nil {
				return err
			}
			if !r.topic.OK() {
				return fmt.Errorf("%s: the topic is not the log: %v", c.name, r.topic)
			}
			l.say("%s: %s events/s, %.2f CPU-s for 100,000, %.0f MiB", c.name, thousands(int(r.rate)), r.cpu, r.rssMiB)
			results[c.name] = append(results[c.name], r)
		}
	}
	us, bare, plain := middle(results[ours]), middle(results[yardstick]), middle(results[unsealed])
	speed, cpu := us.rate/bare.rate, us.cpu/bare.cpu
	what := fmt.Sprintf(", ours to the bare copy loop, %s events, medians of %d", thousands(n), rounds)
	l.report.ratio("events/s"+what, fmt.Sprintf("%.2f×", speed), "≥ 1×", speed >= 1)
	l.report.ratio("CPU for an event"+what, fmt.Sprintf("%.2f×", cpu), "≤ 1×", cpu <= 1)
	seal := us.cpu/plain.cpu - 1
	l.report.ratio(fmt.Sprintf("CPU for an event that the seal adds, %s events, medians of %d", thousands(n), rounds), fmt.Sprintf("%.0f %%", 100*seal), "≤ 5 %", seal <= 0.05)
	for _, r := range []struct {
		name string
		plainResult
	}{{ours, us}, {unsealed, plain}, {yardstick, bare}} {
		l.report.figure(r.name, fmt.Sprintf("%s events/s, %.2f CPU-seconds for 100,000, %.0f MiB", thousands(int(r.rate)), r.cpu, r.rssMiB))
	}
	return nil
}

// middle takes the median of each figure.
func middle(results []plainResult) (m plainResult) {
	median := func(of func(plainResult) float64) float64 {
		var all []float64
		for _, r := range results {
			all = append(all, of(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	m.rate = median(func(r plainResult) float64 { return r.rate })
	m.cpu = median(func(r plainResult) float64 { return r.cpu })
	m.rssMiB = median(func(r plainResult) float64 { return r.rssMiB })
	return m
}
