package connector_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// alarm is a fault of a running connector, and the alert that it sets off.
type alarm struct {
	fault, alert string
	not          string // an alert that does not fire with it
	seconds      int    // until it fires, with a scrape and an evaluation each fifteen seconds
	every        time.Duration
	before       time.Duration // how much of seconds was over when it was scraped for the first time
	world        func(*world)  // before the start
	act          func(*world)  // the fault; nil: it is there from the start
	during       func(*world)  // at each scrape
	api          simulator.Config
	slack        time.Duration // how much later it may be in real time
	kill         bool          // nothing is scraped any more after the fault
}

func alarms() []alarm {
	const almostEightDays = 8*24*time.Hour - 30*time.Minute
	var oldFails atomic.Bool
	failOld := func(w *world) { // for time older than half an hour
		oldFails.Store(false)
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			from, err := strconv.ParseInt(r.URL.Query().Get("effective_at[gte]"), 10, 64)
			if oldFails.Load() && err == nil && time.Since(time.Unix(from, 0)) > 30*time.Minute {
				rw.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.api.ServeHTTP(rw, r)
		})
	}
	always := func(f simulator.Fault) func(*world) {
		return func(w *world) { w.api.SetFaults(map[simulator.Fault]float64{f: 1}) }
	}
	twoDays := func(w *world) {
		w.backfill(time.Now().Add(-48 * time.Hour))
		w.api.Generate(20, w.since, auditlog.SecondOf(time.Now()))
	}
	return []alarm{
		{fault: "the API answers 500", alert: "OpenAIAuditBehind", seconds: 375, act: always(simulator.ServerError)},
		{fault: "the same, for longer", alert: "OpenAIAuditNotReady", seconds: 645, act: always(simulator.ServerError)},
		{fault: "the key is revoked", alert: "OpenAIAuditKeyRefused", seconds: 330, act: always(simulator.WrongKey)},
		{fault: "our address is not on the organization's list", alert: "OpenAIAuditAddressRefused", not: "OpenAIAuditKeyRefused", seconds: 330, act: always(simulator.AddressRefused)},
		{fault: "the organization's data is at another host", alert: "OpenAIAuditOtherHost", not: "OpenAIAuditKeyRefused", seconds: 330, act: always(simulator.OtherHost)},
		{fault: "our country is not served", alert: "OpenAIAuditCountryRefused", not: "OpenAIAuditKeyRefused", seconds: 330, act: always(simulator.CountryRefused)},
		{fault: "the key loses its right to tenant events", alert: "OpenAIAuditScopeNotRead", seconds: 330, act: func(w *world) { w.api.AllowTenant(false) }},
		{fault: "the process is killed", alert: "OpenAIAuditNobodyWorks", seconds: 315, act: func(*world) {}, kill: true},
		{fault: "Kafka loses the marker of another organization's transaction", alert: "OpenAIAuditHangingTransaction", seconds: 75, act: loseMarker, during: func(w *world) { w.add(time.Now(), 0) }},
		{fault: "the broker takes no transaction", alert: "OpenAIAuditCommitsFail", seconds: 30, act: func(w *world) {
			w.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: -1})
		}, during: func(w *world) { w.add(time.Now(), 0) }},
		{fault: "an event is no record", alert: "OpenAIAuditDeadLetters", seconds: 30, act: func(w *world) {
			w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(time.Now()), oddities["bytes that are no UTF-8"].bytes(time.Now()))
		}},
		{fault: "events show up five minutes late", alert: "OpenAIAuditSlow", seconds: 1230, during: func(w *world) { w.add(time.Now().Add(-5*time.Minute), 0) }},
		{fault: "the API fails for old time alone, while history is read", alert: "OpenAIAuditHistoryStandsStill", seconds: 1845, world: func(w *world) {
			failOld(w)
			oldFails.Store(true)
			w.backfill(time.Now().Add(-48 * time.Hour))
		}},
		{fault: "the same, after history", alert: "OpenAIAuditDeepPastBehind", seconds: 8610, world: failOld, act: func(*world) { oldFails.Store(true) }},
		{fault: "the API's clock is ten minutes behind", alert: "OpenAIAuditClockSkew", seconds: 930, api: simulator.Config{DateOffset: -10 * time.Minute}},
		{fault: "the offsets topic was not compacted, before a start", alert: "OpenAIAuditOffsetsGrow", seconds: 15, world: func(w *world) { uncompacted(w, 1_000_000) }},
		{fault: "an event of a new type", alert: "OpenAIAuditUnknownTypes", seconds: 30, act: func(w *world) {
			w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(time.Now()), Type: "something.new"})
		}},
		{fault: "`verify --record` finds an event that the topic lacks", alert: "OpenAIAuditVerifyFoundMissing", seconds: 30, world: twoDays, act: func(w *world) {
			w.add(time.Now().Add(-47*time.Hour), 0) // later than DEEP_LOOKBACK
			w.record()
		}},
		{fault: "`verify --record` finds one that is there twice", alert: "OpenAIAuditVerifyFoundFaults", seconds: 30, world: twoDays, act: func(w *world) {
			copyFirst(w)
			w.record()
		}},
		{fault: "a result was recorded, and then none", alert: "OpenAIAuditNotVerified", seconds: 691215, before: almostEightDays, world: func(w *world) {
			twoDays(w)
			i := w.start()
			i.awaitReady()
			w.record() // of the time up to ten minutes ago
			w.must(i.stop())
			time.Sleep(almostEightDays - 10*time.Minute)
		}},
		{fault: "audit logging is off", alert: "OpenAIAuditTooQuiet", seconds: 86400, every: time.Hour, world: func(w *world) { w.cfg.PollInterval = 4 * time.Minute }},
	}
}

