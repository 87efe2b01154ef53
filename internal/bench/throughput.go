package main

import (
	"context"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// throughput reads history as fast as the machine can, alone and with copies of
// each event in two more topics.
func throughput(ctx context.Context, l *lab) error {
	a := newAudit(simulator.Config{})
	defer a.close()
	n := a.fill(l.events, 400*day, 2*day)

	l.say("%s events", thousands(n))
	t := l.topics()
	took, used, err := l.readHistory(ctx, a, n, t)
	if err != nil {
		return err
	}
	rate, cpu := float64(n)/took.Seconds(), used.per100k(n)
	l.report.aim("history without latency, events/s", thousands(int(rate)), "≥ 40,000 on 2 cores", rate >= 40_000)
	l.report.aim("CPU-seconds per 100,000 events", fmt.Sprintf("%.2f", cpu), "≤ 2.5", cpu <= 2.5)
	l.report.aim(fmt.Sprintf("resident memory through %s events", thousands(n)), fmt.Sprintf("%.0f MiB", used.rssMiB), "≤ 64 MiB", used.rssMiB <= 64)
	l.report.figure("transactions for it", thousands(l.transactions(ctx, t.events, n)))

	l.say("%s events, JSON and OCSF too", thousands(n))
	t = l.topics()
	json, ocsf := t.events+".json", t.events+".ocsf"
	took, used, err = l.readHistory(ctx, a, n, t, "KAFKA_JSON_TOPIC="+json, "KAFKA_OCSF_TOPIC="+ocsf)
	if err != nil {
		return err
	}
	if err := l.lossless(ctx, a, json, ocsf); err != nil {
		return err
	}
	l.report.aim("resident memory with JSON and OCSF topics", fmt.Sprintf("%.0f MiB", used.rssMiB), "≤ 128 MiB", used.rssMiB <= 128)
	l.report.figure("with JSON and OCSF topics, events/s", thousands(int(float64(n)/took.Seconds())))
	l.report.figure("with JSON and OCSF topics, CPU-seconds per 100,000 events", fmt.Sprintf("%.2f", used.per100k(n)))
	return nil
}

// per100k is the CPU time in seconds for each 100,000 of n events.
func (u usage) per100k(n int) float64 { return u.cpu.Seconds() * 100_000 / float64(n) }

// transactions is how many wrote the n records of a topic with one partition.
func (l *lab) transactions(ctx context.Context, topic string, n int) int {
	length, err := l.length.Committed(ctx, topic)
	if err != nil {
		return 0
	}
	return int(length) - n
}
