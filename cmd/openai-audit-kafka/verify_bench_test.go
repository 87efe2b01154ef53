package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

var verifyEvents = flag.Int("verify.events", 1_000_000, "how many events BenchmarkVerify makes")

// BenchmarkVerify verifies a topic that lacks a million events, repairs it, is killed
// half way, repairs the rest, and verifies it once more:
// seconds and largest resident memory of the real process for each. Each event is
// in the topic once at the end.
func BenchmarkVerify(b *testing.B) {
	for b.Loop() {
		x := newBench(b)
		x.readNothing()
		// They show up long after their time, so that nobody but a repair looks there.
		n := *verifyEvents
		x.api.Generate(n, auditlog.SecondOf(x.start), auditlog.SecondOf(time.Now().Add(-48*time.Hour)))

		report := x.verify("missing", exitFound)
		b.ReportMetric(float64(len(report.Missing)), "missing")
		x.killedRepair(int64(n / 2))
		report = x.verify("repair", exitDone, "--repair")
		if *report.Repaired == 0 || *report.Repaired == n {
			b.Errorf("%d of %d were repaired after the kill", *report.Repaired, n)
		}
		if report = x.verify("whole", exitDone); report.API != n || report.Topic != n {
			b.Errorf("%d in the API and %d in the topic, want %d", report.API, report.Topic, n)
		}
	}
}

// bench is the real process between real Kafka and a simulated API, whose cost is
// this process's.
type bench struct {
	b     *testing.B
	c     *kafkatest.Cluster
	api   *simulator.API
	env   []string
	topic string
	start time.Time
}

func newBench(b *testing.B) *bench {
	b.Helper()
	x := &bench{b: b, c: kafkatest.Real(b), api: simulator.New(simulator.Config{Seed: 5})}
	x.start = time.Now().Add(-400 * 24 * time.Hour)
	server := httptest.NewServer(x.api)
	b.Cleanup(server.Close)
	x.topic = x.c.Name("events")
	x.env = []string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + server.URL + "/v1",
		"BACKFILL_START_TIME=" + x.start.UTC().Format(time.RFC3339),
		"KAFKA_BROKERS=" + strings.Join(x.c.Brokers(), ","),
		"KAFKA_TOPIC=" + x.topic, "KAFKA_DLQ_TOPIC=" + x.topic + ".dlq", "KAFKA_OFFSETS_TOPIC=" + x.topic + ".offsets",
		"HTTP_ADDR=off", "LOG_LEVEL=warn",
	}
	return x
}

// records is how many offsets the events topic has: each transaction ends in one
// that is a marker, so it is the number of events, or a little more.
func (x *bench) records() (sum int64) {
	ends, err := x.c.Admin().ListCommittedOffsets(x.b.Context(), x.topic)
	if err != nil {
		return 0
	}
	for _, partitions := range ends {
		for _, o := range partitions {
			sum += o.Offset
		}
	}
	return sum
}

// readNothing runs the connector until its history is read, of an empty log. A quiet
// log writes its cursor every ten minutes, and when it is told to stop.
func (x *bench) readNothing() {
	x.b.Helper()
	var shown []byte
	for range 10 {
		x.runFor(3 * time.Second)
		show := exec.Command(os.Args[0], asProgram, "cursor", "show", "--output", "json")
		show.Env = x.env
		shown, _ = show.Output() // fails until there is a cursor
		var cursor map[string]any
		if json.Unmarshal(shown, &cursor) == nil && cursor["floor"] != nil && cursor["history_to"] == nil {
			return
		}
	}
	x.b.Fatalf("the history of an empty log is not read: %s", shown)
}

func (x *bench) runFor(d time.Duration) {
	x.b.Helper()
	cmd := exec.Command(os.Args[0], asProgram)
	cmd.Env, cmd.Stderr = x.env, os.Stderr
	if err := cmd.Start(); err != nil {
		x.b.Fatal(err)
	}
	time.Sleep(d)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		x.b.Fatalf("the process: %v", err)
	}
}

// found is what of the report is looked at.
type found struct {
	API, Topic       int
	Missing, Doubled []string
	Repaired         *int
}

// verify runs the command and reports what it took under the name.
func (x *bench) verify(name string, code int, flags ...string) (report found) {
	x.b.Helper()
	cmd := x.command(flags...)
	var out bytes.Buffer
	cmd.Stdout = &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		x.b.Fatal(err)
	}
	var peak atomic.Int64 // in KiB
	done := make(chan struct{})
	go func() { // ends with the process
		for ; ; time.Sleep(20 * time.Millisecond) {
			select {
			case <-done:
				return
			default:
				peak.Store(max(peak.Load(), highWater(cmd.Process.Pid)))
			}
		}
	}()
	_ = cmd.Wait()
	close(done)
	if got := cmd.ProcessState.ExitCode(); got != code {
		x.b.Fatalf("%s: exit code %d, want %d\n%.2000s", name, got, code, &out)
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	x.b.ReportMetric(time.Since(began).Seconds(), name+"-s")
	x.b.ReportMetric(time.Duration(used.Utime.Nano()+used.Stime.Nano()).Seconds(), name+"-CPU-s")
	x.b.ReportMetric(float64(peak.Load())/1024, name+"-RSS-MiB")
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		x.b.Fatal(err)
	}
	if len(report.Doubled) > 0 {
		x.b.Errorf("%s: %d events are doubled", name, len(report.Doubled))
	}
	return report
}

// killedRepair kills a repair once so many records are committed.
func (x *bench) killedRepair(records int64) {
	x.b.Helper()
	cmd := x.command("--repair")
	if err := cmd.Start(); err != nil {
		x.b.Fatal(err)
	}
	for deadline := time.Now().Add(4 * time.Minute); x.records() < records; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.b.Fatalf("%d records after four minutes", x.records())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func (x *bench) command(flags ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{asProgram, "verify", "--output", "json",
		"--from", x.start.UTC().Format(time.RFC3339), "--to", "1h"}, flags...)...)
	cmd.Env, cmd.Stderr = x.env, os.Stderr
	return cmd
}

// highWater is the most memory the process has had resident, in KiB; 0 if it has
// ended.
func highWater(pid int) (kib int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	_, _ = fmt.Sscan(string(after), &kib)
	return kib
}
