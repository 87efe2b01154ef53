package connector_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// world is a simulated API, a broker, and what runs between them.
type world struct {
	t       *testing.T
	api     *simulator.API
	cluster *kafkatest.Cluster
	cfg     connector.Config
	since   auditlog.Second // the truth before this is not asked for
	proxy   *kafkatest.Proxy
	handler http.Handler // serves the API; nil: api itself
	host    string
	serial  int // of events added
	// telemetry is told instead of the recorder, if set.
	telemetry connector.Telemetry
	// through, if set, is between the connector and the API.
	through func(http.RoundTripper) http.RoundTripper
	// startsAfter is how long an instance takes before it does anything.
	startsAfter time.Duration
}

// newWorld returns a world with topics of its own, with polls a second apart.
func newWorld(t *testing.T, c *kafkatest.Cluster, api simulator.Config) *world {
	t.Helper()
	w := &world{t: t, api: simulator.New(api), cluster: c, host: "host-1"}
	cfg := connector.DefaultConfig()
	cfg.PollInterval = time.Second
	cfg.Logger = testLogger(t)
	cfg.Kafka.Brokers = c.Brokers()
	cfg.Kafka.Topic = c.Name("events")
	cfg.Kafka.DLQTopic = c.Name("dlq")
	cfg.Kafka.OffsetsTopic = c.Name("offsets")
	org := connector.DefaultOrganization()
	org.AdminKey = connector.SecretValue(simulator.Key)
	org.BaseURL = "http://api.invalid/v1"
	cfg.Organizations = []connector.Organization{org}
	w.cfg = cfg
	return w
}

// inKafka is the side of a world that is in Kafka: what its topics hold, and what a test
// does to them behind the connector's back.
type inKafka struct{ *world }

func (w *world) kafka() inKafka { return inKafka{w} }

// backfill asks for history.
func (w *world) backfill(from time.Time) {
	w.cfg.Organizations[0].BackfillStart = &connector.BackfillStart{At: from}
	w.since = auditlog.SecondOf(from)
}

// instance is a connector at work.
type instance struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
	err    error
	*recorder
}

