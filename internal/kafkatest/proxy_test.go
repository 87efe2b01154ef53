package kafkatest_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

var (
	endTxn  = kmsg.EndTxn.Int16()
	produce = kmsg.Produce.Int16()
)

// commitOnce commits "a" through the proxy with a client that does not try again
// and says whether that went well. One produce and commit go before, without
// faults.
func commitOnce(t *testing.T, c *kafkatest.Cluster, proxy *kafkatest.Proxy, f kafkatest.Fault, opts ...kgo.Opt) (topic string, err error) {
	t.Helper()
	topic, client := writer(c, 1, append(opts, kgo.RequestRetries(0))...)
	write(t, client, kgo.TryCommit, "before")
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("a")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	proxy.Add(f)
	patience := 2 * time.Second
	if f.Mode == kafkatest.DelayRequest || f.Mode == kafkatest.DelayAnswer {
		patience = time.Minute // it succeeds
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = client.EndTransaction(ctx, kgo.TryCommit)
	proxy.Clear()
	client.Close()
	return topic, err
}

// fence does what a start does: it waits until the open transaction, if there is
// one, has ended.
func fence(t *testing.T, c *kafkatest.Cluster, id string) {
	t.Helper()
	client := c.Client(kgo.TransactionalID(id))
	if _, _, err := client.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestModesOnCommit holds every mode to what it says, on both sides: what the
// client is told, and what the broker did.
func TestModesOnCommit(t *testing.T) {
	tests := []struct {
		mode    kafkatest.Mode
		applied bool // the topic has the record after the next fence
		fails   bool // the client got an error
	}{
		{kafkatest.CutBefore, false, true},
		{kafkatest.CutInside, false, true},
		{kafkatest.CutAfterApplied, true, true},
		{kafkatest.CutInAnswer, true, true},
		{kafkatest.SwallowRequest, false, true},
		{kafkatest.SwallowAnswer, true, true},
		{kafkatest.DelayRequest, true, false},
		{kafkatest.DelayAnswer, true, false},
	}
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, test := range tests {
			t.Run(string(test.mode), func(t *testing.T) {
				proxy, id := c.Proxy(), c.Name("fenced")
				topic, err := commitOnce(t, c, proxy, kafkatest.Fault{Key: endTxn, Nth: kafkatest.EveryRequest, Mode: test.mode, Delay: 50 * time.Millisecond},
					kgo.Dialer(proxy.Dial), kgo.TransactionalID(id))
				if (err != nil) != test.fails {
					t.Errorf("the commit says %v", err)
				}
				want := []string{"before"}
				if test.applied {
					want = append(want, "a")
				}
				fence(t, c, id)
				wantValues(t, c, topic, kgo.ReadCommitted(), want...)
				if n := proxy.Struck(test.mode); n == 0 {
					t.Error("it never struck")
				}
				// One commit went before, and passed whole.
				count := proxy.Count(endTxn)
				if applied := count.Applied > 1; applied != test.applied {
					t.Errorf("the proxy counts %+v", count)
				}
				if answered := count.Answered > 1; answered == test.fails {
					t.Errorf("the proxy counts %+v", count)
				}
			})
		}
	})
}

// TestStraggler lets a commit arrive after its client was cut off.
func TestStraggler(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		proxy := c.Proxy()
		topic, err := commitOnce(t, c, proxy, kafkatest.Fault{Key: endTxn, Mode: kafkatest.CutThenApply, Delay: 300 * time.Millisecond},
			kgo.Dialer(proxy.Dial))
		if err == nil && proxy.Count(endTxn).Requests == 2 {
			t.Error("the commit succeeded though its client was cut off")
		}
		wantValues(t, c, topic, kgo.ReadCommitted(), "before", "a")
		if proxy.Struck(kafkatest.CutThenApply) != 1 {
			t.Error("it did not strike once")
		}
	})
}

func TestNthRequestOfAKey(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		proxy := c.Proxy(kafkatest.Fault{Key: produce, Nth: 3, Mode: kafkatest.CutBefore})
		topic, client := writer(c, 1, kgo.Dialer(proxy.Dial))
		write(t, client, kgo.TryCommit, "a", "b", "c", "d") // the client tries again
		wantValues(t, c, topic, kgo.ReadCommitted(), "a", "b", "c", "d")
		// A real broker may turn a produce away while the markers of the
		// transaction before are being written, so only the difference is known.
		n := proxy.Count(produce)
		if n.Requests != n.Applied+1 || n.Applied != n.Answered || n.Applied < 4 || proxy.Struck(kafkatest.CutBefore) != 1 {
			t.Errorf("produce requests: %+v, want one that was not applied", n)
		}
	})
}

