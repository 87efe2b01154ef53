package main

import (
	"cmp"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The stories of real processes on real Kafka: how they end, and what they leave.
// They share one broker, since it takes seconds to start one.
func TestProcesses(t *testing.T) {
	c := kafkatest.Real(t)
	for name, story := range map[string]func(t *testing.T, w *processes){
		"a second signal is obeyed at once":         secondSignal,
		"a refusal is exit code 1, with the remedy": refusalExits,
		"a command that is stopped says so":         stoppedCommand,
		"one in its transaction, what is not known": stoppedEdit,
	} {
		t.Run(name, func(t *testing.T) { story(t, newProcesses(t, c)) })
	}
	for name, prepare := range stops {
		t.Run("a signal is obeyed within 8 s, "+name, func(t *testing.T) {
			t.Parallel() // they wait
			w := newProcesses(t, c)
			p := prepare(w)
			began := time.Now()
			p.signal(syscall.SIGTERM)
			code := p.exit(20 * time.Second)
			if took := time.Since(began); code != exitDone || took > stopLimit {
				t.Errorf("exit code %d after %v\n%s", code, took, p.log.String())
			}
		})
	}
}

// Wrong settings are exit code 78, with all faults at once. That is not how Go ends a
// crash, so a supervisor that leaves the one alone starts again after the other.
func TestWrongSettingsExit(t *testing.T) {
	p := start(t, []string{
		"OPENAI_ADMIN_KEY_FILE=/nonexistent/key", "POLL_INTERVAL=1ms", "KAFKA_TOPC=events", "LOOKBACK=never",
		"KAFKA_SASL_MECHANISM=MAGIC", "ORGANIZATION_NAME=No Name", "HTTP_ADDR=off",
	})
	if code := p.exit(10 * time.Second); code != 78 {
		t.Errorf("exit code %d", code)
	}
	for _, variable := range []string{
		"OPENAI_ADMIN_KEY_FILE", "POLL_INTERVAL", "KAFKA_TOPC", "LOOKBACK", "KAFKA_SASL_MECHANISM", "ORGANIZATION_NAME",
	} {
		if !strings.Contains(p.log.String(), variable) {
			t.Errorf("%s is not named:\n%s", variable, p.log.String())
		}
	}
	p = start(t, []string{"OPENAI_ADMIN_KEY=" + key, "OPENAI_BASE_URL=http://127.0.0.1:1", "KAFKA_BROKERS=127.0.0.1:1", "HTTP_ADDR=off"})
	p.says("starting")
	p.signal(syscall.SIGQUIT) // Go ends as after a panic
	if code := p.exit(10 * time.Second); code != 2 {
		t.Errorf("exit code %d after a crash", code)
	}
}

// stops are what a process is in when it is told to stop.
var stops = map[string]func(w *processes) *process{
	"at work": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		return p
	},
	"in the middle of history": func(w *processes) *process {
		w.api.Generate(50_000, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
		p := w.start(w.proxy.Brokers())
		w.awaitRequests(kmsg.EndTxn.Int16(), 5)
		return p
	},
	"with an API that hangs at the start": func(w *processes) *process {
		w.api.SetFaults(map[simulator.Fault]float64{simulator.Hang: 1})
		p := w.start(w.proxy.Brokers())
		w.awaitAPI()
		return p
	},
	"with an API that hangs in its answers": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		w.api.SetFaults(map[simulator.Fault]float64{simulator.HangInBody: 1})
		w.awaitAPI()
		return p
	},
	"with Kafka dark at the start": func(w *processes) *process {
		w.proxy.Dark(time.Minute)
		p := w.start(w.proxy.Brokers())
		w.until("it has begun", func() bool { return strings.Contains(p.log.String(), `"msg":"starting"`) })
		time.Sleep(500 * time.Millisecond) // somewhere in its tries
		return p
	},
	"with brokers that are silent at the start": func(w *processes) *process {
		w.proxy.Add(kafkatest.Fault{Key: kafkatest.AnyKey, Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
		p := w.start(w.proxy.Brokers())
		w.awaitStruck(kafkatest.SwallowRequest)
		return p
	},
	"with Kafka dark at work": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Dark(time.Minute)
		time.Sleep(500 * time.Millisecond)
		return p
	},
	"with Kafka dark in a transaction": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Add(kafkatest.Fault{Key: kmsg.Produce.Int16(), Mode: kafkatest.CutBefore, Dark: time.Minute})
		w.api.Step(5, 0, 0)
		w.awaitStruck(kafkatest.CutBefore)
		return p
	},
	// The answer takes one second of the grace, which is the process's longest way out.
	"with a commit that is answered late, and none after it": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Add(
			kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Mode: kafkatest.DelayAnswer, Delay: time.Second},
			kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer},
		)
		w.api.Step(5, 0, 0)
		w.awaitStruck(kafkatest.DelayAnswer)
		return p
	},
	"in a group of silent brokers": func(w *processes) *process {
		w.extra = append(w.extra, "KAFKA_GROUP_ID="+w.c.Name("group"))
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Add(kafkatest.Fault{Key: kafkatest.AnyKey, Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
		w.awaitStruck(kafkatest.SwallowRequest)
		return p
	},
	"in a group that is left without an answer": func(w *processes) *process {
		w.extra = append(w.extra, "KAFKA_GROUP_ID="+w.c.Name("group"))
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Add(kafkatest.Fault{Key: kmsg.LeaveGroup.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer})
		return p
	},
	"with a commit that is not answered": func(w *processes) *process {
		p := w.start(w.proxy.Brokers())
		w.await()
		w.proxy.Add(kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer})
		w.api.Step(5, 0, 0)
		w.awaitStruck(kafkatest.SwallowAnswer)
		return p
	},
}

