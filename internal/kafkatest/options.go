package kafkatest

import (
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Option says what kind of cluster a test wants.
type Option func(*options)

type options struct {
	nodes      int
	version    string
	properties map[string]string
	secured    bool
	keysByURL  bool
	kdc        *KDC   // nil without Kerberos
	controller bool   // only the first node is one
	class      string // that the brokers need, of ours; empty: none
	port       int    // of the first node's plain listener; 0: any
	network    *kfake.VirtualNetwork
	fake       []kfake.Opt
}

func newOptions(opts []Option) (options, error) {
	o := options{nodes: 1, version: defaultVersion(), properties: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.nodes < 1 {
		return o, fmt.Errorf("a cluster of %d nodes", o.nodes)
	}
	return o, nil
}

// Nodes sets the number of brokers; 1 by default. With three or more, topics get
// three replicas by default.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// OneController makes the first node the only controller: it decides though others are
// gone.
func OneController() Option { return func(o *options) { o.controller = true } }

// Version sets the version of Apache Kafka, for example 3.9.1. The default is
// KAFKA_VERSION, else 4.3.1. It means nothing in process.
func Version(v string) Option { return func(o *options) { o.version = v } }

// Port sets where the first node of real Kafka listens on loopback.
func Port(port int) Option { return func(o *options) { o.port = port } }

// Properties adds lines to server.properties of every node. In process they
// become the broker's configuration, as far as it knows them.
func Properties(p map[string]string) Option {
	return func(o *options) { maps.Copy(o.properties, p) }
}

// Secured adds listeners with SASL and TLS and an authorizer to real Kafka; see
// Cluster.Security. The plain listener stays, and may do everything.
func Secured() Option { return func(o *options) { o.secured = true } }

// Kerberized is Secured with GSSAPI as one more mechanism.
func Kerberized(k *KDC) Option { return func(o *options) { o.secured, o.kdc = true, k } }

// OnNetwork puts the in-process broker on a virtual network, as a test in a
// synctest bubble needs it. Clients of Cluster.Client use it by themselves.
func OnNetwork(n *kfake.VirtualNetwork) Option { return func(o *options) { o.network = n } }

// Fake passes options to the in-process broker.
func Fake(opts ...kfake.Opt) Option {
	return func(o *options) { o.fake = append(o.fake, opts...) }
}
