package ops_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// late adds events that show up long after their time, where the connector never
// looks again.
func (w *world) late(n int) {
	w.api.Generate(n, auditlog.SecondOf(start.Add(2*time.Hour)), ago(2*days))
}

func TestRepair(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 300, func(w *world) {
			w.connector.Kafka.JSONTopic = w.cluster.Name("json")
			w.ops.Topics.Copies["json"] = w.connector.Kafka.JSONTopic
		})
		w.late(2500)
		w.add("both", 20*days, auditlog.Scopes()...)
		dense := ago(33 * days)
		for i := range 1200 { // more than a transaction, in one second
			w.api.Add(simulator.Event{ID: fmt.Sprintf("dense-%04d", i), EffectiveAt: dense})
		}
		w.api.AddRaw(auditlog.ScopeOrganization, ago(10*days), []byte(`{"type":"no.id","effective_at":`+unix(10*days)+`}`))
		w.add("before-start", 61*days)
		w.add("new", 10*time.Minute)
		const lost = 2500 + 1 + 1200 + 1

		from := auditlog.SecondOf(earlier)
		if r := w.verify(from, ago(0)); len(r.Missing) != lost || r.Repaired != nil {
			t.Fatalf("%d missing, want %d", len(r.Missing), lost)
		}
		began := time.Now()
		r := w.repair(from, ago(0))
		wantLists(t, r, map[string][]string{"NotCovered": {"before-start"}, "LeftToConnector": {"new"}})
		if *r.Repaired != lost || !r.OK(true) {
			t.Errorf("%d repaired, want %d", *r.Repaired, lost)
		}
		if again := w.repair(from, ago(0)); *again.Repaired != 0 || again.Topic != 300+lost-1 {
			t.Errorf("the second repair wrote %d; %d in the topic", *again.Repaired, again.Topic)
		}
		if got, events := len(c.Read(t, w.ops.Topics.Copies["json"], kgo.ReadCommitted())), 300+lost-1; got != events {
			t.Errorf("the JSON topic has %d records, want %d", got, events)
		}
		w.sameAsTheConnectors(began)
		w.runUntilEqual(start) // the new one; nothing is doubled
		w.backfill(earlier)
		w.runUntilEqual(earlier)
	})
}

// sameAsTheConnectors fails unless the repair's records look like the others, but for the
// name of the header with their number, and were written since.
func (w *world) sameAsTheConnectors(since time.Time) {
	w.t.Helper()
	records := w.cluster.Read(w.t, w.ops.Topics.Events, kgo.ReadCommitted())
	names := func(r *kgo.Record) (all []string) {
		for _, h := range r.Headers {
			if h.Key != "ce_subject" { // not every event has one
				all = append(all, strings.Replace(h.Key, "audit_repair_seq", "audit_seq", 1))
			}
		}
		return all
	}
	first, last := records[0], records[len(records)-1]
	if got, want := fmt.Sprint(names(last)), fmt.Sprint(names(first)); got != want {
		w.t.Errorf("headers %s, want %s", got, want)
	}
	if last.Timestamp.Before(since.Truncate(time.Millisecond)) {
		w.t.Errorf("its timestamp is not the time of writing, but %v", last.Timestamp)
	}
}

// A repair that is cut off, wherever its transactions stand, is given again and
// doubles nothing.
func TestRepairIsKilled(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, mode := range []kafkatest.Mode{kafkatest.CutBefore, kafkatest.CutAfterApplied} {
			for nth := 1; nth <= 3; nth++ {
				t.Run(fmt.Sprintf("%s, commit %d", mode, nth), func(t *testing.T) {
					w := newRead(t, c, 50, nil)
					w.late(2800)
					proxy := c.Proxy(kafkatest.Fault{Key: kmsg.EndTxn.Int16(), Nth: nth, Mode: mode, Dark: time.Hour})
					killed := w.ops
					killed.Connection.Dial = proxy.Dial
					ctx, kill := context.WithCancel(t.Context())
					done := make(chan error, 1)
					go func() {
						_, err := ops.Repair(ctx, killed, auditlog.SecondOf(start), ago(0))
						done <- err
					}()
					eventually(t, "the fault strikes", func() bool { return proxy.Struck(mode) > 0 })
					kill()
					if err := <-done; err == nil {
						t.Error("the killed repair ended well")
					}
					r := w.repair(auditlog.SecondOf(start), ago(0))
					if len(r.Missing) != 0 || *r.Repaired > 2800-900*(nth-1) {
						t.Errorf("%d missing, %d repaired after %d transactions", len(r.Missing), *r.Repaired, nth-1)
					}
					w.wantEqual(start)
				})
			}
		}
	})
}

