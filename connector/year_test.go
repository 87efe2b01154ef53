package connector_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestSimulatedYear lets the whole connector live through a year in virtual time, a
// quarter of one in the short form, as a seed decides: outages of minutes to weeks, events that show up to a day late,
// keys replaced, clean restarts and kills, settings changed in between, faults of the
// API and of Kafka, and repairs beside it all. What the connector did not write
// itself, it promised to nobody (year_promise_test.go); the last repair writes that,
// and then the topic equals the API.
func TestSimulatedYear(t *testing.T) {
	happened := map[string]int{}
	trials := kafkatest.NewTrials(t, "inprocess", "a simulated year")
	for _, seed := range kafkatest.Seeds(t, kafkatest.Runs(t, 1, 3)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, simulator.Config{Seed: seed}, func(t *testing.T, w *world) {
				y := &year{world: w, rng: rand.New(rand.NewPCG(seed, 365)), happened: happened, repairers: map[int64]bool{}}
				trials.Add(1, y.live())
				// Compaction each fifteen seconds would be a fifth of the work.
			}, kafkatest.Properties(map[string]string{"log.cleaner.backoff.ms": "21600000"}))
		})
	}
	t.Log(happened)
	for _, what := range new(year).events() {
		// Ten days are too short for all of it.
		if happened[what.name] == 0 && !testing.Short() && !t.Failed() {
			t.Errorf("%s has never happened", what.name)
		}
	}
}

// year is a world to which things happen.
type year struct {
	*world
	rng      *rand.Rand
	i        *instance
	key      string // the file with it
	keys     int
	happened map[string]int
	promise  promise
	// repairers are the producer ids of repairs.
	repairers map[int64]bool
}

