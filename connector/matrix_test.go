package connector_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// step is something that the connector asks of somebody else. This table is the one
// place to add one: a request that is not in it fails TestEveryStepFailsBothWays.
type step struct {
	name  string
	group bool // asked only with KAFKA_GROUP_ID
	old   bool // asked only of brokers before 4.0
	aside bool // nothing waits for it, or not every broker is asked
	later bool // the first of these requests passes
	again bool // a first start may do without it: the connector ran before
}

func (s step) String() string {
	if s.later {
		return s.name + " but the first"
	}
	return s.name
}

var steps = []step{
	{name: "kafka ApiVersions"},
	{name: "kafka Metadata"},
	{name: "kafka DescribeConfigs"},
	{name: "kafka CreateTopics"},              // first to validate,
	{name: "kafka CreateTopics", later: true}, // and then to make
	{name: "kafka ListOffsets"},
	{name: "kafka Fetch", again: true},
	{name: "kafka FindCoordinator"},
	{name: "kafka InitProducerID"},
	{name: "kafka AddPartitionsToTxn", old: true},
	{name: "kafka Produce"},
	{name: "kafka EndTxn"},
	{name: "kafka DescribeTransactions", again: true},
	{name: "kafka DescribeProducers"},
	{name: "kafka ListTransactions", aside: true}, // where something is open that is not ours
	{name: "kafka JoinGroup", group: true},
	{name: "kafka SyncGroup", group: true},
	{name: "kafka Heartbeat", group: true, aside: true}, // after more than a second
	{name: "kafka LeaveGroup", group: true, aside: true},
	{name: "kafka OffsetFetch", group: true, aside: true},
	{name: "kafka OffsetForLeaderEpoch", aside: true},
	{name: "kafka GetTelemetrySubscriptions", aside: true},
	{name: "kafka PushTelemetry", aside: true},
	{name: "registry POST /subjects/S"},
	{name: "registry GET /subjects/S/versions"},
	{name: "registry PUT /config/S"},
	{name: "registry POST /subjects/S/versions"},
	{name: "api organization, the newest"},
	{name: "api organization, first page"},
	{name: "api organization, later page"},
	{name: "api tenant, the newest"},
	{name: "api tenant, first page"},
	{name: "api tenant, later page"},
}

// TestEveryStepFailsBothWays lets each step of the whole connector fail, not applied
// and applied: once, after which it has to recover by itself, and always until it is
// stopped and started again. The oracle is asked after each.
func TestEveryStepFailsBothWays(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		var asked sync.Map // names of steps
		trials := kafkatest.NewTrials(t, c.Backend(), "every step fails, applied and not")
		t.Run("cells", func(t *testing.T) {
			for _, s := range steps {
				// What is not asked of Kafka does not need the real one each time.
				elsewhere := c.Real() && !strings.HasPrefix(s.name, "kafka ") && !kafkatest.Torture()
				if s.aside || s.old && !oldBroker(c) || elsewhere {
					continue
				}
				for _, applied := range []bool{false, true} {
					for name, always := range map[string]bool{"once": false, "until restarted": true} {
						if testing.Short() && !always {
							continue // the race detector has the longer cells
						}
						t.Run(fmt.Sprintf("%v, applied %v, %s", s, applied, name), func(t *testing.T) {
							t.Parallel() // a cell waits more than it works
							trials.Add(1, stepFails(t, again(t, c), s, applied, always, &asked))
						})
					}
				}
			}
		})
		asked.Range(func(name, _ any) bool {
			for _, s := range steps {
				if s.name == name {
					return true
				}
			}
			t.Errorf("%s is asked for, and is not in the table of steps", name)
			return true
		})
	})
}

// oldBroker reports whether the broker has the transactions of before 4.0.
func oldBroker(c *kafkatest.Cluster) bool { return strings.HasPrefix(c.Backend(), "kafka-3.") }

