package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// Three brokers, three replicas, two of them in sync. One after the other is killed
// with SIGKILL and started again while events flow: the coordinator of the
// connector's transactions, the leader of the events, that of the offsets, and then
// each in turn. At last the events want three replicas, and have two.
func TestBrokersAreKilled(t *testing.T) {
	t.Parallel() // it waits for brokers of its own
	c := kafkatest.Real(t, kafkatest.Nodes(3))
	trials := kafkatest.NewTrials(t, c.Backend(), "kill -9 of a broker of three")
	w := newProcesses(t, c)
	w.kafka().replicated()
	p := w.start(c.Brokers())
	w.await()
	ctx, stopFeed := context.WithCancel(t.Context())
	var feed sync.WaitGroup
	feed.Go(func() { w.api.Feed(ctx, 20) })
	defer stopFeed()
	kills := kafkatest.Runs(t, 2, 9)
	for n := range kills {
		node, is := w.kafka().victim(n)
		began := time.Now()
		w.must(node.Kill())
		// Longer than the broker's session, so that others take over, or shorter.
		time.Sleep(time.Duration(8-5*(n%2)) * time.Second)
		w.must(node.Start())
		c.WaitReady()
		w.kafka().inSync(3)
		t.Logf("broker %d, %s, was away for %v", node.ID, is, time.Since(began).Round(time.Second))
	}
	stopFeed()
	feed.Wait()
	w.api.Step(10, 0, 0)
	trials.Add(kills, await(t, c, w.api, w.topics[:2]))
	w.alive(p)
	p.stop()
	w.kafka().underMinISR()
}

// All brokers are killed, and come back after a minute: the process lives, says at
// /readyz that it is Kafka, takes no more memory, and catches up.
func TestAllBrokersDown(t *testing.T) {
	c := kafkatest.Real(t)
	away := 15 * time.Second
	if kafkatest.Torture() {
		away = time.Minute
	}
	trials := kafkatest.NewTrials(t, c.Backend(), fmt.Sprintf("all brokers down for %v", away))
	w := newProcesses(t, c)
	w.addr = freeAddr(t)
	p := w.start(c.Brokers())
	w.await()
	before := rss(t, p.cmd.Process.Pid)
	most := before
	w.must(c.Node(0).Kill())
	for began := time.Now(); time.Since(began) < away; {
		w.api.Step(10, 0, 0)
		time.Sleep(500 * time.Millisecond)
		most = max(most, rss(t, p.cmd.Process.Pid))
		// Three polls a second apart, and some for a slow machine.
		if ready, why := readiness(t, w.addr); time.Since(began) > 10*time.Second && (ready || !strings.Contains(why, "broker")) {
			t.Fatalf("%v after the kill /readyz says %q", time.Since(began), why)
		}
	}
	_, why := readiness(t, w.addr)
	w.must(c.Node(0).Start())
	c.WaitReady()
	began := time.Now()
	trials.Add(1, await(t, c, w.api, w.topics[:2]))
	most = max(most, rss(t, p.cmd.Process.Pid))
	t.Logf("it said %q; it had caught up %v after the brokers came back; resident: %d MiB before, %d MiB at most",
		strings.TrimSpace(why), time.Since(began).Round(time.Second), before>>20, most>>20)
	if grown := most - before; grown > 32<<20 {
		t.Errorf("it grew by %d MiB", grown>>20)
	}
	w.until("it is ready", func() bool { ready, _ := readiness(t, w.addr); return ready })
	w.alive(p)
}

// replicated gives the world topics with three replicas, two of which must have a
// record before it counts.
func (w inKafka) replicated() {
	w.topics = []string{w.c.Name("events3"), w.c.Name("dlq3"), w.c.Name("offsets3")}
	for _, topic := range w.topics {
		policy := "delete"
		if topic == w.topics[2] {
			policy = "compact"
		}
		w.c.CreateTopic(topic, 1, map[string]string{
			"cleanup.policy": policy, "min.insync.replicas": "2", "unclean.leader.election.enable": "false",
		})
	}
	w.kafka().inSync(3)
}

// victim returns the broker to kill in a round, and what it is.
func (w inKafka) victim(round int) (*kafkatest.Node, string) {
	w.t.Helper()
	var id int32
	var is string
	switch round {
	case 0:
		is = "the coordinator of the transactions"
		for _, coordinator := range w.c.Admin().FindTxnCoordinators(w.t.Context(), w.topics[2]+"/default") {
			w.must(coordinator.Err)
			id = coordinator.NodeID
		}
	case 1, 2:
		topic := w.topics[2*(round-1)]
		is = "the leader of " + topic
		id = w.kafka().partition(topic).Leader
	default:
		is = "the next one in turn"
		id = int32(1 + round%3) // from 1 on, in round 3
	}
	return w.c.Node(int(id) - 1), is
}

// inSync waits until every partition has so many replicas in sync, those of
// transactions too.
func (w inKafka) inSync(n int) {
	w.t.Helper()
	w.until("all replicas are in sync", func() bool {
		return !slices.ContainsFunc(append(w.topics[:3:3], "__transaction_state"), func(topic string) bool {
			details, err := w.c.Admin().ListTopicsWithInternal(w.t.Context(), topic)
			if err != nil || details[topic].Err != nil {
				return true
			}
			for _, p := range details[topic].Partitions {
				if len(p.ISR) < n {
					return true
				}
			}
			return false
		})
	})
}

func (w inKafka) partition(topic string) kadm.PartitionDetail {
	w.t.Helper()
	details, err := w.c.Admin().ListTopics(w.t.Context(), topic)
	w.must(err)
	return details[topic].Partitions[0]
}

func (w *processes) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// alive fails the test if the process has ended.
func (w *processes) alive(p *process) {
	w.t.Helper()
	select {
	case <-p.done:
		w.t.Errorf("the connector ended with %d\n%s", p.cmd.ProcessState.ExitCode(), p.log.String())
	default:
	}
}

// readiness asks the instance.
func readiness(t *testing.T, addr string) (ready bool, body string) {
	t.Helper()
	status, body := get(t, addr, "/readyz")
	return status == http.StatusOK, body
}

// get asks the instance for a page.
func get(t *testing.T, addr, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// rss returns the resident bytes of a process. Only Linux tells.
func rss(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Logf("memory is not looked at: %v", err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
