package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
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
		n, err := newNode(id+1, dir, jars)
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, n)
	}
	if o.secured {
		if s.security, err = newSecurity(dir, s.nodes); err != nil {
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
	if err := s.waitReady(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func newNode(id int, dir, jars string) (*Node, error) {
	n := &Node{ID: id, dir: filepath.Join(dir, fmt.Sprintf("node-%d", id)), jars: jars}
	addrs := []*string{&n.Addr, &n.controller}
	for i := range n.secure {
		addrs = append(addrs, &n.secure[i])
	}
	for _, addr := range addrs {
		var err error
		if *addr, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	return n, os.MkdirAll(n.dataDir(), 0o755)
}

// freeAddr returns an address that nobody listens on. It is not one of those the
// system hands out to clients: such a one could be taken while a killed broker
// is down.
func freeAddr() (string, error) {
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+mathrand.IntN(20000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port found in 100 tries")
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

// waitReady waits until every node that runs is known, and the coordinator of
// transactions works.
func (s *server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ready after %v", patience))
	defer cancel()
	for {
		want := 0
		for _, n := range s.nodes {
			if n.Running() {
				want++
			}
		}
		if want == 0 {
			return fmt.Errorf("the broker ended: %s", s.nodes[0].lastWords())
		}
		err := s.probe(ctx, want)
		if err == nil {
			return nil
		}
		if cause := sleep(ctx, 50*time.Millisecond); cause != nil {
			return fmt.Errorf("starting Kafka: %w: %w\n%s", cause, err, s.nodes[0].lastWords())
		}
	}
}

func (s *server) probe(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers()...), kgo.TransactionalID("kafkatest-ready"),
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
}
