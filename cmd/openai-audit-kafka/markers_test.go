package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// Kafka loses the markers of a decided transaction: its coordinator, on the first
// broker, finds the partitions of the second without a leader, and skips them
// (KAFKA-20734). The second is killed when the connector ends a transaction whose
// records it has all acknowledged, and stays away for longer than its session.
//
// The connector lives on, or is killed at that moment too, or while it ends what hangs.
func TestLostMarkers(t *testing.T) {
	c := kafkatest.Real(t, kafkatest.Nodes(2), kafkatest.OneController(), kafkatest.Properties(map[string]string{
		"default.replication.factor": "1", "offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
		"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "300",
	}))
	trials := kafkatest.NewTrials(t, c.Backend(), "markers lost by Kafka")
	runs, hung, ended, kinds := kafkatest.Runs(t, 2, 12), 0, 0, 4
	loses := strings.HasPrefix(c.Backend(), "kafka-4.3")
	if !loses {
		kinds = 2 // the markers are written in the end: nothing hangs that could be ended
	}
	for n := range runs {
		w := newProcesses(t, c)
		c.CreateTopic(w.topics[2], 1, map[string]string{"cleanup.policy": "compact"})
		place(t, c, 1, "__transaction_state")
		place(t, c, 2, w.topics...)
		m := &markers{processes: w, kind: n % kinds}
		m.run()
		report := await(t, c, w.api, w.topics[:2])
		trials.Add(1, report)
		text := m.text()
		if strings.Contains(text, "hanging transaction") {
			hung++
		}
		if strings.Contains(text, "a hanging transaction was ended") {
			ended++
		}
		m.process.signal(syscall.SIGTERM)
		if code := m.process.exit(20 * time.Second); code != exitDone {
			t.Errorf("run %d: exit code %d\n%s", n, code, m.process.log.String())
		}
	}
	// With one broker chance decides whether markers are lost: the long form alone tries.
	if alone := kafkatest.Runs(t, 0, 6); alone > 0 {
		one := kafkatest.Real(t)
		trials := kafkatest.NewTrials(t, one.Backend(), "kill -9 of the only broker at the end of a transaction, twice")
		for n := range alone {
			trials.Add(1, killedTwice(t, one, n%2 == 0))
		}
	}
	t.Run("the operator lists and ends what hangs", func(t *testing.T) { endsByHand(t, c) })
	t.Logf("%d runs: %d with a hanging transaction, %d ended by the connector", runs, hung, ended)
	if loses && hung < runs {
		t.Errorf("of %d runs Kafka lost markers in %d", runs, hung)
	}
}

// markers is one run of TestLostMarkers.
type markers struct {
	*processes
	kind    int // 0: the connector lives on; 1: it is killed at the end of the transaction; 2, 3: and again at its first marker, not written and written
	process *process
	before  []*process

	mu    sync.Mutex // guards what follows
	armed bool
	gone  bool // the broker was killed
	again bool // the connector is to be killed at its first marker
}

func (m *markers) run() {
	m.t.Helper()
	m.proxy.Observe(m.observe)
	m.process = m.start(m.proxy.Brokers())
	m.await()
	ctx, stop := context.WithCancel(m.t.Context())
	var feed sync.WaitGroup
	feed.Go(func() { m.api.Feed(ctx, 20) })
	m.mu.Lock()
	m.armed = true
	m.mu.Unlock()
	m.until("the broker is killed at the end of a transaction", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.gone
	})
	if m.kind > 0 {
		m.kill()
	}
	// Until the controller has taken the leaders away, and the coordinator has skipped
	// the markers: it tries again every few hundred milliseconds.
	m.until("the partitions have no leader", func() bool {
		details, err := m.c.Admin().ListTopics(m.t.Context(), m.topics[0])
		return err == nil && details[m.topics[0]].Partitions[0].Leader < 0
	})
	time.Sleep(2 * time.Second)
	m.must(m.c.Node(1).Start())
	m.c.WaitReady()
	if m.kind > 0 {
		m.mu.Lock()
		m.again = m.kind > 1
		m.mu.Unlock()
		m.restart()
	}
	if m.kind > 1 {
		m.until("the connector is killed while it ends what hangs", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return !m.again
		})
		m.kill()
		m.restart()
	}
	stop()
	feed.Wait()
}

func (m *markers) kill() {
	_ = m.process.cmd.Process.Kill()
	<-m.process.done
}

func (m *markers) restart() {
	m.mu.Lock() // observe may kill the new one
	defer m.mu.Unlock()
	m.before = append(m.before, m.process)
	m.process = m.start(m.proxy.Brokers())
}

// observe kills the second broker before the end of a transaction is passed on, and
// the connector where it is its turn.
func (m *markers) observe(f kafkatest.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.armed && f.Key == kmsg.EndTxn.Int16() && !f.Answer:
		m.armed = false
		_ = m.c.Node(1).Kill()
		m.gone = true
	case m.again && f.Key == kmsg.WriteTxnMarkers.Int16() && f.Answer == (m.kind == 3):
		m.again = false
		_ = m.process.cmd.Process.Kill()
	}
}

