package connector_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestSimulatedYear lets the whole connector live through a year in virtual time, a
// quarter of one in the short form, as a seed decides: outages of minutes to weeks, events that show up to a day late,
// keys replaced, clean restarts and kills, settings changed in between, faults of the
// API and of Kafka, and repairs beside it all. In the end the topic equals the API.
func TestSimulatedYear(t *testing.T) {
	trials := kafkatest.NewTrials(t, "inprocess", "a simulated year")
	for _, seed := range kafkatest.Seeds(t, kafkatest.Runs(t, 1, 3)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, simulator.Config{Seed: seed}, func(t *testing.T, w *world) {
				y := &year{world: w, rng: rand.New(rand.NewPCG(seed, 365)), happened: map[string]int{}}
				trials.Add(1, y.live())
				// Compaction each fifteen seconds would be a fifth of the work.
			}, kafkatest.Properties(map[string]string{"log.cleaner.backoff.ms": "21600000"}))
		})
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
	y.i = y.start()
	for time.Since(began) < time.Duration(days)*24*time.Hour {
		y.api.Step(y.rng.IntN(6), 0.2, 24*time.Hour)
		time.Sleep(time.Duration(1+y.rng.IntN(120)) * time.Minute)
		events := y.events()
		what := events[y.rng.IntN(len(events))]
		what.happens()
		y.happened[what.name]++
	}
	y.t.Log(y.happened)
	return y.end()
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
		{"a clean restart", func() { y.mayEnd(y.i.stop()); y.i = y.start() }},
		{"a kill", y.kill},
		{"an outage of minutes", func() { y.down(time.Duration(1+y.rng.IntN(60)) * time.Minute) }},
		{"an outage of days", func() { y.down(time.Duration(1+y.rng.IntN(72)) * time.Hour) }},
		{"an outage of weeks", func() {
			if y.rng.IntN(4) == 0 {
				y.down(time.Duration(7+y.rng.IntN(14)) * 24 * time.Hour)
			}
		}},
		{"a faulty API", func() {
			y.api.SetFaults(map[simulator.Fault]float64{simulator.ServerError: 0.4, simulator.CutBody: 0.2, simulator.RateLimitSeconds: 0.2})
			time.Sleep(time.Duration(y.rng.IntN(180)) * time.Minute)
			y.api.SetFaults(nil)
		}},
		{"a faulty Kafka", func() {
			y.proxy.Random(y.rng.Uint64(), 2+y.rng.IntN(30), kafkatest.Fault{Key: pick(y.rng, kafkatest.AnyKey, kmsg.EndTxn.Int16(), kmsg.Produce.Int16())})
			time.Sleep(time.Duration(y.rng.IntN(60)) * time.Minute)
			y.proxy.Clear()
		}},
		{"no Kafka", func() { y.proxy.Dark(time.Duration(1+y.rng.IntN(300)) * time.Minute) }},
		{"another key", y.rotate},
		{"no tenant events", func() {
			y.api.AllowTenant(false)
			time.Sleep(time.Duration(y.rng.IntN(50)) * time.Hour)
			y.api.AllowTenant(true)
		}},
		{"other settings", func() { y.mayEnd(y.i.stop()); y.settings(); y.i = y.start() }},
		{"an earlier start", func() {
			y.mayEnd(y.i.stop())
			y.backfill(y.since.Time().Add(-time.Duration(y.rng.IntN(10*24)) * time.Hour))
			y.i = y.start()
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
	time.Sleep(y.cfg.PollInterval)
	y.proxy.Dark(time.Minute)
	y.mayEnd(y.i.stop())
	y.proxy.Clear()
	time.Sleep(time.Duration(1+y.rng.IntN(20)) * time.Minute)
	y.i = y.start()
}

func (y *year) down(d time.Duration) {
	y.mayEnd(y.i.stop())
	for end := time.Now().Add(d); time.Now().Before(end); {
		y.api.Step(y.rng.IntN(10), 0.1, 20*time.Hour)
		time.Sleep(min(3*time.Hour, time.Until(end)))
	}
	y.i = y.start()
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
	k := y.cfg.Kafka
	_, err := ops.Repair(y.t.Context(), ops.Config{
		Organization: "default",
		Connection:   kafka.Connection{Brokers: k.Brokers, ClientID: "repair", Dial: y.proxy.Dial},
		Topics:       ops.Topics{Events: k.Topic, DLQ: k.DLQTopic, Offsets: k.OffsetsTopic},
		Compression:  "none",
		API: ops.API{
			BaseURL: org.BaseURL, Key: org.AdminKey.Read, Transport: simulator.Transport(y.api), Concurrency: 4, Tenant: ops.TenantAuto,
		},
		Logger: y.cfg.Logger,
	}, auditlog.SecondOf(since), auditlog.SecondOf(time.Now()))
	return err
}

// end lets all be well again for two days, and then repairs what showed up later
// than was looked for.
func (y *year) end() kafkatest.Report {
	y.proxy.Clear()
	y.mayEnd(y.i.stop())
	y.cfg.DeepLookback, y.cfg.Organizations[0].TenantEvents = 24*time.Hour, connector.TenantOn
	y.i = y.start()
	time.Sleep(52 * time.Hour)
	if err := y.repair(time.Unix(0, 0)); err != nil {
		y.t.Errorf("the last repair: %v", err)
	}
	y.mayEnd(y.i.stop())
	y.since = y.startInTopic()
	r := y.report()
	y.t.Logf("%v; commits %v; %v", r, maps.Clone(y.i.commits), y.cursor().Start)
	return r
}
