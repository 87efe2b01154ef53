package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// loop measures us beside the bare copy loop, in turns: what the machine does beside it
// falls on both, and the middle one of the rounds counts.
func loop(ctx context.Context, l *lab) error {
	const rounds = 7 // one run differs from the next by a tenth
	all, err := l.contestants(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c contestant) bool { return c.name != ours && c.name != yardstick })
	all = append(all, l.us(unsealed, "KAFKA_SEAL=off"))
	a := newAudit(simulator.Config{NoGzip: true})
	defer a.close()
	n := a.fill(l.events*3/10, 400*day, 2*day)
	results, err := inTurns(ctx, l, a, n, rounds, all)
	if err != nil {
		return err
	}
	speed := between(results[ours], results[yardstick], func(r plainResult) float64 { return r.rate })
	cpu := between(results[ours], results[yardstick], func(r plainResult) float64 { return r.cpu })
	what := fmt.Sprintf(", ours to the bare copy loop, %s events, median of %d rounds", thousands(n), rounds)
	l.report.ratio("events/s"+what, fmt.Sprintf("%.2f×", speed), "≥ 1×", speed >= 1)
	l.report.ratio("CPU for an event"+what, fmt.Sprintf("%.2f×", cpu), "≤ 1×", cpu <= 1)
	seal := between(results[ours], results[unsealed], func(r plainResult) float64 { return r.cpu }) - 1
	l.report.ratio(fmt.Sprintf("CPU for an event that the seal adds, %s events, median of %d rounds", thousands(n), rounds), fmt.Sprintf("%.0f %%", 100*seal), "≤ 5 %", seal <= 0.05)
	for _, r := range []struct {
		name string
		plainResult
	}{{ours, middle(results[ours])}, {unsealed, middle(results[unsealed])}, {yardstick, middle(results[yardstick])}} {
		l.report.figure(r.name, fmt.Sprintf("%s events/s, %.2f CPU-seconds for 100,000, %.0f MiB", thousands(int(r.rate)), r.cpu, r.rssMiB))
	}
	return loopApart(ctx, l, a, n, all[:2])
}

// loopApart does the same on a core that broker and API have no part in.
func loopApart(ctx context.Context, l *lab, a *audit, n int, both []contestant) error {
	const rounds = 5
	const what = "each on a core that broker and API have no part in, ours to the bare copy loop, median of 5 rounds"
	back, err := apart(l)
	if err != nil {
		l.report.add(ratios, "events/s, "+what, "not measured: "+err.Error())
		return nil
	}
	results, err := inTurns(ctx, l, a, n, rounds, both)
	if err = errors.Join(err, back()); err != nil {
		return err
	}
	speed := between(results[ours], results[yardstick], func(r plainResult) float64 { return r.rate })
	l.report.ratio("events/s, "+what, fmt.Sprintf("%.2f×", speed), "≥ 1×", speed >= 1)
	return nil
}

// inTurns lets each of them read the n events, in turns. Who comes first has the broker as
// the one before left it, so every second round is the other way round.
func inTurns(ctx context.Context, l *lab, a *audit, n, rounds int, all []contestant) (map[string][]plainResult, error) {
	all, results := slices.Clone(all), map[string][]plainResult{}
	for range rounds {
		slices.Reverse(all)
		for _, c := range all {
			if c.missing != nil {
				return nil, c.missing
			}
			r, err := l.plain(ctx, c, a, n)
			if err != nil {
				return nil, err
			}
			if !r.topic.OK() {
				return nil, fmt.Errorf("%s: the topic is not the log: %v", c.name, r.topic)
			}
			l.say("%s: %s events/s, %.2f CPU-s for 100,000, %.0f MiB", c.name, thousands(int(r.rate)), r.cpu, r.rssMiB)
			results[c.name] = append(results[c.name], r)
		}
	}
	return results, nil
}

// between takes the median of the rounds' ratios of a figure, one to another: what the
// machine does in a round falls on both.
func between(one, other []plainResult, of func(plainResult) float64) float64 {
	var ratios []float64
	for i, r := range one {
		ratios = append(ratios, of(r)/of(other[i]))
	}
	return median(ratios)
}

// middle takes the median of each figure.
func middle(results []plainResult) (m plainResult) {
	var rates, cpus, sizes []float64
	for _, r := range results {
		rates, cpus, sizes = append(rates, r.rate), append(cpus, r.cpu), append(sizes, r.rssMiB)
	}
	return plainResult{rate: median(rates), cpu: median(cpus), rssMiB: median(sizes)}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
