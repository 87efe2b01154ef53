package connector_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// Events whose effective_at is odd, or changes, or stands elsewhere than they are listed.

// letters are the dead letters, committed.
func (w inKafka) letters() []*kgo.Record {
	return w.cluster.Read(w.t, w.cfg.Kafka.DLQTopic, kgo.ReadCommitted())
}

// An event whose effective_at is no time, and that stands at the top of the list for ever, is
// dead-lettered once: what is met again is remembered for longer, also across starts.
func TestTimelessForEver(t *testing.T) {
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = time.Minute
		w.cfg.DeepLookback = time.Hour
		i := w.start()
		i.awaitReady()
		ms := time.Now().UnixMilli()
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.Second(ms), fmt.Appendf(nil, `{"id":"in-ms","type":"login.succeeded","effective_at":%d}`, ms))
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.Second(ms), []byte(`{"type":"login.succeeded","effective_at":1e30}`))
		for hour := range 9 {
			time.Sleep(time.Hour)
			if n := len(w.kafka().letters()); n != 2 {
				t.Fatalf("after %d hours two events are %d dead letters", hour+1, n)
			}
			if hour%3 == 2 {
				i.stop()
				i = w.start()
				i.awaitReady()
			}
		}
		if n := i.remembered(); n != 2 {
			t.Errorf("%d ids are remembered of two events", n)
		}
		seen := 0
		for _, value := range w.kafka().state() {
			if value != nil {
				seen++
			}
		}
		if seen > 8 { // the cursor, and a record an hour of the last hours
			t.Errorf("%d records of state for two events", seen)
		}
		i.stop()
	})
}

// state is what the offsets topic holds, as compaction will leave it.
func (w inKafka) state() map[string][]byte {
	out := map[string][]byte{}
	for _, r := range w.cluster.Read(w.t, w.cfg.Kafka.OffsetsTopic, kgo.ReadCommitted()) {
		out[string(r.Key)] = r.Value
	}
	return out
}

// The API moves an event to a later time, again and again, each time while it is
// remembered: it is written once, also when nothing else is, and across starts.
func TestRedated(t *testing.T) {
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		w.cfg.PollInterval = time.Minute
		w.cfg.DeepLookback = 6 * time.Hour
		i := w.start()
		i.awaitReady()
		at := time.Now()
		w.api.Add(simulator.Event{ID: "moved", EffectiveAt: auditlog.SecondOf(at)})
		for round := range 3 {
			time.Sleep(2*time.Hour + 30*time.Minute)
			at = time.Now().Add(-time.Duration(round) * time.Hour)
			w.api.Redate("moved", auditlog.SecondOf(at))
			time.Sleep(51 * time.Minute)
			i.cancel()
			<-i.done
			i = w.start()
			i.awaitReady()
		}
		time.Sleep(9 * time.Hour)
		if n := len(w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted())); n != 1 {
			t.Errorf("one event is %d records", n)
		}
		if n := i.remembered(); n != 0 {
			t.Errorf("%d ids are remembered of a time that nobody reads any more", n)
		}
		i.stop()
	})
}

// Events whose effective_at lies elsewhere than the API lists them stop nothing, neither
// in history nor at the head: each is written once, where it is listed, also across
// starts. One that its own time lists too is left to that.
func TestStrays(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.DeepLookback = time.Hour
		began := time.Now()
		w.backfill(began.Add(-10 * 24 * time.Hour))
		w.api.Generate(500, w.since, auditlog.SecondOf(began))
		ago := func(d time.Duration) auditlog.Second { return auditlog.SecondOf(began.Add(-d)) }
		stray := func(id string, place, field auditlog.Second) {
			w.api.AddRaw(auditlog.ScopeOrganization, place, fmt.Appendf(nil, `{"id":%q,"type":"login.succeeded","effective_at":%d}`, id, field))
		}
		const day = 24 * time.Hour
		stray("before-1970", ago(5*day), -5)
		stray("before-the-start", ago(5*day+time.Second), ago(40*day))
		stray("far-ahead", ago(4*day), ago(-1000*day))
		stray("of-history-read-later", ago(3*day), ago(2*day))
		stray("of-history-read-before", ago(2*day+time.Second), ago(3*day))
		stray("old-at-the-head", ago(time.Second), ago(5*day))
		stray("ahead", ago(2*time.Second), ago(-day))
		w.strayOf(ago(6*day), simulator.Event{ID: "leaked", EffectiveAt: ago(8 * day)}, auditlog.ScopeOrganization)
		i := w.start()
		i.awaitReady()
		time.Sleep(time.Hour)
		i.cancel()
		<-i.done
		i = w.start()
		i.awaitReady()
		// One stays at the top of the head for ever.
		stray("top", auditlog.SecondOf(began.Add(100*day)), ago(9*day))
		time.Sleep(5 * time.Hour)
		requests := w.api.Requests().Total
		time.Sleep(time.Hour)
		if n := w.api.Requests().Total - requests; n > 720+80 {
			t.Errorf("%d requests an hour beside a stray", n)
		}
		got := map[string]int{}
		for _, r := range append(w.kafka().letters(), w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted())...) {
			got[string(r.Key)]++
		}
		for _, id := range []string{
			"before-1970", "before-the-start", "far-ahead", "of-history-read-later", "of-history-read-before",
			"old-at-the-head", "ahead", "leaked", "top",
		} {
			if got[id] != 1 {
				t.Errorf("%s is there %d times", id, got[id])
			}
		}
		if len(got) != 509 || len(w.kafka().letters()) != 1 {
			t.Errorf("%d events of 509, of which %d are dead letters", len(got), len(w.kafka().letters()))
		}
		if ready, reason := i.readiness(w); !ready {
			t.Error(reason)
		}
		i.stop()
	})
}

