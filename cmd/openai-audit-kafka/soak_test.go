package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestSoak runs one connector for as long as SOAK says, with faults of the API, of
// the wire and of the broker, and looks at what might grow: memory, goroutines, open
// files, the offsets topic. Without SOAK it is seconds, which prove that it works.
func TestSoak(t *testing.T) {
	long := 20 * time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK=%q: %v", text, err)
		}
	}
	c := kafkatest.Real(t, kafkatest.Properties(map[string]string{"log.cleaner.backoff.ms": "5000"}))
	trials := kafkatest.NewTrials(t, c.Backend(), "soak")
	w := newProcesses(t, c)
	// What takes hours with the shipped settings takes a minute with these: ids are
	// forgotten, segments closed and compacted.
	w.c.CreateTopic(w.topics[2], 1, map[string]string{
		"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "30000",
		"min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "30000", "delete.retention.ms": "1000",
	})
	w.extra = []string{"LOOKBACK=1m", "DEEP_LOOKBACK=0"}
	w.addr = freeAddr(t)
	p := w.start(w.proxy.Brokers())
	w.await()
	ctx, stopFeed := context.WithCancel(t.Context())
	defer stopFeed()
	var feed sync.WaitGroup
	feed.Go(func() { w.api.Feed(ctx, 10) })
	samples := w.soak(p, long)
	stopFeed()
	feed.Wait()
	w.proxy.Clear()
	w.proxy.Dark(0)
	w.api.SetFaults(nil)
	trials.Add(1, await(t, c, w.api, w.topics[:2]))
	w.alive(p)
	printSamples(samples)
	judge(t, samples)
	strikes := 0
	for _, n := range w.proxy.Strikes() {
		strikes += n
	}
	if strikes == 0 {
		t.Error("no fault struck on the wire")
	}
	t.Logf("faults on the wire: %v", w.proxy.Strikes())
}

// soak lets things go wrong for that long, and takes samples.
func (w *processes) soak(p *process, long time.Duration) (samples []sample) {
	w.t.Helper()
	oneIn := 60
	if long < 2*time.Minute {
		oneIn = 4 // there are few requests, and some must meet a fault
	}
	w.proxy.Random(kafkatest.Seeds(w.t, 1)[0], oneIn, kafkatest.Fault{Key: kafkatest.AnyKey, Delay: time.Second, Dark: 300 * time.Millisecond},
		kafkatest.CutBefore, kafkatest.CutInside, kafkatest.CutAfterApplied, kafkatest.CutInAnswer,
		kafkatest.DelayRequest, kafkatest.DelayAnswer, kafkatest.SwallowRequest, kafkatest.SwallowAnswer)
	w.api.SetFaults(map[simulator.Fault]float64{
		simulator.ServerError: 0.02, simulator.CutBody: 0.02, simulator.RateLimitSeconds: 0.02, simulator.HangInBody: 0.002,
		simulator.Reset: 0.02, simulator.HTML: 0.01, simulator.WrongKey: 0.005,
	})
	began := time.Now()
	every := min(max(long/40, time.Second), 30*time.Second)
	nextKill := began.Add(2 * time.Minute)
	for time.Since(began) < long {
		time.Sleep(every)
		samples = append(samples, w.sample(p, time.Since(began)))
		if time.Now().After(nextKill) {
			w.must(w.c.Node(0).Kill())
			w.must(w.c.Node(0).Start())
			w.c.WaitReady()
			nextKill = time.Now().Add(3 * time.Minute)
		}
	}
	return samples
}

// sample is what the process and its topic take at a moment.
type sample struct {
	at                              time.Duration
	rss, goroutines, files, offsets int64
}

func (w *processes) sample(p *process, at time.Duration) sample {
	w.t.Helper()
	pid := p.cmd.Process.Pid
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	w.must(err)
	return sample{
		at: at.Round(time.Second), rss: rss(w.t, pid), files: int64(len(files)),
		goroutines: metric(w.t, w.addr, "go_goroutines"), offsets: w.kafka().size(w.topics[2]),
	}
}

// size returns the bytes of a topic on the broker's disk.
func (w inKafka) size(topic string) (bytes int64) {
	w.t.Helper()
	dirs, err := w.c.Admin().DescribeAllLogDirs(w.t.Context(), nil)
	w.must(err)
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.Topic == topic {
				bytes += p.Size
			}
		})
	})
	return bytes
}

// metric returns one value of the instance's metrics.
func metric(t *testing.T, addr, name string) int64 {
	t.Helper()
	_, text := get(t, addr, "/metrics")
	for line := range strings.Lines(text) {
		var value float64
		if rest, is := strings.CutPrefix(line, name+" "); is {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				t.Fatal(err)
			}
			return int64(value)
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func printSamples(samples []sample) {
	fmt.Printf("%8s  %7s  %10s  %5s  %11s\n", "time", "RSS MiB", "goroutines", "files", "offsets KiB")
	for _, s := range samples {
		fmt.Printf("%8v  %7.1f  %10d  %5d  %11d\n", s.at, float64(s.rss)/(1<<20), s.goroutines, s.files, s.offsets>>10)
	}
}

// judge compares the last quarter of the samples with the second one: in the first
// one everything is still being built up.
func judge(t *testing.T, samples []sample) {
	t.Helper()
	n := len(samples)
	if n < 8 {
		t.Fatalf("only %d samples", n)
	}
	for _, what := range []struct {
		name  string
		of    func(sample) int64
		slack int64 // on top of a quarter
	}{
		{"resident memory", func(s sample) int64 { return s.rss }, 8 << 20},
		{"goroutines", func(s sample) int64 { return s.goroutines }, 20},
		{"open files", func(s sample) int64 { return s.files }, 10},
		{"the offsets topic", func(s sample) int64 { return s.offsets }, 1 << 20},
	} {
		median := func(part []sample) int64 {
			values := make([]int64, len(part))
			for i, s := range part {
				values[i] = what.of(s)
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		early, late := median(samples[n/4:n/2]), median(samples[3*n/4:])
		t.Logf("%s: %d in the second quarter, %d in the last", what.name, early, late)
		if late > early+early/4+what.slack {
			t.Errorf("%s grew from %d to %d", what.name, early, late)
		}
	}
}
