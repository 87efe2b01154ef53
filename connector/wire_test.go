package connector_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// storm is what the wire does in one run, as its seed decides.
type storm struct {
	seed     uint64
	key      int16 // which requests it meets
	oneIn    int
	modes    []kafkatest.Mode
	delay    time.Duration
	dark     time.Duration
	lasts    time.Duration
	restarts int  // of the connector, in the middle of it
	copies   bool // the events are written as JSON and OCSF too
	// partitions is how many the topics of events have.
	partitions int32
	waitsOut   bool // what was swallowed is waited for; else the network comes back with new connections
}

// newStorm draws a storm. Requests that end a transaction or write in it are drawn
// more often: there it matters most. Only old brokers are asked to add partitions.
func newStorm(seed uint64, old bool) storm {
	rng := rand.New(rand.NewPCG(seed, 4))
	s := storm{
		seed: seed,
		key: pick(rng, kafkatest.AnyKey, kafkatest.AnyKey, kafkatest.AnyKey,
			kmsg.EndTxn.Int16(), kmsg.EndTxn.Int16(), kmsg.EndTxn.Int16(), kmsg.Produce.Int16(), kmsg.Produce.Int16(),
			kmsg.InitProducerID.Int16(), kmsg.AddPartitionsToTxn.Int16(), kmsg.FindCoordinator.Int16(),
			kmsg.Fetch.Int16(), kmsg.ListOffsets.Int16(), kmsg.Metadata.Int16()),
		lasts:    time.Duration(500+rng.IntN(2000)) * time.Millisecond,
		delay:    time.Duration(rng.IntN(800)) * time.Millisecond,
		restarts: rng.IntN(3),
		waitsOut: rng.IntN(8) == 0,
	}
	if s.key == kmsg.AddPartitionsToTxn.Int16() && !old {
		s.key = kafkatest.AnyKey
	}
	switch s.key {
	case kafkatest.AnyKey:
		s.oneIn = pick(rng, 8, 20, 40, 80)
	case kmsg.InitProducerID.Int16(), kmsg.FindCoordinator.Int16():
		// Only a start sends these, and only a few: more often, and in more starts.
		s.oneIn, s.restarts = pick(rng, 1, 2), 2
	default:
		s.oneIn, s.restarts = pick(rng, 1, 2, 3, 5), max(s.restarts, 1)
	}
	if rng.IntN(3) == 0 {
		s.dark = time.Duration(rng.IntN(600)) * time.Millisecond
	}
	all := []kafkatest.Mode{
		kafkatest.CutBefore, kafkatest.CutInside, kafkatest.CutAfterApplied, kafkatest.CutInAnswer, kafkatest.CutThenApply,
		kafkatest.SwallowRequest, kafkatest.SwallowAnswer, kafkatest.DelayRequest, kafkatest.DelayAnswer,
	}
	for range 1 + rng.IntN(3) {
		s.modes = append(s.modes, all[rng.IntN(len(all))])
	}
	s.copies, s.partitions = rng.IntN(3) == 0, 1+rng.Int32N(3)
	return s
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func (s storm) String() string {
	name := "requests of every kind"
	if s.key != kafkatest.AnyKey {
		name = kmsg.NameForKey(s.key)
	}
	return fmt.Sprintf("seed %d: one in %d of %s, %v, delay %v, dark %v, for %v, %d restarts, %d partitions, copies %v", s.seed, s.oneIn, name, s.modes,
		s.delay, s.dark, s.lasts, s.restarts, s.partitions, s.copies)
}

// TestWireFaults runs the connector through a proxy that cuts, delays and swallows
// requests and answers, by their kind and at any byte, on real Kafka. A seed
// replays the faults; what meets them is up to the clock.
func TestWireFaults(t *testing.T) {
	c := kafkatest.SharedReal(t)
	trials := kafkatest.NewTrials(t, c.Backend(), "wire: cut, delayed, swallowed at random")
	var calm atomic.Int32
	seeds := kafkatest.Seeds(t, kafkatest.Runs(t, 12, 400))
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel() // it waits more than it works
				s := newStorm(seed, oldBroker(c))
				t.Log(s)
				report, strikes := weather(t, s)
				if strikes == 0 {
					calm.Add(1)
				}
				trials.Add(min(1, strikes), report) // a run that met no fault is no trial
			})
		}
	})
	// What is rare may strike in none of them.
	if n := int(calm.Load()); n > 1+len(seeds)/3 {
		t.Errorf("in %d of %d runs no fault struck", n, len(seeds))
	}
}

