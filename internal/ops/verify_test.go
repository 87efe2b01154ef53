package ops_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

const days = 24 * time.Hour

// The start of most worlds, and what was asked for before that.
var (
	start   = time.Now().Add(-60 * days)
	earlier = time.Now().Add(-90 * days)
)

// newRead is a world whose connector has read two months of history, and stopped.
func newRead(t *testing.T, c *kafkatest.Cluster, events int, change func(*world)) *world {
	t.Helper()
	w := newWorld(t, c, simulator.Config{Seed: 5})
	w.api.Generate(events, auditlog.SecondOf(start.Add(time.Hour)), ago(time.Hour))
	w.backfill(start)
	if change != nil {
		change(w)
	}
	w.runUntilEqual(start)
	return w
}

func (w *world) verify(from, to auditlog.Second) *ops.Report {
	w.t.Helper()
	r, err := ops.Verify(w.t.Context(), w.ops, from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) repair(from, to auditlog.Second) *ops.Report {
	w.t.Helper()
	r, err := ops.Repair(w.t.Context(), w.ops, from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// add adds one event of an age and returns its id.
func (w *world) add(id string, age time.Duration, scopes ...auditlog.Scope) string {
	w.api.Add(simulator.Event{ID: id, EffectiveAt: ago(age), Scopes: scopes})
	return id
}

// wantLists compares what the report lists with what is expected; the names are
// those of its fields.
func wantLists(t *testing.T, r *ops.Report, want map[string][]string) {
	t.Helper()
	got := map[string][]string{}
	for name, ids := range map[string][]string{
		"Missing": r.Missing, "Doubled": r.Doubled, "Extra": r.Extra, "Different": r.Different,
		"LeftToConnector": r.LeftToConnector, "NotCovered": r.NotCovered, "Expired": r.Expired, "Stalled": r.Stalled,
	} {
		if ids == nil {
			t.Errorf("%s is nil, and would be null in JSON", name)
		}
		if len(ids) > 0 {
			got[name] = ids
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the lists differ (-want +got):\n%s", diff)
	}
}

func TestVerifyTellsWhatIsWhat(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 500, func(w *world) {
			w.connector.Kafka.Partitions = 2
			w.api.AddRaw(auditlog.ScopeOrganization, ago(10*days), []byte(`{"type":"no.id","effective_at":`+unix(10*days)+`}`))
			w.api.AddRaw(auditlog.ScopeTenant, ago(11*days), []byte(`{"id":"no-time","type":"x"}`))
		})
		whole := w.verify(auditlog.SecondOf(start), ago(0))
		wantLists(t, whole, map[string][]string{})
		if whole.API != 502 || whole.Topic != 500 || whole.DeadLettered != 2 || !whole.OK(true) {
			t.Errorf("%d in the API, %d in the topic, %d dead letters", whole.API, whole.Topic, whole.DeadLettered)
		}

		late := ago(40 * days)
		w.api.Add(simulator.Event{ID: "late", EffectiveAt: late})
		missing := []string{w.add("late-both", 50*days, auditlog.Scopes()...), "late", w.add("late-tenant", 30*days, auditlog.ScopeTenant)}
		w.add("before-start", 61*days)
		w.add("new", 10*time.Minute)
		events := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted())
		doubled, extra, differs, respaced := events[10], events[20], events[30], events[40]
		w.kafka().produce(doubled)
		w.api.Hide(true, string(extra.Key))
		w.showAnew(string(differs.Key), `{"new":1,`)
		w.showAnew(string(respaced.Key), `{ `) // other bytes, and the same value
		want := map[string][]string{
			"Missing": missing, "NotCovered": {"before-start"}, "LeftToConnector": {"new"},
			"Doubled": {string(doubled.Key)}, "Extra": {string(extra.Key)}, "Different": {string(differs.Key)},
		}
		r := w.verify(auditlog.SecondOf(earlier), ago(0))
		wantLists(t, r, want)
		if r.Topic != 501 || r.API != 502-1+5 || r.OK(false) {
			t.Errorf("%d in the API, %d in the topic, OK %v", r.API, r.Topic, r.OK(false))
		}

		t.Run("a part of the time", func(t *testing.T) {
			wantLists(t, w.verify(late-5, late+5), map[string][]string{"Missing": {"late"}})
		})
		t.Run("without tenant events", func(t *testing.T) {
			w.ops.API.Tenant = ops.TenantOff
			defer func() { w.ops.API.Tenant = ops.TenantAuto }()
			want := map[string][]string{
				"Missing": missing[:2], "NotCovered": want["NotCovered"], "LeftToConnector": want["LeftToConnector"],
				"Doubled": want["Doubled"], "Extra": want["Extra"], "Different": want["Different"],
			}
			r := w.verify(auditlog.SecondOf(earlier), ago(0))
			if slices.Equal(r.Scopes, auditlog.Scopes()) {
				t.Error("tenant events were listed")
			}
			if scopeOf(t, extra) == "tenant" {
				delete(want, "Extra")
			}
			if scopeOf(t, differs) == "tenant" {
				delete(want, "Different")
			}
			wantLists(t, r, want)
		})
	})
}

