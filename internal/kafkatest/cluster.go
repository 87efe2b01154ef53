package kafkatest

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DialFunc opens a connection; that of net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Cluster is one or more brokers as a test sees them. What goes wrong in its
// methods fails the test it was made for.
type Cluster struct {
	tb      testing.TB // nil outside of tests
	backend string
	brokers []string
	dial    DialFunc
	virtual bool           // dial goes through a virtual network
	fake    *kfake.Cluster // nil if real
	server  *server        // nil unless real and started by this process
}

// Brokers returns the bootstrap servers, host:port.
func (c *Cluster) Brokers() []string { return c.brokers }

// Backend names what answers: "inprocess", or "kafka-" and the version.
func (c *Cluster) Backend() string { return c.backend }

// Real reports whether it is Apache Kafka.
func (c *Cluster) Real() bool { return c.fake == nil }

// Fake returns the in-process broker, or nil if the cluster is real.
func (c *Cluster) Fake() *kfake.Cluster { return c.fake }

// Dial connects to a broker, through the virtual network if there is one.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, network, addr)
}

// Client returns a client with the options and closes it when the test ends. An
// option given overrides the cluster's own, so kgo.Dialer(proxy.Dial) goes
// through a proxy.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.helper()
	client, err := kgo.NewClient(append(c.clientOptions(), opts...)...)
	if err != nil {
		c.fatalf("making a Kafka client: %v", err)
	}
	if c.tb != nil {
		c.tb.Cleanup(client.Close)
	}
	return client
}

func (c *Cluster) clientOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		// The default of 5 s makes every test that follows a change wait.
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	// Only where it must be: a dialer excludes kgo.DialTLSConfig.
	if c.virtual {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	return opts
}

// Admin returns a client for topics, ACLs and offsets.
func (c *Cluster) Admin() *kadm.Client {
	c.helper()
	return kadm.NewClient(c.Client())
}

var names atomic.Int64

// run identifies each of the processes that share a broker.
var run = time.Now().UnixNano()

// Name returns base with an ending that no other test has, for topics, groups
// and transactional ids on a shared broker.
func (c *Cluster) Name(base string) string {
	return fmt.Sprintf("%s-%x-%d", base, run, names.Add(1))
}

// CreateTopic creates a topic, with the broker's default replication.
func (c *Cluster) CreateTopic(topic string, partitions int32, configs map[string]string) {
	c.helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	values := make(map[string]*string, len(configs))
	for k, v := range configs {
		values[k] = &v
	}
	admin := c.Admin()
	if _, err := admin.CreateTopic(ctx, partitions, -1, values, topic); err != nil {
		c.fatalf("creating topic %s: %v", topic, err)
	}
	// Created is not yet known to every broker: a client that asks another one
	// at once is answered that there is no such topic.
	for c.Real() {
		details, err := admin.ListTopics(ctx, topic)
		if err == nil && details.Error() == nil && len(details[topic].Partitions) == int(partitions) {
			return
		}
		if sleep(ctx, 20*time.Millisecond) != nil {
			c.fatalf("topic %s does not show up: %v", topic, err)
		}
	}
}

// Close stops the brokers. A cluster made for a test closes by itself.
func (c *Cluster) Close() {
	if c.fake != nil {
		c.fake.Close()
	}
	if c.server != nil {
		c.server.stop()
	}
}

// fatalf fails the test. Outside of tests it panics: there it is a mistake in
// the calling program, such as options that contradict each other.
func (c *Cluster) fatalf(format string, args ...any) {
	if c.tb == nil {
		panic("kafkatest: " + fmt.Sprintf(format, args...))
	}
	c.tb.Helper()
	c.tb.Fatalf(format, args...)
}

func (c *Cluster) helper() {
	if c.tb != nil {
		c.tb.Helper()
	}
}

// patience bounds what a test waits for a broker that works.
const patience = 60 * time.Second

// sleep waits for d or until ctx ends, and then says why.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