// text returns what all processes logged.
func (m *markers) text() string {
	all := ""
	for _, p := range append(m.before, m.process) {
		all += p.log.String()
	}
	return all
}

// killedTwice kills the only broker at the end of a transaction, and again soon after
// it has come back: at once, or a few seconds later.
func killedTwice(t *testing.T, c *kafkatest.Cluster, atOnce bool) kafkatest.Report {
	w := newProcesses(t, c)
	w.api.Generate(20_000, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))
	kill := make(chan struct{}, 1)
	var armed atomic.Bool
	w.proxy.Observe(func(f kafkatest.Frame) {
		if f.Key == kmsg.EndTxn.Int16() && !f.Answer && armed.CompareAndSwap(true, false) {
			_ = c.Node(0).Kill()
			kill <- struct{}{}
		}
	})
	p := w.start(w.proxy.Brokers())
	for range 2 {
		before := w.proxy.Count(kmsg.EndTxn.Int16()).Answered
		w.until("transactions end", func() bool { return w.proxy.Count(kmsg.EndTxn.Int16()).Answered > before+3 })
		armed.Store(true)
		<-kill
		if !atOnce {
			time.Sleep(5 * time.Second)
		}
		w.must(c.Node(0).Start())
		c.WaitReady()
		w.api.Step(10, 0, 0)
	}
	report := await(t, c, w.api, w.topics[:2])
	w.alive(p)
	return report
}

// place moves all partitions of the topics to the broker.
func place(t *testing.T, c *kafkatest.Cluster, broker int32, topics ...string) {
	t.Helper()
	admin := c.Admin()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for there := false; !there; {
		details, err := admin.ListTopicsWithInternal(ctx, topics...)
		if err != nil {
			t.Fatal(err)
		}
		there = true
		var moves kadm.AlterPartitionAssignmentsReq
		for _, topic := range topics {
			for _, p := range details[topic].Partitions.Sorted() {
				if len(p.Replicas) != 1 || p.Replicas[0] != broker || p.Leader != broker {
					there = false
					moves.Assign(topic, p.Partition, []int32{broker})
				}
			}
		}
		if !there {
			if _, err := admin.AlterPartitionAssignments(ctx, moves); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// endsByHand is about the command: it lists what hangs, ends it, and finds nothing more.
func endsByHand(t *testing.T, c *kafkatest.Cluster) {
	off := "false"
	alter := []kadm.AlterConfig{{Name: "transaction.partition.verification.enable", Value: &off}}
	if answers, err := c.Admin().AlterBrokerConfigs(t.Context(), alter); err != nil || answers[0].Err != nil {
		t.Fatal(err, answers)
	}
	w := newProcesses(t, c)
	p := w.start(c.Brokers())
	w.await()
	p.signal(syscall.SIGTERM)
	p.exit(20 * time.Second)
	id := w.topics[2] + "/default"
	c.AwaitMarkers(t, w.topics...) // one that is on its way would be refused for its epoch
	described, err := c.Admin().DescribeTransactions(t.Context(), id)
	w.must(err)
	c.Strand(id, 0, &kgo.Record{Topic: w.topics[1], Key: []byte("k"), Value: []byte("v"), ProducerID: described[id].ProducerID, ProducerEpoch: described[id].ProducerEpoch})
	for _, step := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"transactions"}, exitFound, []string{
			"A transaction of default hangs in " + w.topics[1] + ", partition 0", "producer id", "epoch", "from offset 0",
			"openai-audit-kafka transactions end --organization default --yes"}},
		{[]string{"transactions", "--output", "json"}, exitFound, []string{`"start_offset": 0`, `"transactional_id": "` + id + `"`, `"ours": true`}},
		{[]string{"check"}, exitFound, []string{"hanging transactions", "transactions end --organization NAME --yes"}},
		{[]string{"transactions", "end"}, exitUsage, []string{"--yes"}},
		{[]string{"transactions", "end", "--organization", "default", "--yes"}, exitDone, []string{"It was aborted in " + w.topics[1]}},
		{[]string{"transactions"}, exitDone, []string{"no transaction hangs"}},
		{[]string{"transactions", "end", "--yes"}, exitDone, []string{"no transaction hangs"}},
	} {
		cmd := exec.Command(os.Args[0], append([]string{asProgram}, step.args...)...)
		cmd.Env = w.environ(c.Brokers())
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != step.code {
			t.Errorf("%v ends with %d, want %d\n%s", step.args, code, step.code, out)
		}
		for _, want := range step.says {
			if !strings.Contains(string(out), want) {
				t.Errorf("%v does not say %q:\n%s", step.args, want, out)
			}
		}
	}
	if found := c.Read(t, w.topics[1], kgo.ReadCommitted()); len(found) != 0 {
		t.Errorf("%d dead letters", len(found))
	}
}