// showAnew has the API show an event with another beginning.
func (w *world) showAnew(id, beginning string) {
	w.t.Helper()
	w.api.Hide(true, id)
	shown, _ := w.api.Event(id)
	w.api.Add(simulator.Event{
		ID: shown.ID, Type: shown.Type, EffectiveAt: shown.EffectiveAt, Scopes: shown.Scopes,
		Raw: []byte(strings.Replace(string(shown.Raw), `{`, beginning, 1)),
	})
}

func unix(age time.Duration) string { return strconv.FormatInt(int64(ago(age)), 10) }

func scopeOf(t *testing.T, r *kgo.Record) string {
	t.Helper()
	event, err := kafkatest.Decode(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	return event.Scope
}

// produce writes a record once more, as somebody else would.
func (w inKafka) produce(r *kgo.Record) {
	w.t.Helper()
	again := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
	if err := w.cluster.Client().ProduceSync(w.t.Context(), again).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// What is older than all that the API still lists was listed once.
func TestVerifyWhenTheAPIForgets(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 100, nil)
	forgotten := []string{}
	for ev := range w.api.Truth() {
		if ev.EffectiveAt < ago(30*days) {
			forgotten = append(forgotten, ev.ID)
		}
	}
	w.api.Hide(true, forgotten...)
	if r := w.verify(auditlog.SecondOf(start), ago(0)); !r.OK(true) || r.Topic != 100 || r.API != 100-len(forgotten) {
		t.Errorf("%+v", r)
	}
	if r := w.verify(auditlog.SecondOf(start), ago(40*days)); !r.OK(true) || r.API != 0 {
		t.Errorf("where nothing at all is listed: %+v", r)
	}
	last := forgotten[len(forgotten)-1]
	w.api.Hide(false, forgotten[0])
	if r := w.verify(auditlog.SecondOf(start), ago(0)); !slices.Contains(r.Extra, last) || len(r.Extra) != len(forgotten)-1 {
		t.Errorf("one older event is listed again, so %d are extra, not %d", len(forgotten)-1, len(r.Extra))
	}
	if r := w.verify(ago(40*days), ago(0)); len(r.Extra) == 0 || r.OK(false) {
		t.Errorf("the older one is before the time asked for: %+v", r)
	}
}

// A connector at work, with history left, late events and new ones, never makes
// verify cry.
func TestVerifyBesideAConnectorAtWork(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 6, Latency: 5 * time.Millisecond})
	w.api.Generate(20_000, auditlog.SecondOf(start.Add(time.Hour)), ago(time.Hour))
	w.backfill(start)
	stop := w.start()
	eventually(t, "there is a cursor", func() bool { _, err := ops.Cursor(t.Context(), w.ops); return err == nil })
	left := 0
	for range 4 {
		w.api.Step(10, 0, 0)
		r := w.verify(auditlog.SecondOf(start), ago(-time.Minute))
		if !r.OK(true) {
			wantLists(t, r, nil)
		}
		left = max(left, len(r.LeftToConnector))
	}
	if left == 0 {
		t.Error("nothing was left to the connector, so this has shown nothing")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The newest event of each scope has no id from which a next page could begin. That
// stops neither a verification nor a change of the cursor, which ask for it first.
func TestNewestEventWithoutID(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 20, func(w *world) {
		for _, scope := range auditlog.Scopes() {
			w.api.AddRaw(scope, ago(0), []byte(`{"scope":"`+string(scope)+`","effective_at":`+unix(0)+`}`))
		}
	})
	if r := w.verify(auditlog.SecondOf(start), ago(-time.Minute)); !r.OK(true) || r.DeadLettered != 2 {
		t.Errorf("%+v", r)
	}
	edit, err := ops.SkipTo(t.Context(), w.ops, ago(time.Minute))
	w.mustApply(edit, err)
	if strings.Contains(w.log.String(), "does not say what time it is") {
		t.Errorf("the API was not asked:\n%s", w.log)
	}
}
