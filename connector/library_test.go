package connector_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// Run may be called again when it has returned, and goes on where it was; a call beside
// it is an error at once, and the first one does not notice.
func TestRunTwice(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.since = auditlog.SecondOf(time.Now())
		w.cfg.Telemetry = newRecorder()
		c, err := connector.NewUnchecked(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.SetTransport(simulator.Transport(w.api))
		c.SetDial(w.cluster.Dial)
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			time.Sleep(time.Minute)
			if err := c.Run(ctx); err == nil || !strings.Contains(err.Error(), "runs already") {
				t.Errorf("a second call beside the first: %v", err)
			}
			w.add(time.Now(), 0)
			time.Sleep(time.Minute)
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		if r := w.report(); !r.OK() || r.Topic != 2 {
			t.Error(r)
		}
	})
}

// listener counts what it is told, by whether Run is at work.
type listener struct {
	*recorder
	runs            atomic.Bool
	within, without atomic.Int64
}

func (l *listener) hear() {
	if l.runs.Load() {
		l.within.Add(1)
	} else {
		l.without.Add(1)
	}
}

func (l *listener) Requested(string, int, time.Duration)           { l.hear() }
func (l *listener) Refused(string, string)                         { l.hear() }
func (l *listener) Committed(string, string, time.Duration)        { l.hear() }
func (l *listener) Positions(string, connector.Positions)          { l.hear() }
func (l *listener) Progressed(string, connector.Progress)          { l.hear() }
func (l *listener) Ready(string, string)                           { l.hear() }
func (l *listener) Leading(string, bool)                           { l.hear() }
func (l *listener) Hanging(string, []connector.HangingTransaction) { l.hear() }
func (l *listener) Warned(string, string, connector.Warning)       { l.hear() }

// Telemetry is called while Run is at work, and neither before nor after, though Run is
// stopped amid history.
func TestTelemetryIsToldWhileRunIsAtWork(t *testing.T) {
	inBubble(t, simulator.Config{Latency: 100 * time.Millisecond}, func(t *testing.T, w *world) {
		w.api.Generate(3000, auditlog.SecondOf(time.Now().AddDate(0, 0, -30)), auditlog.SecondOf(time.Now()))
		w.backfill(time.Now().AddDate(0, 0, -31))
		told := &listener{recorder: newRecorder()}
		w.cfg.Telemetry = told
		c, err := connector.NewUnchecked(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.SetTransport(simulator.Transport(w.api))
		c.SetDial(w.cluster.Dial)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		told.runs.Store(true)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
		told.runs.Store(false)
		synctest.Wait()
		time.Sleep(time.Hour)
		if told.within.Load() == 0 || told.without.Load() != 0 {
			t.Errorf("told %d times while Run was at work, and %d times else", told.within.Load(), told.without.Load())
		}
	})
}

// The counters of the Kafka clients are registered where the config says. Two
// connectors cannot share them, which is an error and no panic.
func TestRegisterer(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	cfg := aConfig()
	cfg.Registerer = reg
	if _, err := connector.New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := connector.New(cfg); err == nil || !strings.Contains(err.Error(), "one connector only") {
		t.Errorf("a second connector: %v", err)
	}
	cfg.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"connector": "second"}, prometheus.NewRegistry())
	if _, err := connector.New(cfg); err != nil {
		t.Error(err)
	}
}