// copyFirst writes the first event a second time.
func copyFirst(w *world) {
	w.t.Helper()
	r := w.cluster.Read(w.t, w.cfg.Kafka.Topic, kgo.ReadCommitted())[0]
	again := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
	w.must(w.cluster.Client().ProduceSync(w.t.Context(), again).FirstErr())
}

// loseMarker leaves a transaction of somebody else open in the events topic, of which the
// coordinator says that it has none.
func loseMarker(w *world) {
	w.t.Helper()
	id := w.cluster.Name("neighbour")
	client := w.cluster.Client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(10*time.Minute))
	r := &kgo.Record{Topic: w.cfg.Kafka.Topic}
	var err error
	r.ProducerID, r.ProducerEpoch, err = client.ProducerID(w.t.Context())
	w.must(err)
	if w.cluster.Real() {
		w.cluster.Strand(id, 0, r)
		return
	}
	w.must(client.BeginTransaction())
	w.kafka().produce(client, r)
	fake := w.cluster.Fake()
	fake.ControlKey(kmsg.ListTransactions.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		response := request.ResponseKind().(*kmsg.ListTransactionsResponse)
		one := kmsg.NewListTransactionsResponseTransactionState()
		one.TransactionalID, one.ProducerID, one.TransactionState = id, r.ProducerID, "CompleteCommit"
		response.TransactionStates = append(response.TransactionStates, one)
		return response, nil, true
	})
}

// uncompacted lets the offsets topic have so many cursors that a broker was to remove.
func uncompacted(w *world, records int) {
	w.t.Helper()
	i := w.start()
	i.awaitReady()
	w.must(i.stop())
	var cursor *kgo.Record
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		if string(r.Key) == auditlog.CursorKey("default") {
			cursor = r
		}
	}
	if cursor == nil {
		w.t.Fatal("there is no cursor")
	}
	client := w.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	const together = 10_000 // all of them at once would be hundreds of megabytes
	for range records / together {
		out := make([]*kgo.Record, together)
		for n := range out {
			out[n] = &kgo.Record{Topic: cursor.Topic, Partition: cursor.Partition, Key: cursor.Key, Value: cursor.Value}
		}
		w.must(client.ProduceSync(w.t.Context(), out...).FirstErr())
	}
}

