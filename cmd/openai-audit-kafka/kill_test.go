package main

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// phase is where in its cycle a process was killed.
type phase string

const (
	fetching    phase = "fetching"     // no transaction
	producing   phase = "producing"    // records are on their way
	endSent     phase = "End sent"     // the commit is on its way, or its answer
	endAnswered phase = "End answered" // the commit is known
)

// TestKillAnywhere kills the real process with SIGKILL at thirty moments, a hundred
// in the long form, on real Kafka, and starts it again. A sixth of them are random;
// the others are aimed, since the end of a transaction takes milliseconds and chance
// would miss it. Then it is told to stop at such moments, with SIGTERM.
func TestKillAnywhere(t *testing.T) {
	c := kafkatest.Real(t)
	trials := kafkatest.NewTrials(t, c.Backend(), "kill -9 of the connector")
	kills, seed := kafkatest.Runs(t, 30, 100), kafkatest.Seeds(t, 1)[0]
	api := simulator.New(simulator.Config{Seed: 30, Latency: 5 * time.Millisecond})
	now := time.Now()
	start := now.Add(-200 * 24 * time.Hour)
	api.Generate(max(60_000, 1000*kills), auditlog.SecondOf(start), auditlog.SecondOf(now.Add(-time.Minute)))
	server := httptest.NewServer(api)
	defer server.Close()
	ctx, stopFeed := context.WithCancel(t.Context())
	var feed sync.WaitGroup
	feed.Go(func() { api.Feed(ctx, 50) })

	k := &killer{t: t, proxy: c.Proxy(), with: syscall.SIGKILL, fell: map[phase]int{}}
	k.topics = []string{c.Name("events"), c.Name("dlq"), c.Name("offsets")}
	k.env = []string{
		"OPENAI_ADMIN_KEY=" + simulator.Key,
		"OPENAI_BASE_URL=" + server.URL + "/v1",
		"BACKFILL_START_TIME=" + start.Add(-time.Hour).UTC().Format(time.RFC3339),
		"POLL_INTERVAL=1s",
		"KAFKA_BROKERS=" + strings.Join(k.proxy.Brokers(), ","),
		"KAFKA_TOPIC=" + k.topics[0], "KAFKA_DLQ_TOPIC=" + k.topics[1], "KAFKA_OFFSETS_TOPIC=" + k.topics[2],
		"HTTP_ADDR=off",
	}
	k.proxy.Observe(k.observe)
	rng := rand.New(rand.NewPCG(seed, 1))
	for n := range kills {
		k.life(rng, []phase{"", fetching, producing, endSent, endSent, endAnswered}[n%6])
	}
	k.endInOrder()
	left := kafkatest.Aborted(t, c, k.topics[0])
	t.Logf("seed %d: %d kills left %d aborted records; by phase: %v", seed, kills, left, k.fell)
	for _, p := range []phase{fetching, producing, endSent, endAnswered} {
		if k.fell[p] == 0 {
			t.Errorf("no kill fell into %q", p)
		}
	}
	// Stops under the same load.
	stops := kafkatest.Runs(t, 3, 60)
	k.with, k.fell, k.longest = syscall.SIGTERM, map[phase]int{}, 0
	for n := range stops {
		k.life(rng, []phase{producing, endSent, ""}[n%3])
	}
	stopFeed()
	feed.Wait()
	k.proxy.Observe(nil)
	process := k.start()
	defer func() { _ = process.Process.Kill(); _ = process.Wait() }()
	report := await(t, c, api, k.topics[:2])
	more := kafkatest.Aborted(t, c, k.topics[0]) - left
	t.Logf("%v; %d stops left %d aborted records; by phase: %v", report, stops, more, k.fell)
	switch { // a transaction that does not end within 2.5 s of the stop is given up
	case more != 0 && k.longest < 2*time.Second:
		t.Errorf("%d stops left %d aborted records", stops, more)
	case more != 0:
		t.Logf("NOT JUDGED: one of the stops took %v", k.longest)
	}
	trials.Add(kills, report)
}

// killer kills processes at chosen moments, by what they say to the broker.
type killer struct {
	t      *testing.T
	proxy  *kafkatest.Proxy
	env    []string
	topics []string
	with   syscall.Signal

	mu      sync.Mutex // guards what follows
	process *exec.Cmd
	now     phase
	aim     phase // kill when it is reached; empty: not armed
	pending bool  // it is killed in a moment
	killed  bool
	fell    map[phase]int
	ended   int           // transactions whose end was answered
	told    time.Time     // when it was killed
	longest time.Duration // from there to its end
}

