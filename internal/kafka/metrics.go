package kafka

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Metrics counts what all clients of the process do together: connections,
// bytes, errors. kprom keeps one set of counters for each client and unregisters
// it at Close, but we have a client for each organization and a new one after
// each error. So here one set outlives the clients, and never goes back to zero.
type Metrics struct{ *kprom.Metrics }

// NewMetrics registers the counters at reg. It is an error if they are there already.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	var failed error
	m := kprom.NewMetrics("openai_audit_kafka", kprom.Registerer(counters{reg, &failed}))
	m.OnNewClient(nil) // makes the counters; only the gauges dropped below look at the client
	return &Metrics{m}, failed
}

// OnNewClient hides kprom's, which would register the counters again and panic.
func (*Metrics) OnNewClient(*kgo.Client) {}

// OnClientClosed hides kprom's, which would unregister the counters.
func (*Metrics) OnClientClosed(*kgo.Client) {}

// counters drops kprom's gauges: what one client holds in its buffers means
// nothing where there are several.
type counters struct {
	prometheus.Registerer
	failed *error
}

// MustRegister is the only method that kprom calls. It notes a failure, and does not
// panic.
func (r counters) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if _, gauge := c.(prometheus.GaugeFunc); !gauge {
			*r.failed = errors.Join(*r.failed, r.Register(c))
		}
	}
}