// settled is how many scrapes there are before the fault.
const settled = 8

// Each fault of a running connector sets off its alert, in the time that
// docs/operations.md says. What the connector tells while it runs, in virtual time, is
// given to Prometheus's own tool with the rules.
func TestFaultsSetOffAlerts(t *testing.T) {
	tool := kafkatest.Prometheus(t, "promtool")
	tests := map[time.Duration]*strings.Builder{}
	var table strings.Builder
	for _, a := range alarms() {
		a.every = cmp.Or(a.every, 15*time.Second)
		if tests[a.every] == nil {
			tests[a.every] = &strings.Builder{}
		}
		inBubble(t, a.api, func(t *testing.T, w *world) { a.run(t, w, tests[a.every]) })
		fmt.Fprintf(&table, "| %s | `%s` | %d |\n", a.fault, a.alert, a.seconds)
	}
	for every, text := range tests {
		promtool(t, tool, every, text.String())
	}
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), table.String()) {
		t.Errorf("docs/operations.md lacks the table of faults and alerts:\n%s", &table)
	}
	rules, err := os.ReadFile("../docker/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile("`" + alert[1] + "` \\| [0-9]+ \\|").Match(docs) {
			t.Errorf("no fault in docs/operations.md sets off %s", alert[1])
		}
	}
}

// TestAlertOnKafka: on a broker that has lost a marker, in real time. The long form alone has
// the five minutes.
func TestAlertOnKafka(t *testing.T) {
	if kafkatest.Runs(t, 0, 1) == 0 {
		t.Log("NOT RUN: it takes five minutes; `make alerts-check` runs it")
		return
	}
	tool := kafkatest.Prometheus(t, "promtool")
	all := alarms()
	at := slices.IndexFunc(all, func(a alarm) bool { return a.alert == "OpenAIAuditHangingTransaction" })
	if at < 0 {
		t.Fatal("no fault sets off OpenAIAuditHangingTransaction")
	}
	a := all[at]
	var text strings.Builder
	a.every, a.slack = 15*time.Second, time.Minute
	a.run(t, newWorld(t, kafkatest.Real(t, kafkatest.Unverified()), a.api), &text)
	promtool(t, tool, a.every, text.String())
}

// promtool gives tests of the rules to Prometheus's own tool.
func promtool(t *testing.T, tool string, every time.Duration, tests string) {
	t.Helper()
	rules, err := filepath.Abs("../docker/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "alerts.yaml")
	text := fmt.Sprintf("rule_files: [%s]\nevaluation_interval: %v\ntests:\n%s", rules, every, tests)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("scraped every %v: %v\n%s", every, err, out)
	}
}

