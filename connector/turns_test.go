package connector_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// More organizations than may read history at once, each with more of it than fits into
// a turn: all are done in the end, and each event is there once for each of them.
func TestHistoryInTurns(t *testing.T) {
	const organizations, events = 6, 4000
	inBubble(t, simulator.Config{Latency: 3 * time.Second}, func(t *testing.T, w *world) { // it does not say which organization it is
		w.cfg.APIConcurrency = 1
		now := time.Now()
		w.backfill(now.Add(-90 * 24 * time.Hour))
		for n := range events {
			w.add(now.Add(-40*24*time.Hour-time.Duration(n)*time.Minute), 0)
		}
		for n := range organizations - 1 {
			another := w.cfg.Organizations[0]
			another.Name = fmt.Sprintf("organization-%d", n)
			w.cfg.Organizations = append(w.cfg.Organizations, another)
		}
		i := w.start()
		eventually(t, time.Hour, "all have written all", func() bool { return i.count() >= organizations*events })
		i.stop()
		got := map[string]int{}
		for _, r := range w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
			for _, h := range r.Headers {
				if h.Key == "ce_source" {
					got[string(h.Value)+" "+string(r.Key)]++
				}
			}
		}
		for what, times := range got {
			if times > 1 {
				t.Errorf("%s is there %d times", what, times)
			}
		}
		if len(got) != organizations*events {
			t.Errorf("%d events of %d", len(got), organizations*events)
		}
	})
}

// The APIs of more organizations than may read history at once are away for what lies in the
// past. They do not keep the others from theirs, though their history is older: each of them may
// have a turn before it is known, and no second one.
func TestHistoryThatFailsKeepsNoTurn(t *testing.T) {
	for away, most := range map[int]time.Duration{
		connector.HistoryAtOnce + 2: time.Minute,
		// Eight turns of theirs and two more. One takes 20 s at most: it ends with the try that is
		// under way after ten, and a try takes 7.5.
		8 * connector.HistoryAtOnce: 10 * 20 * time.Second,
	} {
		t.Run(fmt.Sprint(away), func(t *testing.T) { historyBesideThoseAway(t, away, most) })
	}
}

func historyBesideThoseAway(t *testing.T, away int, most time.Duration) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			path, isAway := strings.CutPrefix(r.URL.Path, "/away")
			if isAway && r.URL.Query().Get("effective_at[lte]") != "" {
				http.Error(rw, "away", http.StatusServiceUnavailable)
				return
			}
			r.URL.Path = path
			w.api.ServeHTTP(rw, r)
		})
		const events = 500
		now := time.Now()
		w.backfill(now.Add(-20 * 24 * time.Hour))
		for n := range events {
			w.add(now.Add(-10*24*time.Hour-time.Duration(n)*time.Minute), 0)
		}
		for n := range away {
			another := w.cfg.Organizations[0]
			another.Name, another.BaseURL = fmt.Sprintf("away-%d", n), "http://api.invalid/away/v1"
			older := *another.BackfillStart
			older.At = older.At.Add(-24 * time.Hour)
			another.BackfillStart = &older
			w.cfg.Organizations = append(w.cfg.Organizations, another)
		}
		i := w.start()
		began := time.Now()
		eventually(t, time.Hour, "the one that can be read is read", func() bool { return i.count() >= events })
		if took := time.Since(began); took > most {
			t.Errorf("its history took %v", took)
		}
		i.stop()
	})
}

// Quiet organizations connect to Kafka for their cursor, every ten minutes: some 60 connections
// an hour. The looks at the topics, one a minute for each of them, go through one client of the
// process. A client for each would connect twice as often, and with TLS and a sign-in a new
// connection costs more than the look.
func TestLooksAreShared(t *testing.T) {
	const organizations = 10
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		reg := prometheus.NewRegistry()
		w.cfg.Registerer = reg
		for n := range organizations - 1 {
			another := w.cfg.Organizations[0]
			another.Name = fmt.Sprintf("organization-%d", n)
			w.cfg.Organizations = append(w.cfg.Organizations, another)
		}
		i := w.start()
		time.Sleep(10 * time.Minute)
		before := connects(t, reg)
		time.Sleep(time.Hour)
		if n := connects(t, reg) - before; n == 0 || n > organizations*80 {
			t.Errorf("%v new connections in an hour of %d quiet organizations", n, organizations)
		}
		w.must(i.stop())
	})
}

// connects is how often the clients of a process connected to a broker.
func connects(t *testing.T, reg prometheus.Gatherer) (n float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "openai_audit_kafka_connects_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
