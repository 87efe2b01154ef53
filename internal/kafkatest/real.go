package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Real starts real Kafka for this test alone, for tests that kill or pause
// brokers, or need settings of their own. It costs five seconds; all others take
// SharedReal.
func Real(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	o, err := newOptions(opts)
	if err != nil {
		t.Fatal(err)
	}
	record(t, backendName(o.version))
	if os.Getenv(brokersVariable) == "off" {
		needKafka(t, fmt.Errorf("%w: %s=off", ErrUnavailable, brokersVariable))
	}
	s, err := startServer(context.Background(), t.TempDir(), o)
	if err != nil {
		needKafka(t, err)
	}
	t.Cleanup(s.stop)
	c := s.cluster(o.version)
	c.tb = t
	return c
}

// StartReal is Real for a program. The caller closes the cluster, and removes
// dir, where its data are.
func StartReal(ctx context.Context, dir string, opts ...Option) (*Cluster, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	// The broker is started in a folder of its own, so it has to be told in full.
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	return s.cluster(o.version), nil
}

func (s *server) cluster(version string) *Cluster {
	return &Cluster{backend: backendName(version), brokers: s.brokers(), dial: (&net.Dialer{}).DialContext, server: s}
}

func backendName(version string) string { return "kafka-" + version }

const brokersVariable = "KAFKA_TEST_BROKERS"

// shared is the one real broker of this process, started by the first test that
// asks and stopped by Main.
var shared struct {
	sync.Mutex
	mainRuns atomic.Bool
	cluster  *Cluster
	err      error // of the one attempt to start it
}

// SharedReal returns the real broker that all tests of the process share, each
// with names of its own (Cluster.Name). The package's TestMain must call Main.
func SharedReal(t testing.TB) *Cluster {
	t.Helper()
	view, err := sharedCluster(t)
	if err != nil {
		record(t, backendName(defaultVersion()))
		needKafka(t, err)
	}
	record(t, view.backend)
	view.tb = t
	return &view
}

func sharedCluster(t testing.TB) (Cluster, error) {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil || shared.err != nil {
		return deref(shared.cluster), shared.err
	}
	switch given := os.Getenv(brokersVariable); given {
	case "off":
		shared.err = fmt.Errorf("%w: %s=off", ErrUnavailable, brokersVariable)
	case "":
		if !shared.mainRuns.Load() {
			t.Fatal("SharedReal needs func TestMain(m *testing.M) { kafkatest.Main(m) }, which stops the broker")
		}
		var dir string
		if dir, shared.err = os.MkdirTemp("", "kafkatest-"); shared.err == nil {
			shared.cluster, shared.err = StartReal(context.Background(), dir)
		}
		if shared.err != nil {
			os.RemoveAll(dir)
		}
	default:
		shared.cluster = External(strings.Split(given, ","))
	}
	return deref(shared.cluster), shared.err
}

func deref(c *Cluster) Cluster {
	if c == nil {
		return Cluster{}
	}
	return *c
}

// External returns a cluster that somebody else runs. It is named by
// KAFKA_VERSION, or "kafka-external" without.
func External(brokers []string) *Cluster {
	version := os.Getenv("KAFKA_VERSION")
	if version == "" {
		version = "external"
	}
	return &Cluster{backend: backendName(version), brokers: brokers, dial: (&net.Dialer{}).DialContext}
}

// Main runs the tests of a package, stops the shared broker if one was started,
// and exits. It is all that TestMain has to do.
func Main(m *testing.M) {
	shared.mainRuns.Store(true)
	code := m.Run()
	if c := shared.cluster; c != nil && c.server != nil {
		c.Close()
		os.RemoveAll(c.server.dir)
	}
	os.Exit(code)
}

// needKafka ends a test that cannot have real Kafka. What is broken, rather than
// missing, is always a failure.
func needKafka(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	Missing(t, "real Kafka: "+err.Error())
}

// Missing ends a test that needs something that this machine does not have. Where
// REQUIRE_KAFKA=1 says that everything has to run, as in .ci/run, it fails. Elsewhere it is
// skipped: the README promises that "make test" needs Go and make alone. The table at the
// end counts the skipped tests of each broker, and says loudly if none ran on real Kafka.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_KAFKA") == "1" {
		t.Fatalf("REQUIRE_KAFKA=1, and this machine lacks %s", what)
	}
	t.Skipf("NOT RUN: this machine lacks %s", what)
}

// Node returns the i-th broker process, from 0. Only clusters that Real or
// StartReal made have nodes.
func (c *Cluster) Node(i int) *Node {
	c.helper()
	if c.server == nil || i >= len(c.server.nodes) {
		c.fatalf("%s has no node %d of this test's own", c.backend, i)
	}
	return c.server.nodes[i]
}

// WaitReady waits until every node that runs is back and transactions work.
func (c *Cluster) WaitReady() {
	c.helper()
	if c.server == nil {
		return
	}
	nodes := c.server.running()
	if len(nodes) == 0 {
		c.fatalf("no node runs: %s", c.server.nodes[0].lastWords())
	}
	if err := c.server.waitReady(context.Background(), nodes); err != nil {
		c.fatalf("%v", err)
	}
}

// Security returns how to use the secured listeners, or nil without Secured.
func (c *Cluster) Security() *Security {
	if c.server == nil {
		return nil
	}
	return c.server.security
}