func (w *world) start() *instance {
	w.t.Helper()
	rec := newRecorder()
	cfg := w.cfg
	cfg.Telemetry = rec
	if w.telemetry != nil {
		cfg.Telemetry = w.telemetry
	}
	c, err := connector.NewUnchecked(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := simulator.Transport(w.api)
	if w.handler != nil {
		transport = simulator.Transport(w.handler)
	}
	if w.through != nil {
		transport = w.through(transport)
	}
	c.SetTransport(transport)
	c.SetDial(w.cluster.Dial)
	if w.proxy != nil {
		c.SetDial(w.proxy.Dial)
	}
	c.SetHost(w.host)
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{t: w.t, cancel: cancel, done: make(chan struct{}), recorder: rec}
	go func() {
		defer close(i.done)
		time.Sleep(w.startsAfter)
		i.err = c.Run(ctx)
	}()
	w.t.Cleanup(func() { i.stop() })
	return i
}

// stop ends the instance as a signal would, and returns how it ended.
func (i *instance) stop() error {
	i.t.Helper()
	i.once.Do(func() {
		i.cancel()
		select {
		case <-i.done:
		case <-time.After(atLeast(10 * time.Second)): // how long it may take: TestStopBesideASilentBroker
			stacks := make([]byte, 1<<20)
			i.t.Errorf("the connector did not stop\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	})
	return i.err
}

// end waits for the instance to end by itself.
func (i *instance) end(within time.Duration) error {
	i.t.Helper()
	select {
	case <-i.done:
		return i.err
	case <-time.After(atLeast(within)):
		i.t.Fatalf("still running after %v; not ready because: %s", within, i.reason())
		return nil
	}
}

// truth is what the topic must hold.
func (w *world) truth() []kafkatest.Want {
	var out []kafkatest.Want
	for ev := range w.api.Truth() {
		if ev.EffectiveAt < w.since {
			continue
		}
		for _, scope := range ev.Scopes {
			out = append(out, kafkatest.Want{
				ID: ev.ID, Scope: string(scope), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw,
			})
		}
	}
	return out
}

// report compares the topic with the truth.
func (w *world) report() kafkatest.Report {
	w.t.Helper()
	var records []*kgo.Record
	for _, topic := range []string{w.cfg.Kafka.Topic, w.cfg.Kafka.DLQTopic} {
		if w.kafka().exists(topic) {
			records = append(records, w.cluster.Read(w.t, topic, kgo.ReadCommitted())...)
		}
	}
	return kafkatest.Compare(w.truth(), records)
}

// exists reports whether the topic is there: the connector makes it when it gets
// to that.
func (w inKafka) exists(topic string) bool {
	w.t.Helper()
	topics, err := w.cluster.Admin().ListTopics(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return topics.Has(topic)
}

// addEvent adds an event with an id of its own.
func (w *world) addEvent(ev simulator.Event) {
	w.serial++
	ev.ID = fmt.Sprintf("audit_log-%s%06d", w.cfg.Kafka.Topic, w.serial)
	w.api.Add(ev)
}

// awaitEqual waits until nothing is missing, and fails when anything is doubled,
// extra or different.
func (w *world) awaitEqual(within time.Duration) kafkatest.Report {
	w.t.Helper()
	deadline := time.Now().Add(atLeast(within))
	for {
		r := w.report()
		if r.OK() {
			checkSeal(w)
			return r
		}
		if len(r.Missing) == 0 || len(r.Doubled)+len(r.Extra)+len(r.Different)+len(r.Unreadable) > 0 || time.Now().After(deadline) {
			w.t.Fatalf("the topic does not equal the API: %s", r)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// checkSeal fails unless each checkpoint, of all that were ever written, fits the records.
// Under the race detector it would take longer than what it looks at; the numbers are
// checked there too.
func checkSeal(w *world) {
	w.t.Helper()
	k := w.cfg.Kafka
	if !k.Seal || testing.Short() {
		return
	}
	for _, wrong := range w.cluster.CheckSeal(w.t, k.Topic, k.DLQTopic, k.OffsetsTopic) {
		w.t.Errorf("the seal: %s", wrong)
	}
}

// recorder is the telemetry of tests: it keeps what was reported.
type recorder struct {
	mu        sync.Mutex
	leader    connector.Leader
	leads     bool
	catching  []bool
	whyNot    string // of whichever organization told last
	reasons   map[string]string
	said      []string // every reason of whichever organization
	told      bool
	positions connector.Positions
	written   int
	most      int // in one commit
	progress  []told
	delay     time.Duration // the longest of an event found at the head
	letters   map[string]int
	commits   map[string]int
	unknown   int
	skipped   int
	verified  map[string]connector.Verification // by organization
	warnings  []string                          // each that was told, with its organization
}

// told is a progress and when it was reported.
type told struct {
	at time.Time
	connector.Progress
}

func newRecorder() *recorder {
	return &recorder{reasons: map[string]string{}, letters: map[string]int{}, commits: map[string]int{}, verified: map[string]connector.Verification{}}
}

func (*recorder) Requested(string, int, time.Duration) {}
func (*recorder) Refused(string, string)               {}
func (*recorder) RateLimited(string, time.Duration)    {}

func (r *recorder) Leading(_ string, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leads = leads
}

// leading reports whether the instance works for the organization that told last.
func (r *recorder) leading() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads
}

func (r *recorder) Watched(_ string, l connector.Leader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = l
}

// atWork is the instance at work as a standby last saw it.
func (r *recorder) atWork() connector.Leader {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader
}

func (r *recorder) Warned(organization, _ string, w connector.Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, organization+": "+w.Text+" "+w.Remedy)
}

// warned are the warnings that were reported so far.
func (r *recorder) warned() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.warnings)
}
func (*recorder) Hanging(string, []connector.HangingTransaction) {}

func (r *recorder) Verified(organization string, v connector.Verification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verified[organization] = v
}

// lastVerified is the recorded result of verify that was reported last.
func (r *recorder) lastVerified(organization string) connector.Verification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verified[organization]
}

func (r *recorder) Progressed(_ string, p connector.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, told{time.Now(), p})
}

func (r *recorder) Committed(_, result string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits[result]++
}

func (r *recorder) Written(_ string, w connector.Written) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written += w.Events
	r.most = max(r.most, w.Events)
	for _, delay := range w.Delays {
		r.delay = max(r.delay, delay)
	}
	r.unknown += w.Unknown
	for reason, n := range w.DeadLetters {
		r.letters[reason] += n
	}
}

func (r *recorder) Skipped(_ string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped += n
}

func (r *recorder) Positions(_ string, p connector.Positions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.positions = p
	if !p.BackfillTarget.IsZero() {
		r.catching = append(r.catching, p.CatchingUp)
	}
}

// caughtUp says of each time at which history was left whether it was what was missed.
func (r *instance) caughtUp() []bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Compact(slices.Clone(r.catching))
}

func (r *recorder) Ready(organization, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason != r.whyNot {
		r.said = append(r.said, reason)
	}
	r.whyNot, r.told = reason, true
	r.reasons[organization] = reason
}

// count is how many events were written.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written
}