// secondSignal tells a process twice that would wait for a commit's answer.
func secondSignal(t *testing.T, w *processes) {
	p := stops["with a commit that is not answered"](w)
	p.signal(syscall.SIGTERM)
	time.Sleep(sameSignal + 800*time.Millisecond) // the process notes the first one by its own clock, perhaps late
	p.signal(syscall.SIGTERM)
	// With one signal it ends with 0.
	if code := p.exit(20 * time.Second); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	w.proxy.Clear()
	w.start(w.c.Brokers())
	w.await() // what was left is resolved
}

// stoppedCommand interrupts a command beside brokers that are silent.
func stoppedCommand(t *testing.T, w *processes) {
	w.proxy.Add(kafkatest.Fault{Key: kafkatest.AnyKey, Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowRequest})
	p := w.start(w.proxy.Brokers(), "cursor", "show")
	w.awaitStruck(kafkatest.SwallowRequest)
	p.signal(syscall.SIGINT)
	if code := p.exit(20 * time.Second); code != exitFailed || !strings.Contains(p.log.String(), "stopped by a signal (interrupt)") {
		t.Errorf("exit code %d\n%s", code, p.log.String())
	}
}

// stoppedEdit interrupts a command whose transaction is not answered.
func stoppedEdit(t *testing.T, w *processes) {
	p := w.start(w.proxy.Brokers())
	w.await()
	p.signal(syscall.SIGTERM)
	p.exit(20 * time.Second)
	w.proxy.Add(kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer})
	p = w.start(w.proxy.Brokers(), "cursor", "reset", "--yes")
	w.awaitStruck(kafkatest.SwallowAnswer)
	p.signal(syscall.SIGINT)
	code := p.exit(20 * time.Second)
	for _, want := range []string{"stopped by a signal (interrupt)", "it is not known whether it was done: look with `cursor show`"} {
		if code != exitFailed || !strings.Contains(p.log.String(), want) {
			t.Errorf("exit code %d, and not %q:\n%s", code, want, p.log.String())
		}
	}
}

func refusalExits(t *testing.T, w *processes) {
	w.c.CreateTopic(w.topics[2], 1, map[string]string{"cleanup.policy": "delete"})
	p := w.start(w.c.Brokers())
	if code := p.exit(20 * time.Second); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"cleanup.policy=delete", "kafka-configs.sh", `"exit_code":1`} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, p.log.String())
		}
	}
}

// processes is a simulated API, a broker behind a proxy, and topics for processes.
type processes struct {
	t      *testing.T
	c      *kafkatest.Cluster
	proxy  *kafkatest.Proxy
	api    *simulator.API
	url    string
	from   auditlog.Second
	topics []string // events, dead letters, offsets
	addr   string   // of the status page; empty: none
	extra  []string // settings on top
}

func newProcesses(t *testing.T, c *kafkatest.Cluster) *processes {
	w := &processes{t: t, c: c, proxy: c.Proxy(), api: simulator.New(simulator.Config{Seed: 3})}
	t.Cleanup(w.proxy.Close)
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.topics = []string{c.Name("events"), c.Name("dlq"), c.Name("offsets")}
	w.c.CreateTopic(w.topics[0], 1, nil)
	w.c.CreateTopic(w.topics[1], 1, nil)
	w.from = auditlog.SecondOf(time.Now().Add(-50 * 24 * time.Hour))
	w.api.Step(20, 0, 0)
	return w
}