// Of two repairs at once the later one goes on, and the other one is fenced.
func TestTwoRepairs(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 50, nil)
		w.late(2800)
		proxy := c.Proxy()
		held, released := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(released) })
		t.Cleanup(release) // the proxy's end would wait for it
		var commits atomic.Int32
		proxy.Observe(func(f kafkatest.Frame) {
			if f.Key != kmsg.EndTxn.Int16() || f.Answer {
				return
			}
			n := commits.Add(1)
			if n == 2 {
				close(held)
			}
			if n >= 2 { // after ten seconds the client asks once more
				<-released
			}
		})
		first := w.ops
		first.Connection.Dial = proxy.Dial
		done := make(chan error, 1)
		go func() {
			_, err := ops.Repair(t.Context(), first, auditlog.SecondOf(start), ago(0))
			done <- err
		}()
		<-held
		r := w.repair(auditlog.SecondOf(start), ago(0))
		release()
		if err := <-done; !errors.Is(err, ops.ErrFenced) {
			t.Errorf("the first repair ended with %v, want ErrFenced", err)
		}
		if len(r.Missing) != 0 || *r.Repaired == 0 || *r.Repaired == 2800 {
			t.Errorf("%d missing, %d repaired by the second", len(r.Missing), *r.Repaired)
		}
		w.wantEqual(start)
	})
}

// Beside a connector that reads history and new events, and is killed and started
// again, repairs double nothing and leave nothing.
func TestRepairBesideAConnectorAtWork(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newRead(t, c, 500, nil)
		w.api.Generate(5_000, auditlog.SecondOf(earlier), auditlog.SecondOf(start)) // history of the start moved earlier
		w.backfill(earlier)
		var repairs sync.WaitGroup
		for range 3 {
			w.late(300)
			stop := w.start()
			repairs.Go(func() {
				if _, err := ops.Repair(t.Context(), w.ops, auditlog.SecondOf(earlier), ago(0)); err != nil {
					t.Errorf("a repair beside the connector: %v", err)
				}
			})
			for range 10 {
				w.api.Step(3, 0, 0)
				time.Sleep(50 * time.Millisecond)
			}
			repairs.Wait()
			if err := stop(); err != nil {
				t.Errorf("the repair disturbed the connector: %v", err)
			}
		}
		stop := w.start()
		eventually(t, "the connector has read all there is", func() bool {
			r := w.verify(auditlog.SecondOf(earlier), ago(0))
			return len(r.LeftToConnector)+len(r.NotCovered) == 0
		})
		if err := stop(); err != nil {
			t.Error(err)
		}
		w.repair(auditlog.SecondOf(earlier), ago(0))
		w.wantEqual(earlier)
	})
}

// A repair works by the cursor that it has read. After a reset the next run writes all
// of it again, so a repair that is under way may write no more.
func TestResetEndsARepair(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 50, nil)
	w.late(20)
	proxy := w.cluster.Proxy()
	held, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // the proxy's end would wait for it
	reach := sync.OnceFunc(func() { close(held) })
	proxy.Observe(func(f kafkatest.Frame) {
		if f.Key == kmsg.EndTxn.Int16() && !f.Answer {
			reach()
			<-released
		}
	})
	repairs := w.ops
	repairs.Connection.Dial = proxy.Dial
	done := make(chan error, 1)
	go func() {
		_, err := ops.Repair(t.Context(), repairs, auditlog.SecondOf(start), ago(0))
		done <- err
	}()
	<-held
	edit, err := ops.Reset(t.Context(), w.ops)
	w.mustApply(edit, err)
	release()
	if err := <-done; !errors.Is(err, ops.ErrFenced) {
		t.Errorf("the repair ended with %v, want ErrFenced", err)
	}
	if events := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()); len(events) != 50 {
		t.Errorf("the topic has %d events, and had 50 at the reset", len(events))
	}
}

func TestRepairIsRefused(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newRead(t, c, 50, nil)
	w.late(5)
	refused := func(what string, cfg ops.Config) {
		t.Helper()
		if _, err := ops.Repair(t.Context(), cfg, auditlog.SecondOf(start), ago(0)); err == nil {
			t.Errorf("%s: not refused", what)
		}
	}
	other := w.ops
	other.Organization = "nobody"
	refused("without a cursor", other)
	moved := w.ops
	moved.Topics.Events = c.Name("moved")
	c.CreateTopic(moved.Topics.Events, 1, nil)
	refused("another topic", moved)
	edit, err := ops.Reset(t.Context(), w.ops)
	w.mustApply(edit, err)
	refused("a cursor that was reset", w.ops)
	if r := w.report(start); len(r.Missing) != 5 || r.Topic != 50 {
		t.Errorf("something was written: %s", r)
	}
}