// worstDelay is the longest of an event found at the head.
func (r *recorder) worstDelay() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay
}

// remembered is how many ids are.
func (r *instance) remembered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positions.SeenIDs
}

// mostAtOnce is how many events of a scope the largest commit had.
func (r *instance) mostAtOnce() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// reasonOf says why one organization of several is not ready.
func (r *recorder) reasonOf(organization string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasons[organization]
}

func (r *recorder) reason() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.whyNot
}

// hasSaid reports whether a reason had the words, if only for a moment.
func (r *instance) hasSaid(words string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.said, func(reason string) bool { return strings.Contains(reason, words) })
}

func (r *recorder) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told && r.whyNot == ""
}

// awaitReady waits until the instance says that it is ready.
func (i *instance) awaitReady() {
	i.t.Helper()
	eventually(i.t, 20*time.Second, "ready", func() bool {
		select {
		case <-i.done:
			i.t.Fatalf("it ended with %v", i.err)
		default:
		}
		return i.ready()
	})
}

// atLeast returns how long to wait for what must come: as long as it says in virtual
// time, and longer in real time, where the bound would be one of the machine.
func atLeast(within time.Duration) time.Duration {
	if virtual := time.Now().Year() < 2020; virtual { // synctest's clock begins in 2000
		return within
	}
	return max(within, 90*time.Second)
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(atLeast(within))
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// testLogger shows the log of a test that failed, or all of it with TEST_LOG set.
func testLogger(t *testing.T) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(w.flush)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type testWriter struct {
	t    *testing.T
	mu   sync.Mutex
	text []byte
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.text) < 1<<20 {
		w.text = append(w.text, b...)
	}
	return len(b), nil
}

func (w *testWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t.Failed() || os.Getenv("TEST_LOG") != "" {
		w.t.Logf("the connector's log:\n%s", w.text)
	}
}

// cursor is the organization's cursor as it is committed.
func (w *world) cursor() auditlog.Cursor {
	w.t.Helper()
	var c auditlog.Cursor
	var err error
	found := false
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		if string(r.Key) == auditlog.CursorKey("default") {
			if c, err = auditlog.DecodeCursor(r.Value); err != nil {
				w.t.Fatal(err)
			}
			found = true
		}
	}
	if !found {
		w.t.Fatal("there is no cursor")
	}
	return c
}

// stateValues are the values in the offsets topic, as committed.
func (w inKafka) stateValues() [][]byte {
	var out [][]byte
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		out = append(out, r.Value)
	}
	return out
}
