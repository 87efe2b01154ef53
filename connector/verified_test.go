package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// operator is somebody with the commands, in the world's own network.
func (w *world) operator() ops.Config {
	org := w.cfg.Organizations[0]
	c := ops.Config{
		Target: w.cfg.Target(org.Name, w.cfg.Logger),
		API: ops.API{
			BaseURL: org.BaseURL, Key: org.AdminKey.Read, Transport: simulator.Transport(w.api), Concurrency: 4, Tenant: ops.TenantAuto,
		},
	}
	c.Connection.Dial = w.cluster.Dial
	return c
}

// record verifies a time up to ten minutes ago, and records the result.
func (w *world) record() *ops.Report {
	w.t.Helper()
	r, err := ops.Verify(w.t.Context(), w.operator(), w.since, auditlog.SecondOf(time.Now().Add(-10*time.Minute)))
	if err == nil {
		err = ops.Record(w.t.Context(), w.operator(), r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// A result that is recorded beside a running connector is told by it within a minute or
// two, and by the next one at its start. The connector is not disturbed: it goes on
// writing in the same session, and the state is read as before.
func TestRecordedResultIsTold(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.backfill(time.Now().Add(-48 * time.Hour))
		w.api.Generate(300, w.since, auditlog.SecondOf(time.Now()))
		i := w.start()
		i.awaitReady()
		time.Sleep(time.Minute)
		if v := i.lastVerified(); !v.At.IsZero() {
			t.Errorf("%+v before anything was recorded", v)
		}
		w.add(time.Now().Add(-47*time.Hour), 0) // later than DEEP_LOOKBACK
		began := time.Now()
		report := w.record()
		time.Sleep(2 * time.Minute)
		got := i.lastVerified()
		want := connector.Verification{
			From: report.From.Time(), To: report.To.Time(), At: auditlog.SecondOf(began).Time(), By: "verify", Host: got.Host, Faults: 1,
			Counts: map[string]int{
				"api": report.API, "topic": report.API - 1, "dead_lettered": 0, "missing": 1, "doubled": 0, "extra": 0, "different": 0,
				"left_to_connector": 0, "stalled": 0, "not_covered": 0, "expired": 0, "unreadable": 0,
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what is told differs (-want +got):\n%s", diff)
		}

		w.add(time.Now(), 0)
		time.Sleep(time.Minute)
		if r := w.report(); len(r.Missing) != 1 || i.count() != 301 {
			t.Errorf("%s; %d written; want 301, and only the late event missing", r, i.count())
		}
		if n := len(w.cursor().Openers); n != 1 {
			t.Errorf("%d openers: the connector was fenced", n)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}

		i = w.start()
		i.awaitReady()
		if diff := cmp.Diff(want, i.lastVerified()); diff != "" {
			t.Errorf("what the next one tells at its start differs (-want +got):\n%s", diff)
		}
		for _, warning := range i.warned() {
			if strings.Contains(warning, "not ours") {
				t.Errorf("warned of our own key: %s", warning)
			}
		}
		i.stop()
	})
}
