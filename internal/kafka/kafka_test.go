package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster starts a broker that ends with the test.
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connection(c *kfake.Cluster) kafka.Connection {
	return kafka.Connection{Brokers: c.ListenAddrs(), ClientID: "test"}
}

func client(t *testing.T, conn kafka.Connection, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := conn.Client(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
