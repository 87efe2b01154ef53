package kafkatest

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InProcess starts brokers inside the test's process and stops them when the
// test ends.
func InProcess(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	record(t, inProcess)
	c, err := StartInProcess(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.tb = t
	return c
}

const inProcess = "inprocess"

// StartInProcess is InProcess for a program. The caller closes the cluster.
func StartInProcess(opts ...Option) (*Cluster, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if o.secured {
		return nil, errors.New("option Secured is for real Kafka; in process, pass options of kfake with Fake")
	}
	dial := DialFunc((&net.Dialer{}).DialContext)
	fakeOpts := []kfake.Opt{kfake.NumBrokers(o.nodes), kfake.BrokerConfigs(o.properties)}
	if o.network != nil {
		dial = o.network.DialContext
		fakeOpts = append(fakeOpts, kfake.ListenFn(o.network.Listen))
	}
	fake, err := kfake.NewCluster(append(fakeOpts, o.fake...)...)
	if err != nil {
		return nil, fmt.Errorf("starting the in-process broker: %w", err)
	}
	collectNothing(fake)
	return &Cluster{backend: inProcess, brokers: fake.ListenAddrs(), dial: dial, virtual: o.network != nil, fake: fake}, nil
}

// collectNothing lets the broker ask clients for none of their own metrics, like Kafka
// that nobody told to. Else each client compresses and sends some every thirty seconds,
// which was more work than the polls of a quiet connector in virtual time.
func collectNothing(fake *kfake.Cluster) {
	fake.ControlKey(kmsg.GetTelemetrySubscriptions.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		res := req.ResponseKind().(*kmsg.GetTelemetrySubscriptionsResponse)
		res.ClientInstanceID[0], res.PushIntervalMillis = 1, 300_000
		return res, nil, true
	})
}
