package kafkatest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// write ends one transaction with the values in it.
func write(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// writeWithout is write while a broker is gone. kgo asks any broker for the
// coordinator, in a random order, and gives up where the order names the dead
// broker twice running. Nothing was sent then, so a new client of the same
// transactional id does it again.
func writeWithout(t *testing.T, c *kafkatest.Cluster, opts []kgo.Opt, value string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		client := c.Client(opts...)
		err := client.BeginTransaction()
		if err == nil {
			err = client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr()
		}
		if err == nil {
			err = client.EndTransaction(t.Context(), kgo.TryCommit)
		}
		client.Close()
		if err == nil {
			return
		}
		if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// writer returns a topic of the test's own and a client that writes to it.
func writer(c *kafkatest.Cluster, partitions int32, opts ...kgo.Opt) (topic string, client *kgo.Client) {
	topic = c.Name("topic")
	c.CreateTopic(topic, partitions, nil)
	own := []kgo.Opt{kgo.TransactionalID(c.Name("writer")), kgo.DefaultProduceTopic(topic)}
	return topic, c.Client(append(own, opts...)...)
}

func wantValues(t *testing.T, c *kafkatest.Cluster, topic string, isolation kgo.IsolationLevel, want ...string) {
	t.Helper()
	got := []string{}
	for _, r := range c.Read(t, topic, isolation) {
		got = append(got, string(r.Value))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s holds %v, want %v", topic, got, want)
	}
}

func TestReadToMarkersAtTheEnd(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, client := writer(c, 1)
		wantValues(t, c, topic, kgo.ReadCommitted())
		write(t, client, kgo.TryCommit, "a", "b")
		wantValues(t, c, topic, kgo.ReadCommitted(), "a", "b")
		write(t, client, kgo.TryAbort, "c")
		wantValues(t, c, topic, kgo.ReadCommitted(), "a", "b")
		wantValues(t, c, topic, kgo.ReadUncommitted(), "a", "b", "c")
	})
}

func TestReadEveryPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, client := writer(c, 3, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		write(t, client, kgo.TryCommit, "a", "b", "c", "d")
		if got := c.Read(t, topic, kgo.ReadCommitted()); len(got) != 4 {
			t.Errorf("%d records, want 4", len(got))
		}
	})
}

func TestVirtualNetworkInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
		proxy := c.Proxy()
		topic, client := writer(c, 1, kgo.Dialer(proxy.Dial))
		begin := time.Now()
		write(t, client, kgo.TryCommit, "a")
		time.Sleep(24 * time.Hour)
		write(t, client, kgo.TryCommit, "b")
		wantValues(t, c, topic, kgo.ReadCommitted(), "a", "b")
		if passed := time.Since(begin); passed < 24*time.Hour {
			t.Errorf("%v passed, want a day", passed)
		}
		client.Close()
	})
}

// TestThreeNodes kills and pauses brokers while a client goes on writing.
func TestThreeNodes(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := kafkatest.Real(t, kafkatest.Nodes(3))
	topic := c.Name("topic")
	c.CreateTopic(topic, 1, nil)
	opts := []kgo.Opt{kgo.TransactionalID(c.Name("writer")), kgo.DefaultProduceTopic(topic)}
	writeWithout(t, c, opts, "all three")

	if err := c.Node(0).Kill(); err != nil {
		t.Fatal(err)
	}
	if c.Node(0).Running() {
		t.Error("a killed node runs")
	}
	writeWithout(t, c, opts, "one killed")
	if err := c.Node(0).Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()

	if err := c.Node(1).Pause(); err != nil {
		t.Fatal(err)
	}
	// A signal is on its way for a moment on a busy machine.
	for tries := 0; answers(t, c, c.Node(1)); tries++ {
		if tries == 5 {
			t.Fatal("a paused node answers")
		}
	}
	if !c.Node(1).Running() {
		t.Error("a paused node is gone")
	}
	if err := c.Node(1).Resume(); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()

	if err := c.Node(2).Stop(); err != nil {
		t.Fatal(err)
	}
	writeWithout(t, c, opts, "one stopped")
	wantValues(t, c, topic, kgo.ReadCommitted(), "all three", "one killed", "one stopped")
}

// TestOneNodeComesBack restarts the only broker on the data it left.
func TestOneNodeComesBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := kafkatest.Real(t)
	topic, client := writer(c, 1)
	write(t, client, kgo.TryCommit, "before")
	if err := c.Node(0).Kill(); err != nil {
		t.Fatal(err)
	}
	if answers(t, c, c.Node(0)) {
		t.Error("a killed broker answers")
	}
	if err := c.Node(0).Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()
	write(t, client, kgo.TryCommit, "after")
	wantValues(t, c, topic, kgo.ReadCommitted(), "before", "after")
}

// answers reports whether the node says anything within a second.
func answers(t *testing.T, c *kafkatest.Cluster, n *kafkatest.Node) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	client := c.Client(kgo.SeedBrokers(n.Addr))
	defer client.Close()
	return client.Ping(ctx) == nil
}