// weather lets a connector write history and new events through a storm, and
// returns what the topic holds when it is over, and how many faults struck.
func weather(t *testing.T, s storm) (r kafkatest.Report, strikes int) {
	c := kafkatest.SharedReal(t)
	w := newQuickWorld(t, c, simulator.Config{Seed: s.seed, Latency: time.Millisecond})
	if s.copies {
		w.cfg.Kafka.JSONTopic, w.cfg.Kafka.OCSFTopic = w.cfg.Kafka.Topic+".json", w.cfg.Kafka.Topic+".ocsf"
	}
	// Made beforehand, with one partition of offsets: three hundred runs share one
	// broker.
	for _, topic := range w.kafka().eventTopics() {
		w.cluster.CreateTopic(topic, s.partitions, map[string]string{"retention.ms": "-1"})
	}
	w.cluster.CreateTopic(w.cfg.Kafka.DLQTopic, 1, map[string]string{"retention.ms": "-1"})
	w.cluster.CreateTopic(w.cfg.Kafka.OffsetsTopic, 1, map[string]string{"cleanup.policy": "compact"})
	t.Cleanup(w.kafka().dropTopics)
	now := time.Now()
	w.backfill(now.Add(-90 * 24 * time.Hour))
	w.api.Generate(3000, w.since, auditlog.SecondOf(now.Add(-time.Minute)))
	w.proxy = c.Proxy()
	i := w.start()
	time.Sleep(time.Duration(s.seed%300) * time.Millisecond) // in some runs, the start meets the storm
	w.proxy.Random(s.seed, s.oneIn, kafkatest.Fault{Key: s.key, Delay: s.delay, Dark: s.dark}, s.modes...)
	for part := range s.restarts + 1 {
		if part > 0 {
			w.mayBeFenced(i.stop())
			i = w.start()
		}
		for end := time.Now().Add(s.lasts / time.Duration(s.restarts+1)); time.Now().Before(end); {
			w.api.Step(3, 0.3, time.Second)
			time.Sleep(50 * time.Millisecond)
		}
	}
	// A rare fault may need longer to strike.
	for end := time.Now().Add(30 * time.Second); struck(w) == 0 && time.Now().Before(end); {
		w.api.Step(3, 0.3, time.Second)
		time.Sleep(50 * time.Millisecond)
	}
	w.proxy.Clear()
	if !s.waitsOut {
		w.proxy.Dark(0)
	}
	w.api.Step(10, 0, 0)
	r, i = w.settled(i, 2*time.Minute)
	t.Logf("%v; %v", r, w.proxy.Strikes())
	w.mayBeFenced(i.stop())
	w.kafka().wantCopies()
	return r, struck(w)
}

// struck is how many faults struck in the world's network.
func struck(w *world) (strikes int) {
	for _, n := range w.proxy.Strikes() {
		strikes += n
	}
	return strikes
}

// eventTopics are the topic of events and those of their copies.
func (w inKafka) eventTopics() []string {
	all := []string{w.cfg.Kafka.Topic, w.cfg.Kafka.JSONTopic, w.cfg.Kafka.OCSFTopic}
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// wantCopies fails unless each topic of copies holds each event that the topic of
// events does, as often, under the same key.
func (w inKafka) wantCopies() {
	w.t.Helper()
	var want map[string]int
	for n, topic := range w.kafka().eventTopics() {
		got := map[string]int{}
		for _, r := range w.cluster.Read(w.t, topic, kgo.ReadCommitted()) {
			got[string(r.Key)]++
		}
		if n == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			w.t.Errorf("%s does not hold the events, each as often (-events +copies):\n%s", topic, diff)
		}
	}
}

// settled waits until the topic equals the API, and a moment longer for what must
// not come. It starts the connector again if it was fenced, as a supervisor does, and
// returns the one at work.
func (w *world) settled(i *instance, within time.Duration) (kafkatest.Report, *instance) {
	w.t.Helper()
	deadline := time.Now().Add(within)
	for {
		r := w.report()
		if len(r.Missing) == 0 {
			time.Sleep(2 * w.cfg.PollInterval)
			return w.report(), i
		}
		if time.Now().After(deadline) {
			w.t.Errorf("not ready because: %q", i.reason())
			return r, i
		}
		select {
		case <-i.done:
			w.mayBeFenced(i.stop())
			i = w.start()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// mayBeFenced takes how a connector ended when a request of one before it may still
// have been on its way: the fence of a start that was given up reaches the broker
// later, and then fences the start that came after.
func (w *world) mayBeFenced(err error) {
	w.t.Helper()
	if errors.Is(err, connector.ErrFenced) {
		w.t.Logf("it ended with %v", err)
		return
	}
	w.mayEnd(err)
}

// mayEnd takes how a connector ended under faults: told to stop, it leaves.
func (w *world) mayEnd(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("it ended with %v", err)
	}
}

// dropTopics spares the broker the topics of runs that went well.
func (w inKafka) dropTopics() {
	if w.t.Failed() {
		return
	}
	// The test's own context has ended.
	_, err := w.cluster.Admin().DeleteTopics(context.Background(), append(w.kafka().eventTopics(), w.cfg.Kafka.DLQTopic, w.cfg.Kafka.OffsetsTopic)...)
	if err != nil {
		w.t.Logf("deleting the topics: %v", err)
	}
}
