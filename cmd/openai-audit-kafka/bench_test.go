package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// bench is the real process between real Kafka and a simulated API, whose cost is
// this process's.
type bench struct {
	b      *testing.B
	c      *kafkatest.Cluster
	api    *simulator.API
	server *httptest.Server
	env    []string
	topic  string
	start  time.Time
	events int // of the organization, which is read alone
}

// newBench returns a bench with n events that are older than DEEP_LOOKBACK.
func newBench(b *testing.B, n int, latency time.Duration, env ...string) *bench {
	b.Helper()
	x := &bench{b: b, c: kafkatest.Real(b)}
	x.api = simulator.New(simulator.Config{Seed: 5, Latency: latency})
	now := time.Now()
	x.start = now.Add(-400 * 24 * time.Hour)
	x.api.Generate(n, auditlog.SecondOf(x.start), auditlog.SecondOf(now.Add(-48*time.Hour)))
	for ev := range x.api.Truth() {
		if ev.Scopes[0] == auditlog.ScopeOrganization {
			x.events++
		}
	}
	x.server = httptest.NewServer(x.api)
	b.Cleanup(x.server.Close)
	x.topic = x.c.Name("events")
	x.env = append([]string{
		"OPENAI_ADMIN_KEY=" + simulator.Key,
		"OPENAI_BASE_URL=" + x.server.URL + "/v1",
		"OPENAI_TENANT_EVENTS=off",
		"BACKFILL_START_TIME=" + x.start.UTC().Format(time.RFC3339),
		"KAFKA_BROKERS=" + strings.Join(x.c.Brokers(), ","),
		"KAFKA_TOPIC=" + x.topic, "KAFKA_DLQ_TOPIC=" + x.topic + ".dlq", "KAFKA_OFFSETS_TOPIC=" + x.topic + ".offsets",
		"HTTP_ADDR=off", "LOG_LEVEL=warn",
	}, env...)
	return x
}

// run runs the process until the topic holds that many records, and returns the
// time that took and what it used.
func (x *bench) run(records int64) (took time.Duration, used *syscall.Rusage, rssMiB float64) {
	x.b.Helper()
	cmd := exec.Command(os.Args[0], asProgram)
	cmd.Env, cmd.Stderr = x.env, os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		x.b.Fatal(err)
	}
	for x.records() < records {
		if time.Since(began) > 2*time.Minute {
			x.b.Errorf("%d records after two minutes", x.records())
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	took = time.Since(began)
	rssMiB = peakRSS(x.b, cmd.Process.Pid)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		x.b.Errorf("the process: %v", err)
	}
	return took, cmd.ProcessState.SysUsage().(*syscall.Rusage), rssMiB
}

// peakRSS is the most memory the process had resident. The one of getrusage will
// not do: it counts what the parent had when it started the process.
func peakRSS(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// records is how many offsets the events topic has, markers not counted: each
// transaction ends in one, so it is the number of events, or a little more.
func (x *bench) records() int64 {
	ends, err := x.c.Admin().ListCommittedOffsets(x.b.Context(), x.topic)
	if err != nil {
		return 0
	}
	var sum int64
	for _, partitions := range ends {
		for _, o := range partitions {
			sum += o.Offset
		}
	}
	return sum
}

var benchEvents = flag.Int("bench.events", 1_100_000, "how many events BenchmarkThroughput makes, a tenth of them the tenant's")

// BenchmarkThroughput reads history as fast as the machine can: events/s, CPU
// seconds per 100,000 events, and the largest resident memory.
func BenchmarkThroughput(b *testing.B) {
	x := newBench(b, *benchEvents, 0)
	for b.Loop() {
		took, used, rss := x.run(int64(x.events))
		n := float64(x.events)
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		b.ReportMetric(n/took.Seconds(), "events/s")
		b.ReportMetric(cpu.Seconds()*100_000/n, "CPU-s/100k")
		b.ReportMetric(rss, "RSS-MiB")
		b.ReportMetric(float64(x.api.Requests().Total)/(n/100), "requests/page")
	}
}

// BenchmarkHistory reads history from an API that answers after 150 ms, with eight
// requests in flight, beside a pager that asks for one page after the other.
func BenchmarkHistory(b *testing.B) {
	const n, latency = 100_000, 150 * time.Millisecond
	x := newBench(b, n, latency)
	for b.Loop() {
		took, _, _ := x.run(int64(x.events))
		requests := float64(x.api.Requests().Total)
		page := x.oneAtATime(60)
		pages := float64(x.events) / 100
		ideal := time.Duration(pages / 8 * float64(latency))
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(took.Seconds()/ideal.Seconds(), "x-ideal")
		b.ReportMetric(page.Seconds()*pages/took.Seconds(), "x-one-at-a-time")
		b.ReportMetric(requests/pages, "requests/page")
	}
}

// oneAtATime pages through the same log as most collectors do, and returns what a
// page costs.
func (x *bench) oneAtATime(pages int) time.Duration {
	x.b.Helper()
	began := time.Now()
	after := ""
	for range pages {
		req, err := http.NewRequestWithContext(x.b.Context(), http.MethodGet,
			x.server.URL+simulator.Path+"?limit=100"+after, nil)
		if err != nil {
			x.b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+simulator.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			x.b.Fatal(err)
		}
		var page struct {
			LastID string `json:"last_id"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			x.b.Fatal(err)
		}
		after = "&after=" + page.LastID
	}
	return time.Since(began) / time.Duration(pages)
}