// inKafka is what the processes write to: its brokers, topics and partitions.
type inKafka struct{ *processes }

func (w *processes) kafka() inKafka { return inKafka{w} }

// start starts the program against the brokers: the connector, or what the
// arguments say.
func (w *processes) start(brokers []string, args ...string) *process {
	w.t.Helper()
	return start(w.t, w.environ(brokers), args...)
}

// startProgram starts another version of the program.
func (w *processes) startProgram(program string, brokers []string) *process {
	w.t.Helper()
	return startCommand(w.t, exec.Command(program), w.environ(brokers))
}

func (w *processes) environ(brokers []string) []string {
	return append([]string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + w.url + "/v1",
		"BACKFILL_START_TIME=" + w.from.String(), "POLL_INTERVAL=1s", "HTTP_ADDR=" + cmp.Or(w.addr, "off"),
		"KAFKA_BROKERS=" + strings.Join(brokers, ","),
		"KAFKA_TOPIC=" + w.topics[0], "KAFKA_DLQ_TOPIC=" + w.topics[1], "KAFKA_OFFSETS_TOPIC=" + w.topics[2],
	}, w.extra...)
}

// await waits until the topic equals the API.
func (w *processes) await() {
	w.t.Helper()
	if r := await(w.t, w.c, w.api, w.topics[:2]); !r.OK() {
		w.t.Fatal(r)
	}
}

func (w *processes) awaitAPI() {
	before := w.api.Requests().Total
	w.until("the API is asked", func() bool { return w.api.Requests().Total > before })
}

func (w *processes) awaitRequests(key int16, n int) {
	w.until("transactions end", func() bool { return w.proxy.Count(key).Requests >= n })
}

func (w *processes) awaitStruck(mode kafkatest.Mode) {
	w.until("the fault strikes", func() bool { return w.proxy.Struck(mode) > 0 })
}

func (w *processes) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ends returns where the topics of events and dead letters end.
func (w inKafka) ends() map[string]int64 {
	w.t.Helper()
	ends := map[string]int64{}
	for _, topic := range w.topics[:2] {
		offsets, err := w.c.Admin().ListEndOffsets(w.t.Context(), topic)
		if err = errors.Join(err, offsets.Error()); err != nil {
			w.t.Fatal(err)
		}
		ends[topic] = offsets[topic][0].Offset
	}
	return ends
}

// stable returns the last stable offset of the events topic.
func (w inKafka) stable() int64 {
	w.t.Helper()
	offsets, err := w.c.Admin().ListCommittedOffsets(w.t.Context(), w.topics[0])
	if err = errors.Join(err, offsets.Error()); err != nil {
		w.t.Fatal(err)
	}
	return offsets[w.topics[0]][0].Offset
}

// process is the program as its own process.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  output
	done chan struct{}
}

// start starts the program, to be killed when the test ends.
func start(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], append([]string{asProgram}, args...)...), environ)
}

func startCommand(t *testing.T, cmd *exec.Cmd, environ []string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	p.cmd.Env = environ
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // ends with the process
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// exit waits for the process and returns its exit code, -1 after a signal.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("still there after %v\n%s", within, p.log.String())
		return 0
	}
}

// says waits until the process has logged the text.
func (p *process) says(text string) {
	p.t.Helper()
	for deadline := time.After(2 * time.Minute); !strings.Contains(p.log.String(), text); {
		select {
		case <-p.done:
			p.t.Fatalf("it ended, and did not say %q\n%s", text, p.log.String())
		case <-deadline:
			p.t.Fatalf("not within two minutes: %q\n%s", text, p.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A secret that cannot be read does not hang a command, and one that is waited for does
// not swallow the first signal.
func TestSecretThatDoesNotCome(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "key")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"run", "config"} {
		if code, _, said := runProgram(t, []string{"OPENAI_ADMIN_KEY_FILE=" + fifo}, command); code != 78 || !strings.Contains(said, "it is no regular file") {
			t.Errorf("%s: exit code %d: %s", command, code, said)
		}
	}
	p := start(t, []string{"OPENAI_ADMIN_KEY_FILE=" + fifo + ".later", "SECRETS_WAIT=1h", "HTTP_ADDR=off"})
	p.says("waiting for secrets")
	p.signal(syscall.SIGTERM)
	if code := p.exit(20 * time.Second); code != exitDone {
		t.Errorf("exit code %d\n%s", code, p.log.String())
	}
}