// An event that is listed some minutes after its time is in the first reads of the head
// like any other, and outside the later ones. It stays known when its own minute is
// forgotten.
func TestStrayOfMinutes(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.DeepLookback = time.Hour
		w.backfill(time.Now().Add(-24 * time.Hour))
		i := w.start()
		i.awaitReady()
		apart := []time.Duration{70 * time.Second, 5 * time.Minute, 9 * time.Minute}
		for n := range 30 { // at all parts of a deep walk's time
			time.Sleep(130 * time.Second)
			place := time.Now()
			field := place.Add(-apart[n%len(apart)])
			w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(place),
				fmt.Appendf(nil, `{"id":"stray-%d","type":"login.succeeded","effective_at":%d}`, n, auditlog.SecondOf(field)))
		}
		time.Sleep(3 * time.Hour)
		got := map[string]int{}
		for _, r := range w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
			got[string(r.Key)]++
		}
		for n := range 30 {
			if id := fmt.Sprint("stray-", n); got[id] != 1 {
				t.Errorf("%s, %v after its time, is there %d times", id, apart[n%len(apart)], got[id])
			}
		}
		i.stop()
	})
}

// What both scopes list outside its time, and only one of them in it, is written once:
// whichever that one is, and whether its time is read before the place or after.
func TestStrayOfBothScopes(t *testing.T) {
	for _, shows := range auditlog.Scopes() {
		for _, apart := range []time.Duration{2 * 24 * time.Hour, -2 * 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, %v before its place", shows, apart), func(t *testing.T) {
				inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
					w.cfg.DeepLookback = time.Hour
					began := time.Now()
					w.backfill(began.Add(-10 * 24 * time.Hour))
					w.api.Generate(300, w.since, auditlog.SecondOf(began))
					place, field := auditlog.SecondOf(began.Add(-5*24*time.Hour)), auditlog.SecondOf(began.Add(-5*24*time.Hour-apart))
					for _, scope := range auditlog.Scopes() {
						w.api.Add(simulator.Event{EffectiveAt: place, Scopes: []auditlog.Scope{scope}})
					}
					w.strayOf(place, simulator.Event{ID: "leaked", EffectiveAt: field, Scopes: []auditlog.Scope{shows}}, auditlog.Scopes()...)
					i := w.start()
					i.awaitReady()
					time.Sleep(3 * time.Hour)
					n := 0
					for _, r := range w.cluster.Read(t, w.cfg.Kafka.Topic, kgo.ReadCommitted()) {
						if string(r.Key) == "leaked" {
							n++
						}
					}
					if n != 1 {
						t.Errorf("it is written %d times", n)
					}
					w.must(i.stop())
				})
			})
		}
	}
}

// strayOf adds an event, which pages of the lists of the time around a place show too.
func (w *world) strayOf(place auditlog.Second, ev simulator.Event, lists ...auditlog.Scope) {
	w.api.Add(ev)
	shown, _ := w.api.Event(ev.ID)
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		from, _ := strconv.ParseInt(q.Get("effective_at[gte]"), 10, 64)
		to, err := strconv.ParseInt(q.Get("effective_at[lte]"), 10, 64)
		r.Header.Del("Accept-Encoding")
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		body, list := rec.Body.Bytes(), auditlog.ScopeOrganization
		if q.Get("tenant_only") != "" {
			list = auditlog.ScopeTenant
		}
		if err == nil && slices.Contains(lists, list) && from <= int64(place) && int64(place) <= to && (int64(ev.EffectiveAt) < from || int64(ev.EffectiveAt) > to) && bytes.Contains(body, []byte(`"data":[{`)) {
			body = bytes.Replace(body, []byte(`"data":[`), fmt.Appendf(nil, `"data":[%s,`, shown.Raw), 1)
		}
		maps.Copy(rw.Header(), rec.Header())
		rw.Header().Del("Content-Encoding")
		rw.Header().Del("Content-Length")
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(body)
	})
}

// The API lists by a time of arrival that is minutes from effective_at: the head goes on
// in windows, and nothing is late for that.
func TestListedByArrival(t *testing.T) {
	for _, skew := range []time.Duration{5 * time.Minute, 30 * time.Minute} {
		inBubble(t, simulator.Config{OrderSkew: skew}, func(t *testing.T, w *world) {
			w.backfill(time.Now().Add(-6 * time.Hour))
			w.api.Generate(5000, w.since, auditlog.SecondOf(time.Now()))
			i := w.start()
			i.awaitReady()
			for range 90 { // 20 events a minute
				time.Sleep(time.Minute)
				w.api.Step(20, 0, 0)
			}
			time.Sleep(2 * time.Minute)
			if r := w.report(); !r.OK() {
				t.Errorf("%v apart: %s", skew, r)
			}
			if ready, reason := i.readiness(w); !ready {
				t.Errorf("%v apart: %s", skew, reason)
			}
			i.stop()
			if live := w.cursor().Scopes[auditlog.ScopeOrganization].Live; time.Since(live.Time()) > 3*time.Minute {
				t.Errorf("%v apart: the live position is %v", skew, live)
			}
		})
	}
}