// run lets the fault happen, and writes what was scraped as a test of promtool: none
// fires before the fault, and this one fires when it should, and not much before.
func (a alarm) run(t *testing.T, w *world, to *strings.Builder) {
	w.since = auditlog.SecondOf(time.Now())
	if a.world != nil {
		a.world(w)
	}
	tel := telemetry.New(telemetry.Config{
		Organizations: []string{"default"}, PollInterval: w.cfg.PollInterval, DeadLetterReasons: []string{string(codec.ReasonInvalidUTF8)},
	})
	w.telemetry = tel
	s := scrapes{began: time.Now(), series: map[string][]string{}}
	i := w.start()
	soonest := time.Duration(a.seconds)*time.Second - a.before
	fires := soonest + a.slack
	at := settled * a.every // of the fault
	if a.act == nil {
		at = 0
	}
	for now := time.Duration(0); now <= at+fires+a.every; now += a.every {
		if a.kill && now > at {
			s.take(t, nil)
		} else {
			s.take(t, tel)
		}
		if now == at && a.act != nil {
			a.act(w)
		}
		if a.during != nil {
			a.during(w)
		}
		time.Sleep(a.every)
	}
	w.must(i.stop())
	early := at + soonest - max(soonest/10, 2*a.every)
	fmt.Fprintf(to, "  - name: %q\n    interval: %v\n    input_series:\n", a.fault, a.every)
	for _, name := range slices.Sorted(maps.Keys(s.series)) {
		fmt.Fprintf(to, "      - {series: '%s', values: '%s'}\n", name, strings.Join(s.series[name], " "))
	}
	fmt.Fprint(to, "    promql_expr_test:\n")
	if a.act != nil {
		fmt.Fprintf(to, "      - {expr: 'count by (alertname) (ALERTS{alertstate=\"firing\"})', eval_time: %.0fs}\n", at.Seconds())
	}
	const firing = `group by (alertname) (ALERTS{alertstate="firing",alertname="%s"})`
	if early > at {
		fmt.Fprintf(to, "      - {expr: '"+firing+"', eval_time: %.0fs}\n", a.alert, early.Seconds())
	}
	fmt.Fprintf(to, "      - {expr: '"+firing+"', eval_time: %.0fs, exp_samples: [{labels: '{alertname=\"%s\"}', value: 1}]}\n",
		a.alert, (at + fires).Seconds(), a.alert)
	if a.not != "" {
		fmt.Fprintf(to, "      - {expr: '"+firing+"', eval_time: %.0fs}\n", a.not, (at + fires).Seconds())
	}
}

// scrapes are what a Prometheus would have of our metrics: the series, with "_" for a
// scrape that had none.
type scrapes struct {
	began  time.Time
	count  int
	series map[string][]string
}

// take scrapes; nil is a target that is gone.
func (s *scrapes) take(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	now := map[string]string{}
	if tel != nil {
		now = s.metrics(t, tel)
	}
	for name := range now {
		if s.series[name] == nil {
			s.series[name] = slices.Repeat([]string{"_"}, s.count)
		}
	}
	for name, values := range s.series {
		value, there := now[name]
		switch {
		case there:
		case s.count > 0 && values[s.count-1] != "_" && values[s.count-1] != "stale":
			value = "stale" // as a server notes what a scrape lacks
		default:
			value = "_"
		}
		s.series[name] = append(values, value)
	}
	s.count++
}

// metrics are our own, with times since the start: promtool's begin in 1970.
func (s *scrapes) metrics(t *testing.T, tel *telemetry.Telemetry) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	all := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || !strings.HasPrefix(name, "openai_audit_") {
			continue
		}
		if strings.Contains(name, "_timestamp_seconds{") {
			at, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			value = strconv.FormatFloat(at-float64(s.began.Unix()), 'f', 3, 64)
		}
		all[name+"}"] = value
	}
	return all
}

// The time of the last success is that of all scopes that are read. It does not jump
// to the one of a scope that succeeds while another fails.
func TestLastSuccessIsOfAllScopes(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		var tenantFails atomic.Bool
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if tenantFails.Load() && r.URL.Query().Get("tenant_only") == "true" {
				rw.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.api.ServeHTTP(rw, r)
		})
		w.cfg.Organizations[0].TenantEvents = connector.TenantOn
		i := w.start()
		i.awaitReady()
		w.must(i.stop())
		tenantFails.Store(true)
		i = w.start()
		success := func() time.Time {
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.positions.LastSuccess
		}
		for range 120 {
			time.Sleep(time.Second)
			if at := success(); !at.IsZero() {
				t.Fatalf("while tenant events were not read since the start, the last success is reported as %v", at)
			}
		}
		tenantFails.Store(false)
		time.Sleep(2 * time.Minute)
		good := success()
		if time.Since(good) > 11*time.Second {
			t.Errorf("while both are read, the last success is %v old", time.Since(good))
		}
		tenantFails.Store(true)
		for range 120 {
			time.Sleep(time.Second)
			if at := success(); at.Sub(good) > 10*time.Second || at.Before(good) {
				t.Fatalf("while tenant events fail, the last success went from %v to %v", good, at)
			}
		}
		w.must(i.stop())
	})
}