func (y *year) live() kafkatest.Report {
	days := 90
	switch {
	case kafkatest.Torture():
		days = 365 // two minutes of CPU
	case testing.Short():
		days = 10 // the race detector makes it ten times as long
	}
	began := time.Now()
	y.proxy = y.cluster.Proxy()
	y.key = filepath.Join(y.t.TempDir(), "key")
	y.must(os.WriteFile(y.key, []byte(simulator.Key), 0o600))
	y.cfg.Organizations[0].AdminKey = connector.SecretFile(y.key)
	y.api.Generate(2000, auditlog.SecondOf(began.Add(-90*24*time.Hour)), auditlog.SecondOf(began))
	y.backfill(began.Add(-20 * 24 * time.Hour))
	y.settings()
	y.begin()
	// Cards are drawn to the last, so that all of it happens in any year.
	var deck []event
	for time.Since(began) < time.Duration(days)*24*time.Hour {
		y.api.Step(y.rng.IntN(6), 0.2, 24*time.Hour)
		time.Sleep(time.Duration(1+y.rng.IntN(120)) * time.Minute)
		if len(deck) == 0 {
			deck = y.events()
			y.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		deck[0].happens()
		y.happened[deck[0].name]++
		deck = deck[1:]
	}
	return y.end()
}

// begin starts the instance with the settings as they are, and halt stops it.
func (y *year) begin() {
	y.promise.begins(y.cfg, y.since)
	y.i = y.start()
}

func (y *year) halt() {
	y.mayEnd(y.i.stop())
	y.promise.ends()
}

// trouble notes that something is wrong while it happens.
func (y *year) trouble(happens func()) {
	began := time.Now()
	happens()
	y.promise.troubles = append(y.promise.troubles, span{began, time.Now()})
}

// event is one of the things that happen. Most hours are quiet.
type event struct {
	name    string
	happens func()
}

func (y *year) events() []event {
	quiet := event{"nothing", func() {}}
	all := []event{
		{"a burst", func() { y.api.Step(y.rng.IntN(1500), 0, 0) }},
		{"a clean restart", func() { y.halt(); y.begin() }},
		{"a kill", y.kill},
		{"an outage of minutes", func() { y.down(time.Duration(1+y.rng.IntN(60)) * time.Minute) }},
		{"an outage of days", func() { y.down(time.Duration(1+y.rng.IntN(72)) * time.Hour) }},
		{"an outage of weeks", func() {
			if y.happened["an outage of weeks"] == 0 || y.rng.IntN(4) == 0 {
				y.down(time.Duration(7+y.rng.IntN(14)) * 24 * time.Hour)
			}
		}},
		{"a faulty API", func() {
			y.trouble(func() {
				y.api.SetFaults(map[simulator.Fault]float64{simulator.ServerError: 0.4, simulator.CutBody: 0.2, simulator.RateLimitSeconds: 0.2})
				time.Sleep(time.Duration(y.rng.IntN(180)) * time.Minute)
				y.api.SetFaults(nil)
			})
		}},
		{"a faulty Kafka", func() {
			y.trouble(func() {
				y.proxy.Random(y.rng.Uint64(), 2+y.rng.IntN(30), kafkatest.Fault{Key: pick(y.rng, kafkatest.AnyKey, kmsg.EndTxn.Int16(), kmsg.Produce.Int16())})
				time.Sleep(time.Duration(y.rng.IntN(60)) * time.Minute)
				y.proxy.Clear()
			})
		}},
		{"no Kafka", func() {
			long := time.Duration(1+y.rng.IntN(300)) * time.Minute
			y.proxy.Dark(long)
			y.promise.troubles = append(y.promise.troubles, span{time.Now(), time.Now().Add(long)})
		}},
		{"another key", func() { y.trouble(y.rotate) }},
		{"no tenant events", func() {
			began := time.Now()
			y.api.AllowTenant(false)
			time.Sleep(time.Duration(y.rng.IntN(50)) * time.Hour)
			y.api.AllowTenant(true)
			y.promise.absent = append(y.promise.absent, span{began, time.Now()})
		}},
		{"other settings", func() { y.halt(); y.settings(); y.begin() }},
		{"an earlier start", func() {
			y.halt()
			y.backfill(y.since.Time().Add(-time.Duration(y.rng.IntN(10*24)) * time.Hour))
			y.begin()
		}},
		{"an event of days ago", func() {
			ago := time.Now().Add(-time.Duration(y.rng.IntN(40*24)) * time.Hour)
			y.addEvent(simulator.Event{
				EffectiveAt: auditlog.SecondOf(ago), VisibleAt: time.Now().Add(time.Duration(y.rng.IntN(180)) * time.Minute),
				Scopes: []auditlog.Scope{pick(y.rng, auditlog.Scopes()...)},
			})
		}},
		{"a repair", func() { _ = y.repair(time.Now().Add(-10 * 24 * time.Hour)) }},
	}
	for range 4 * len(all) {
		all = append(all, quiet)
	}
	return all
}

// kill ends the instance without a word to the broker, perhaps inside a transaction.
func (y *year) kill() {
	y.api.Step(5, 0, 0)
	y.proxy.Add(kafkatest.Fault{
		Key: pick(y.rng, kmsg.Produce, kmsg.EndTxn).Int16(), Mode: pick(y.rng, kafkatest.CutBefore, kafkatest.CutAfterApplied), Dark: 2 * time.Minute,
	})
	y.trouble(func() { time.Sleep(y.cfg.PollInterval) })
	y.proxy.Dark(time.Minute)
	y.halt()
	y.proxy.Clear()
	time.Sleep(time.Duration(1+y.rng.IntN(20)) * time.Minute)
	y.begin()
}

func (y *year) down(d time.Duration) {
	y.halt()
	for end := time.Now().Add(d); time.Now().Before(end); {
		y.api.Step(y.rng.IntN(10), 0.1, 20*time.Hour)
		time.Sleep(min(3*time.Hour, time.Until(end)))
	}
	y.begin()
}

// rotate makes the API take another key, which is in the file a little later.
func (y *year) rotate() {
	y.keys++
	next := fmt.Sprintf("sk-admin-simulated-%016d", y.keys)
	y.api.SetKeys(next)
	time.Sleep(time.Duration(y.rng.IntN(40)) * time.Minute)
	y.must(os.WriteFile(y.key, []byte(next), 0o600))
}

// settings draws those that may change between two starts.
func (y *year) settings() {
	y.cfg.PollInterval = pick(y.rng, 5*time.Minute, 10*time.Minute, 20*time.Minute)
	y.cfg.Lookback = pick(y.rng, 10*time.Minute, time.Hour, 6*time.Hour)
	y.cfg.DeepLookback = pick(y.rng, 0, 24*time.Hour, 24*time.Hour, 72*time.Hour)
	y.cfg.APIConcurrency = pick(y.rng, 1, 3, 8)
	y.cfg.Organizations[0].TenantEvents = pick(y.rng, connector.TenantAuto, connector.TenantAuto, connector.TenantOn, connector.TenantOff)
}

// repair runs verify --repair over the time since then. Kafka or the key may be
// away just now; then it has done nothing, or a part.
func (y *year) repair(since time.Time) error {
	org := y.cfg.Organizations[0]
	defer y.noteRepairer()
	to := y.cfg.Target("default", y.cfg.Logger)
	to.Connection.ClientID, to.Connection.Dial, to.Compression = "repair", y.proxy.Dial, "none"
	account := y.cfg.Account(org)
	account.Transport, account.Concurrency = simulator.Transport(y.api), 4
	_, err := ops.Repair(y.t.Context(), ops.Config{
		Target: to,
		API:    ops.API{Account: account, Tenant: ops.TenantAuto},
	}, auditlog.SecondOf(since), auditlog.SecondOf(time.Now()))
	return err
}

// end lets all be well again for two days, and then repairs what was promised to
// nobody. What any repair has written, the connector has not.
func (y *year) end() kafkatest.Report {
	y.proxy.Clear()
	y.halt()
	y.cfg.DeepLookback, y.cfg.Organizations[0].TenantEvents = 24*time.Hour, connector.TenantOn
	y.begin()
	time.Sleep(52 * time.Hour)
	y.since = y.kafka().startInTopic()
	before := y.report()
	if len(before.Doubled)+len(before.Extra)+len(before.Different)+len(before.Unreadable) > 0 {
		y.t.Errorf("before the last repair: %v", before)
	}
	excuses := map[string]int{}
	for _, id := range append(before.Missing, y.repaired()...) {
		ev, _ := y.api.Event(id)
		why := y.promise.excuse(ev)
		excuses[why]++
		if why == "" && excuses[why] <= 5 {
			y.t.Errorf("%s %s of %v, shown %v, was not written, though it was promised", ev.Scopes, id, ev.EffectiveAt, ev.VisibleAt)
		}
	}
	if n := excuses[""]; n > 0 {
		y.t.Errorf("%d events were not written, though it was promised", n)
	}
	if err := y.repair(time.Unix(0, 0)); err != nil {
		y.t.Errorf("the last repair: %v", err)
	}
	y.halt()
	r := y.report()
	y.t.Logf("%v; commits %v; %v; left to repairs: %v", r, maps.Clone(y.i.commits), y.cursor().Start, excuses)
	return r
}

// repaired returns what repairs have written.
func (y *year) repaired() (ids []string) {
	y.t.Helper()
	for _, r := range y.cluster.Read(y.t, y.cfg.Kafka.Topic, kgo.ReadCommitted()) {
		if y.repairers[r.ProducerID] {
			ids = append(ids, string(r.Key))
		}
	}
	return ids
}

// noteRepairer notes the producer that repairs have now. A broker forgets it in a
// week, and gives them another one.
func (y *year) noteRepairer() {
	y.t.Helper()
	id := y.cfg.Kafka.OffsetsTopic + "/default/repair"
	transactions, err := y.cluster.Admin().DescribeTransactions(y.t.Context(), id)
	y.must(err)
	if repair := transactions[id]; repair.Err == nil {
		y.repairers[repair.ProducerID] = true
	}
}