// life starts a process, and kills it: at a random moment, or at the first moment
// of the aimed phase after that.
func (k *killer) life(rng *rand.Rand, aim phase) {
	k.mu.Lock()
	k.now, k.aim, k.killed = fetching, "", false
	k.mu.Unlock()
	process := k.start()
	time.Sleep(time.Duration(300+rng.IntN(900)) * time.Millisecond)
	k.mu.Lock()
	if k.aim = aim; aim == "" {
		k.killLocked()
	}
	k.mu.Unlock()
	if aim == fetching {
		k.killBetween()
	}
	done := make(chan struct{})
	go func() { _ = process.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		k.t.Errorf("the process never got to %q", aim)
		_ = process.Process.Kill()
		<-done
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.longest = max(k.longest, time.Since(k.told))
	if !k.killed {
		k.t.Error("the process ended by itself")
	}
}

// endInOrder has a process end what the last kill left open, commit once, and stop.
func (k *killer) endInOrder() {
	k.mu.Lock()
	k.aim, k.killed = "", true // this one is not to be killed
	before := k.ended
	k.mu.Unlock()
	process := k.start()
	defer func() { _ = process.Wait() }()
	defer func() { _ = process.Process.Signal(syscall.SIGTERM) }()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		k.mu.Lock()
		ended := k.ended
		k.mu.Unlock()
		if ended > before {
			return
		}
	}
	k.t.Error("the process after the last kill committed nothing")
}

// killBetween kills when the broker has heard of no transaction for a moment.
func (k *killer) killBetween() {
	for quiet := 0; quiet < 3; {
		time.Sleep(time.Millisecond)
		k.mu.Lock()
		if quiet++; k.now == producing || k.now == endSent {
			quiet = 0
		}
		if quiet == 3 {
			k.now = fetching
			k.killLocked()
		}
		k.mu.Unlock()
	}
}

func (k *killer) start() *exec.Cmd {
	cmd := exec.Command(os.Args[0], asProgram)
	cmd.Env = k.env
	cmd.Stderr = &logged{t: k.t}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.process = cmd
	return cmd
}

// observe follows the process's transaction. It is called before a frame is passed
// on, so a process that is killed here has sent the request and has no answer.
func (k *killer) observe(f kafkatest.Frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending { // it has the answer at the latest when it asks for something else
		if !f.Answer {
			k.killLocked()
		}
		return
	}
	switch {
	case f.Key == kmsg.Produce.Int16() && !f.Answer:
		k.now = producing
	case f.Key == kmsg.EndTxn.Int16() && !f.Answer:
		k.now = endSent
	case f.Key == kmsg.EndTxn.Int16():
		k.now = endAnswered
		k.ended++
	case f.Key == kmsg.InitProducerID.Int16():
		k.now = fetching
	case k.now == endAnswered:
		k.now = fetching
	}
	switch {
	case k.aim != k.now || k.aim == fetching:
	case k.now == endAnswered:
		// A moment later the process has the answer.
		k.pending = true
		time.AfterFunc(2*time.Millisecond, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.pending {
				k.killLocked()
			}
		})
		k.aim = ""
	default:
		k.killLocked()
	}
}

func (k *killer) killLocked() {
	if k.killed {
		return
	}
	k.killed, k.told = true, time.Now()
	k.aim, k.pending = "", false
	k.fell[k.now]++
	_ = k.process.Process.Signal(k.with)
}

// await reads the topics until nothing is missing, for a minute at most.
func await(t *testing.T, c *kafkatest.Cluster, api *simulator.API, topics []string) kafkatest.Report {
	t.Helper()
	var truth []kafkatest.Want
	for ev := range api.Truth() {
		for _, scope := range ev.Scopes {
			truth = append(truth, kafkatest.Want{ID: ev.ID, Scope: string(scope), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw})
		}
	}
	// A wait between tries and a request of the API that hangs are thirty seconds each.
	deadline := time.Now().Add(3 * time.Minute)
	for {
		var records []*kgo.Record
		for _, topic := range topics {
			if there, err := c.Admin().ListTopics(t.Context(), topic); err == nil && there.Has(topic) {
				records = append(records, c.Read(t, topic, kgo.ReadCommitted())...)
			}
		}
		report := kafkatest.Compare(truth, records)
		if len(report.Missing) == 0 || time.Now().After(deadline) {
			return report
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// logged shows the warnings and errors of a process.
type logged struct{ t *testing.T }

func (l *logged) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, `"level":"ERROR"`) {
			l.t.Log(strings.TrimSpace(line))
		}
	}
	return len(b), nil
}
