package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// server is real Kafka started by this process.
type server struct {
	dir      string
	nodes    []*Node
	security *Security // nil without
}

// startServer starts the nodes in dir and waits until they do transactions.
func startServer(ctx context.Context, dir string, o options) (*server, error) {
	jars, err := Jars(ctx, o.version)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	for id := range o.nodes {
		port := 0
		if id == 0 {
			port = o.port
		}
		n, err := newNode(id+1, dir, jars, port)
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, n)
	}
	if o.kdc != nil {
		for _, n := range s.nodes {
			n.flags = append(n.flags, "-Djava.security.krb5.conf="+o.kdc.ConfigFile)
		}
	}
	if o.secured {
		if s.security, err = newSecurity(dir, o, s.nodes); err != nil {
			return nil, err
		}
		for _, n := range s.nodes {
			n.flags = append(n.flags, "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="+s.security.jwksURL())
		}
	}
	if o.class != "" {
		if err := s.compile(ctx, o.class); err != nil {
			return nil, err
		}
	}
	if err := s.format(o); err != nil {
		return nil, err
	}
	for _, n := range s.nodes {
		if err := n.Start(); err != nil {
			s.stop()
			return nil, err
		}
	}
	if err := s.waitReady(ctx, s.nodes); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func newNode(id int, dir, jars string, port int) (*Node, error) {
	n := &Node{ID: id, dir: filepath.Join(dir, fmt.Sprintf("node-%d", id)), jars: jars}
	addrs := []*string{&n.Addr, &n.controller}
	for i := range n.secure {
		addrs = append(addrs, &n.secure[i])
	}
	for _, addr := range addrs {
		l, err := listenOn(port)
		if err != nil {
			return nil, err
		}
		port = 0 // that of the plain listener
		*addr = l.Addr().String()
		n.reserved = append(n.reserved, l)
	}
	return n, os.MkdirAll(n.dataDir(), 0o755)
}

// listenOn listens on the port of loopback; on any for 0.
func listenOn(port int) (net.Listener, error) {
	if port == 0 {
		return listenAnywhere()
	}
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// listenAnywhere listens where nobody does. It is not on one of the ports that the
// system hands out to clients: such a one could be taken while a killed broker
// is down. Nor does another process of tests choose it while this one lives, though nobody
// listens there until the broker is up.
func listenAnywhere() (net.Listener, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("openai-audit-kafka-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	var last error
	for range 100 {
		port := strconv.Itoa(12000 + mathrand.IntN(20000))
		switch ours, err := claim(filepath.Join(dir, port)); {
		case err != nil:
			return nil, fmt.Errorf("claiming the port %s: %w", port, err)
		case !ours:
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port found in 100 tries: %w", last)
}

var nodeLines = regexp.MustCompile(`(?m)^(node|directory)\.id=.*$`)

// format writes the settings and the empty log of every node. The tool that
// makes the log takes a second of CPU, so it runs once, and the other nodes get
// its files with ids of their own.
func (s *server) format(o options) error {
	for _, n := range s.nodes {
		if err := os.WriteFile(n.propertiesFile(), []byte(s.properties(n, o)), 0o600); err != nil {
			return err
		}
	}
	first := s.nodes[0]
	args := []string{"format", "-t", uuid(), "-c", first.propertiesFile()}
	if s.security != nil {
		args = append(args, scramUsers()...)
	}
	if out, err := first.java("kafka.tools.StorageTool", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting: %w\n%s", err, out)
	}
	for _, n := range s.nodes[1:] {
		if err := os.CopyFS(n.dataDir(), os.DirFS(first.dataDir())); err != nil {
			return err
		}
		file := filepath.Join(n.dataDir(), "meta.properties")
		meta, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		meta = nodeLines.ReplaceAllFunc(meta, func(line []byte) []byte {
			if line[0] == 'n' {
				return fmt.Appendf(nil, "node.id=%d", n.ID)
			}
			return []byte("directory.id=" + uuid())
		})
		if err := os.WriteFile(file, meta, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// uuid returns a random id as Kafka writes them.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // none that begins with a dash: a tool takes it for a flag
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// running returns the nodes that are there, paused or not.
func (s *server) running() []*Node {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *Node) bool { return !n.Running() })
}

// startPatience is how long brokers may take to start, several at once on a busy
// machine. One that ends is reported at once.
const startPatience = 3 * time.Minute

// waitReady waits until each of the nodes answers and knows them all, and the
// coordinator of transactions works.
func (s *server) waitReady(ctx context.Context, nodes []*Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("not ready after %v", startPatience))
	defer cancel()
	for _, n := range nodes {
		for {
			if !n.Running() {
				return fmt.Errorf("node %d ended: %s", n.ID, n.lastWords())
			}
			err := n.probe(ctx, len(nodes))
			if err == nil {
				break
			}
			if cause := sleep(ctx, 50*time.Millisecond); cause != nil {
				return fmt.Errorf("starting Kafka: %w: %w\n%s", cause, err, n.lastWords())
			}
		}
	}
	return nil
}

// probe asks the node itself: others list one that was killed a moment ago.
func (n *Node) probe(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Addr), kgo.TransactionalID("kafkatest-ready"),
		kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if got := len(metadata.Brokers); got < want {
		return fmt.Errorf("%d of %d brokers", got, want)
	}
	_, _, err = client.ProducerID(ctx)
	return err
}

func (s *server) brokers() []string {
	addrs := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		addrs[i] = n.Addr
	}
	return addrs
}

// stop kills the nodes: nobody reads what they leave.
func (s *server) stop() {
	for _, n := range s.nodes {
		_ = n.Kill()
	}
	s.security.close()
}