// The events topic was lost, with what the connector wrote a moment ago: it will
// not write that again, so the repair does.
func TestRepairOfALostTopic(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 300, nil)
	w.add("new", 10*time.Minute)
	w.connector.Kafka.Topic = w.cluster.Name("new")
	w.ops.Topics.Events = w.connector.Kafka.Topic
	w.cluster.CreateTopic(w.ops.Topics.Events, 1, nil)
	edit, err := ops.AcceptTopics(t.Context(), w.ops)
	w.mustApply(edit, err)
	r := w.repair(auditlog.SecondOf(start), ago(0))
	wantLists(t, r, map[string][]string{"LeftToConnector": {"new"}})
	if *r.Repaired != 300 {
		t.Errorf("%d repaired, want 300", *r.Repaired)
	}
	w.runUntilEqual(start)
}

// An event to which the API gives a new time is in the topic, at its first time: a
// repair of its new one writes nothing.
func TestRepairOfAnEventDatedAnew(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newRead(t, c, 50, func(w *world) { w.add("moved", 30*days) })
	w.api.Redate("moved", ago(20*days))
	r := w.repair(ago(25*days), ago(15*days))
	if *r.Repaired != 0 || len(r.Missing) != 0 || len(r.Different) != 1 {
		t.Errorf("%d written, missing %v, different %v", *r.Repaired, r.Missing, r.Different)
	}
	if all := w.report(start); len(all.Doubled) > 0 {
		t.Error(all)
	}
}

// The key, or the base URL, is another organization's: nothing of it is called
// missing, or written. That it is replaced while a repair works is the same.
func TestVerifyRefusesAnotherOrganization(t *testing.T) {
	for _, tenant := range []ops.Tenant{ops.TenantAuto, ops.TenantOff} {
		w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 5, Organization: "org-A"})
		w.api.Generate(250, auditlog.SecondOf(start.Add(time.Hour)), ago(time.Hour))
		w.backfill(start)
		w.runUntilEqual(start)
		w.late(20)
		other := simulator.New(simulator.Config{Seed: 6, Organization: "org-B"})
		other.Generate(50, auditlog.SecondOf(start.Add(time.Hour)), ago(2*days))
		w.ops.API.Tenant = tenant
		ours, theirs := simulator.Transport(w.api), simulator.Transport(other)
		for asked := range 4 { // the first request, and while pages are read, and written
			var requests atomic.Int32
			w.ops.API.Transport = transport(func(r *http.Request) (*http.Response, error) {
				if int(requests.Add(1)) > asked {
					return theirs.RoundTrip(r)
				}
				return ours.RoundTrip(r)
			})
			_, err := ops.Repair(t.Context(), w.ops, auditlog.SecondOf(start), ago(0))
			if err == nil || !strings.Contains(err.Error(), "was written for org-A, and the key belongs to org-B") {
				t.Errorf("tenant %s, after %d requests: %v", tenant, asked, err)
			}
			if _, err := ops.Verify(t.Context(), w.ops, auditlog.SecondOf(start), ago(0)); err == nil {
				t.Errorf("tenant %s, after %d requests: verified", tenant, asked)
			}
		}
		if events := w.cluster.Read(t, w.ops.Topics.Events, kgo.ReadCommitted()); len(events) != 250 {
			t.Errorf("the topic has %d events, and had 250", len(events))
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// Ids that are left to a connector that is dead are not left to it: nobody writes them.
func TestVerifyTellsWhatIsStalled(t *testing.T) {
	w := newRead(t, kafkatest.InProcess(t), 50, nil)
	w.add("new", 5*time.Minute)
	if r := w.verify(auditlog.SecondOf(start), ago(0)); !r.OK(true) || len(r.LeftToConnector) != 1 {
		t.Errorf("a moment after its last cursor: %+v", r)
	}
	w.ops.Now = func() time.Time { return time.Now().Add(12 * time.Minute) }
	r := w.verify(auditlog.SecondOf(start), ago(0))
	wantLists(t, r, map[string][]string{"Stalled": {"new"}})
	if r.OK(false) {
		t.Error("it is called whole")
	}
}
