package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Connector keeps topics equal to audit logs. Make one with New.
type Connector struct {
	cfg     Config
	running atomic.Bool
	// What tests replace: the network to the brokers, that to the API, the clock
	// and the name of this host.
	dial      kafka.DialFunc
	transport http.RoundTripper
	now       func() time.Time
	host      string
	metrics   *kafka.Metrics
	// What the organizations of the process share. Everything else each of them has for
	// itself, so that one that fails does not stop another.
	claims    claims
	tenants   window.Tenants
	turns     turns
	sources   *txlog.Search
	verifying chan struct{} // has one while an organization is verified
}

// claims says which organization of the API is read under which name, so that two
// of one process that start at once do not both read it. Each would write every event,
// and consumers would see it twice.
//
// The cursors in the topic say the same of other processes, and of earlier ones. But two
// that start at the same moment look at the topic before either has written its cursor.
type claims struct {
	mu    sync.Mutex // guards names
	names map[string]string
}

// claim returns under which name the API's organization is read in this process:
// under the given one, if no other was first.
func (c *claims) claim(apiName, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[string]string{}
	}
	if _, taken := c.names[apiName]; !taken {
		c.names[apiName] = name
	}
	return c.names[apiName]
}

// New returns a connector for the config. It opens no connection yet. What is wrong
// with the config is a ConfigError, which names each field.
func New(cfg Config) (*Connector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return newConnector(cfg)
}

// newConnector is New without the bounds, which tests in a hurry are below.
func newConnector(cfg Config) (*Connector, error) {
	if cfg.Telemetry == nil {
		cfg.Telemetry = NoTelemetry{}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for the name of this host, by which instances know each other: %w", err)
	}
	c := &Connector{cfg: cfg, now: time.Now, host: host, sources: target.Sources(), verifying: make(chan struct{}, 1)}
	if cfg.Registerer != nil {
		if c.metrics, err = kafka.NewMetrics(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("registering the counters of the Kafka clients, where a Registerer serves one connector only: %w", err)
		}
	}
	return c, nil
}

// Run keeps the topics equal to the audit logs until ctx ends; then it finishes
// or abandons the open transaction, within eight seconds, and returns nil.
//
// Failures that may pass, or that somebody can fix while it runs, are logged and tried again. An
// organization that needs a decision stops alone, and Run returns an error that
// wraps ErrRefused when none is left. If another instance takes over one of
// them, all stop, and the error wraps ErrFenced: this process was started by
// mistake, or was replaced.
//
// Once it has returned it may be called again, and goes on from what the topics say.
// While it runs, a second call is an error at once: two would fence each other.
func (c *Connector) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("the connector runs already: call Run again when the first call has returned")
	}
	defer c.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// With it all sessions look at the topics. It has no transactional id: to look must not wait
	// for a commit that is under way, and can never disturb one. One of each session would have
	// to connect, and to sign in, for almost every look.
	looks, err := c.target("", c.cfg.Logger).Connection.Client(ctx)
	if err != nil {
		return err
	}
	defer looks.Close()
	var orgs []*organization
	for _, org := range c.cfg.Organizations {
		o, err := c.organization(org)
		if err != nil {
			return fmt.Errorf("organization %s: %w", org.Name, err)
		}
		o.looks = looks
		orgs = append(orgs, o)
	}
	t := &team{cancel: cancel, log: c.cfg.Logger, all: len(orgs)}
	// The group only decides who works. Who may write is decided by the fence at the start of
	// each session, with and without a group: an instance may learn late that it lost a
	// partition, and does no harm until then.
	if c.cfg.Kafka.GroupID != "" {
		c.workInGroup(ctx, orgs, t)
		return t.err()
	}
	var wg sync.WaitGroup
	for _, o := range orgs {
		// Ends with ctx, or by itself; waited for below.
		wg.Go(func() { t.ended(o.name, o.run(ctx)) })
	}
	wg.Wait()
	return t.err()
}

// team is what the organizations of an instance have in common: how they end.
type team struct {
	cancel context.CancelFunc // stops all
	log    *slog.Logger

	all int // organizations

	mu   sync.Mutex          // guards what follows
	ends map[string]struct{} // those that ended by themselves
	over bool                // none is left, or this instance must not go on
	errs []error
}

// began takes back that an organization ended: with a consumer group it may come
// back to this instance, and the reason why it was refused may be gone by then.
func (t *team) began(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ends, name)
}

// ended notes how an organization ended; nil if it was stopped.
func (t *team) ended(name string, err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ends == nil {
		t.ends = map[string]struct{}{}
	}
	t.ends[name] = struct{}{}
	// One that is fenced ends all of them. Another instance with the same settings is at
	// work, so it will fence the others too: to leave now is quicker, and says why. One that
	// is refused has a cause of its own, and the others do not wait for a person.
	t.errs = append(t.errs, fmt.Errorf("organization %s: %w", name, err))
	if t.over = t.over || errors.Is(err, ErrFenced) || len(t.ends) == t.all; t.over {
		t.cancel()
		return
	}
	t.log.Error("an organization stopped, the others go on", "organization", name, "error", err)
}

// fail ends all of them.
func (t *team) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs, t.over = append(t.errs, err), true
	t.cancel()
}

// err is how the instance ended: nil if it was stopped while an organization was at work.
func (t *team) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		return nil
	}
	return errors.Join(t.errs...)
}

// target returns where the organization's events go, over the network of this connector.
// No connection is opened: each client of the target opens its own.
func (c *Connector) target(organization string, log *slog.Logger) target.Target {
	t := c.cfg.Target(organization, log)
	t.Connection.Dial, t.Connection.Metrics, t.Now = c.dial, c.metrics, c.now
	return t
}