// One seed lets the same requests meet the same faults each time; another one does not.
func TestRandomCutsReplay(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		first, again, other := randomCuts(t, c, 7), randomCuts(t, c, 7), randomCuts(t, c, 8)
		// A real broker may turn a produce away while markers are being written, and
		// is asked once more: so one run may be longer.
		if n := min(len(first), len(again)); !slices.Equal(first[:n], again[:n]) {
			t.Errorf("with one seed the requests met\n%v\n%v", first, again)
		}
		if n := min(len(first), len(other)); slices.Equal(first[:n], other[:n]) {
			t.Errorf("with two seeds the requests met the same: %v", first)
		}
	})
}

// randomCuts writes one record after the other, and returns what each request to
// produce met: nothing, or a cut and where.
func randomCuts(t *testing.T, c *kafkatest.Cluster, seed uint64) (met []kafkatest.Fault) {
	t.Helper()
	proxy := c.Proxy()
	topic, client := writer(c, 1, kgo.Dialer(proxy.Dial))
	var mu sync.Mutex // guards met
	proxy.Observe(func(f kafkatest.Frame) {
		if f.Key == produce && !f.Answer {
			mu.Lock()
			defer mu.Unlock()
			met = append(met, f.Fault)
		}
	})
	proxy.Random(seed, 3, kafkatest.Fault{Key: produce})
	want := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	write(t, client, kgo.TryCommit, want...)
	wantValues(t, c, topic, kgo.ReadCommitted(), want...)
	mu.Lock()
	defer mu.Unlock()
	cuts := 0
	for _, f := range met {
		if f.Mode != "" {
			cuts++
		}
	}
	if cuts == 0 || len(met) < len(want)+cuts {
		t.Errorf("seed %d: %d requests for %d records, %d of them cut", seed, len(met), len(want), cuts)
	}
	return met
}

func TestDark(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		proxy := c.Proxy()
		client := c.Client(kgo.Dialer(proxy.Dial))
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		proxy.Dark(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := client.Ping(ctx); err == nil {
			t.Error("there is light")
		}
		proxy.Dark(200 * time.Millisecond)
		for begin := time.Now(); client.Ping(t.Context()) != nil; time.Sleep(50 * time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatal("it stays dark")
			}
		}
	})
}

// TestListeners goes through the proxy as a child process does: it knows its
// addresses only, and every connection must go through it.
func TestListeners(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		proxy := c.Proxy()
		seeds := proxy.Brokers()
		if slices.ContainsFunc(seeds, func(s string) bool { return slices.Contains(c.Brokers(), s) }) {
			t.Fatalf("the proxy's brokers %v are the cluster's", seeds)
		}
		var direct atomic.Int32
		topic, client := writer(c, 1, kgo.SeedBrokers(seeds...), kgo.WithHooks(dials(func(addr string) {
			if slices.Contains(c.Brokers(), addr) {
				direct.Add(1)
			}
		})))
		proxy.Add(kafkatest.Fault{Key: endTxn, Mode: kafkatest.CutAfterApplied})
		write(t, client, kgo.TryCommit, "a")
		wantValues(t, c, topic, kgo.ReadCommitted(), "a")
		if n := direct.Load(); n > 0 {
			t.Errorf("%d connections went past the proxy", n)
		}
		if proxy.Struck(kafkatest.CutAfterApplied) != 1 || proxy.Count(produce).Answered == 0 {
			t.Errorf("produce %+v, end %+v", proxy.Count(produce), proxy.Count(endTxn))
		}
	}, kafkatest.Nodes(3))
}

// dials is told of every connection a client opens.
type dials func(addr string)

func (d dials) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, _ error) {
	d(net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port))))
}

// TestObserve acts between a request and its answer.
func TestObserve(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		proxy := c.Proxy()
		var asked, answered atomic.Int32
		proxy.Observe(func(f kafkatest.Frame) {
			switch {
			case f.Key == endTxn && !f.Answer:
				asked.Add(1)
			case f.Key == endTxn:
				answered.Add(1)
			}
		})
		_, err := commitOnce(t, c, proxy, kafkatest.Fault{Key: endTxn, Mode: kafkatest.CutBefore, Nth: kafkatest.EveryRequest}, kgo.Dialer(proxy.Dial))
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the commit says %v", err)
		}
		if asked.Load() < 2 || answered.Load() != 1 {
			t.Errorf("%d asked, %d answered; want one answer and at least one cut", asked.Load(), answered.Load())
		}
	})
}