func stepFails(t *testing.T, c *kafkatest.Cluster, s step, applied, always bool, asked *sync.Map) kafkatest.Report {
	w := newQuickWorld(t, c, simulator.Config{})
	w.backfill(time.Now().Add(-100 * 24 * time.Hour))
	w.api.Generate(1500, w.since, auditlog.SecondOf(time.Now().Add(-time.Minute))) // windows of some pages
	for n := range 150 {                                                           // two pages of the tenant's
		w.addEvent(simulator.Event{
			EffectiveAt: auditlog.SecondOf(time.Now().Add(-time.Duration(n) * time.Second)), Scopes: []auditlog.Scope{auditlog.ScopeTenant},
		})
	}
	if s.group {
		w.cfg.Kafka.GroupID = c.Name("group")
	}
	m := &saboteur{name: s.name, applied: applied, always: always, asked: asked}
	w.handler = m.of(w.api, apiStep)
	registry := httptest.NewServer(m.of(srfake.NewRegistry().Handler(), registryStep))
	t.Cleanup(registry.Close)
	w.cfg.Registry = connector.Registry{URL: registry.URL, AutoRegister: true}
	w.proxy = c.Proxy()
	var first sync.Once
	w.proxy.Observe(func(f kafkatest.Frame) {
		asked.Store("kafka "+kmsg.NameForKey(f.Key), true)
		if s.later && s.name == "kafka "+kmsg.NameForKey(f.Key) {
			first.Do(func() { m.onKafka(t, w.proxy) })
		}
	})
	if s.again {
		i := w.start()
		w.awaitEqual(90 * time.Second)
		w.must(i.stop())
		w.api.Step(5, 0, 0)
	}
	if strings.HasPrefix(s.name, "kafka ") && !s.later {
		m.onKafka(t, w.proxy)
	}
	i := w.start()
	if always {
		eventually(t, 30*time.Second, s.name+" fails", m.struck)
		time.Sleep(300 * time.Millisecond)
		_ = i.stop() // whatever it was in
		m.heal(w.proxy)
		i = w.start()
	}
	r := w.awaitEqual(90 * time.Second)
	if !m.struck() {
		t.Error("the step was never asked for")
	}
	w.must(i.stop())
	return r
}

// saboteur lets one step fail.
type saboteur struct {
	name            string
	applied, always bool
	asked           *sync.Map

	mu    sync.Mutex  // guards what follows
	kafka func() bool // whether a fault of the proxy struck
	hits  int
	done  bool
}

// onKafka lets the next request of that name fail, or all from now on.
func (m *saboteur) onKafka(t *testing.T, p *kafkatest.Proxy) {
	f := kafkatest.Fault{Key: -2, Mode: kafkatest.CutBefore, Nth: 1}
	for key := range int16(kmsg.MaxKey + 1) {
		if "kafka "+kmsg.NameForKey(key) == m.name {
			f.Key = key
		}
	}
	if f.Key < 0 {
		t.Errorf("no such request: %s", m.name)
		return
	}
	if m.applied {
		f.Mode = kafkatest.CutAfterApplied
	}
	if m.always {
		f.Nth = kafkatest.EveryRequest
	}
	p.Add(f)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kafka = func() bool { return p.Struck(f.Mode) > 0 }
}

// strikes reports whether a step is to fail now.
func (m *saboteur) strikes(name string) bool {
	m.asked.Store(name, true)
	m.mu.Lock()
	defer m.mu.Unlock()
	if name != m.name || m.done || m.hits > 0 && !m.always {
		return false
	}
	m.hits++
	return true
}

func (m *saboteur) struck() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hits > 0 || m.kafka != nil && m.kafka()
}

func (m *saboteur) heal(p *kafkatest.Proxy) {
	p.Clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done = true
}

// of returns the handler with the step of that name failing: the connection breaks
// before the request is handled, or after.
func (m *saboteur) of(h http.Handler, name func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !m.strikes(name(req)) {
			h.ServeHTTP(w, req)
			return
		}
		if m.applied {
			h.ServeHTTP(httptest.NewRecorder(), req)
		}
		panic(http.ErrAbortHandler)
	})
}

func apiStep(req *http.Request) string {
	q := req.URL.Query()
	name := "api organization"
	if q.Get("tenant_only") == "true" {
		name = "api tenant"
	}
	switch {
	case !q.Has("effective_at[gte]"):
		return name + ", the newest"
	case q.Get("after") == "":
		return name + ", first page"
	default:
		return name + ", later page"
	}
}

var subjectInPath = regexp.MustCompile(`/events[^/]*-value`)

func registryStep(req *http.Request) string {
	return "registry " + req.Method + " " + subjectInPath.ReplaceAllString(req.URL.Path, "/S")
}
