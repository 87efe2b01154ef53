package main

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// underMinISR kills a broker of three while the events want all three. The leader
// answers NOT_ENOUGH_REPLICAS, which the client keeps to itself and tries again for
// ever: it is given up after 25 s, /readyz names min.insync.replicas, and when the
// broker is back nothing is lost or doubled.
func (w inKafka) underMinISR() {
	w.t.Helper()
	trials := kafkatest.NewTrials(w.t, w.c.Backend(), "fewer replicas in sync than min.insync.replicas")
	w.addr = freeAddr(w.t)
	answers := heard(w.proxy)
	p := w.start(w.proxy.Brokers())
	w.await()
	w.until("it is ready", func() bool { ready, _ := readiness(w.t, w.addr); return ready })
	w.kafka().alter(w.topics[0], "min.insync.replicas", "3")

	node := w.kafka().follower()
	w.must(node.Kill())
	w.until("the events have two replicas in sync", func() bool { return len(w.kafka().partition(w.topics[0]).ISR) == 2 })
	opened := w.proxy.Count(kmsg.InitProducerID.Int16()).Requests
	w.api.Step(10, 0, 0)
	w.until("the leader answers that they are too few", func() bool {
		return slices.Contains(answers(), error(kerr.NotEnoughReplicas))
	})
	began := time.Now()
	why := ""
	for !strings.Contains(why, "min.insync.replicas") {
		if time.Since(began) > time.Minute {
			w.t.Fatalf("a minute after that /readyz says %q\n%s", why, p.log.String())
		}
		time.Sleep(20 * time.Millisecond)
		_, why = readiness(w.t, w.addr)
	}
	w.t.Logf("without broker %d it said after %v: %q", node.ID, time.Since(began).Round(time.Second), strings.TrimSpace(why))
	w.until("it fences again, and waits", func() bool { return w.proxy.Count(kmsg.InitProducerID.Int16()).Requests > opened })

	w.must(node.Start())
	w.c.WaitReady()
	trials.Add(1, await(w.t, w.c, w.api, w.topics[:2]))
	w.until("it is ready", func() bool { ready, _ := readiness(w.t, w.addr); return ready })
	w.alive(p)
}

// alter changes a setting of a topic.
func (w inKafka) alter(topic, name, value string) {
	w.t.Helper()
	altered, err := w.c.Admin().AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	w.must(err)
	one, err := altered.On(topic, nil)
	w.must(errors.Join(err, one.Err))
}

// follower returns a broker that the events do without: neither their leader nor the
// coordinator of the transactions.
func (w inKafka) follower() *kafkatest.Node {
	w.t.Helper()
	coordinator, _ := w.kafka().victim(0)
	for _, id := range w.kafka().partition(w.topics[0]).ISR {
		if id != w.kafka().partition(w.topics[0]).Leader && int(id) != coordinator.ID {
			return w.c.Node(int(id) - 1)
		}
	}
	w.t.Fatal("every broker is needed")
	return nil
}

// heard returns what the brokers answered to produce requests through the proxy, as
// far as it was an error.
func heard(p *kafkatest.Proxy) (answers func() []error) {
	var mu sync.Mutex // guards all
	var all []error
	p.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f.ProduceErrors()...)
	})
	return func() []error {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// stop ends the process as a supervisor does.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(20 * time.Second); code != exitDone {
		p.t.Errorf("exit code %d\n%s", code, p.log.String())
	}
}
