package connector_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// operator is somebody with the commands, in the world's own network.
func (w *world) operator() ops.Config {
	org := w.cfg.Organizations[0]
	c := ops.Config{
		Target: w.cfg.Target(org.Name, w.cfg.Logger),
		API:    ops.API{Account: w.cfg.Account(org), Tenant: ops.TenantAuto},
	}
	c.API.Transport, c.API.Concurrency = simulator.Transport(w.api), 4
	c.Connection.Dial = w.cluster.Dial
	return c
}

// record verifies a time up to ten minutes ago, and records the result.
func (w *world) record() *ops.Report {
	w.t.Helper()
	r, err := ops.Verify(w.t.Context(), w.operator(), w.since, auditlog.SecondOf(time.Now().Add(-10*time.Minute)))
	if err == nil {
		_, err = ops.Record(w.t.Context(), w.operator(), r, "verify")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// A result that is recorded beside a running connector is reported by it within a minute or
// two, and by the next one at its start. The connector is not disturbed: it goes on
// writing in the same session, and the state is read as before.
func TestRecordedResultIsReported(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.backfill(time.Now().Add(-48 * time.Hour))
		w.api.Generate(300, w.since, auditlog.SecondOf(time.Now()))
		i := w.start()
		i.awaitReady()
		time.Sleep(time.Minute)
		if v := i.lastVerified("default"); !v.At.IsZero() {
			t.Errorf("%+v before anything was recorded", v)
		}
		w.add(time.Now().Add(-47*time.Hour), 0) // later than DEEP_LOOKBACK
		began := time.Now()
		report := w.record()
		time.Sleep(2 * time.Minute)
		got := i.lastVerified("default")
		want := connector.Verification{
			From: report.From.Time(), To: report.To.Time(), At: auditlog.SecondOf(began).Time(), By: "verify", Host: got.Host, Faults: 1, Late: got.Late,
			Counts: map[string]int{
				"api": report.API, "topic": report.API - 1, "dead_lettered": 0, "missing": 1, "doubled": 0, "extra": 0, "different": 0,
				"left_to_connector": 0, "stalled": 0, "not_covered": 0, "expired": 0, "unreadable": 0,
			},
		}
		if got.Late.Round(time.Minute) != 47*time.Hour {
			t.Errorf("the missing event was %v late, want 47h", got.Late)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what is reported differs (-want +got):\n%s", diff)
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
		if diff := cmp.Diff(want, i.lastVerified("default")); diff != "" {
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

// requestsOf notes when the API was asked.
func requestsOf(w *world) (most func() int) {
	var mu sync.Mutex
	var at []time.Time
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		w.api.ServeHTTP(rw, r)
	})
	return func() int { // in any minute
		mu.Lock()
		defer mu.Unlock()
		most, first := 0, 0
		for i, t := range at {
			for t.Sub(at[first]) >= time.Minute {
				first++
			}
			most = max(most, i-first+1)
		}
		return most
	}
}

// The connector verifies by itself: what shows up later than DEEP_LOOKBACK is written once,
// and how late it was is reported. New events come as fast as without it, and the limit of
// requests is kept.
func TestVerifiesItself(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.VerifyEvery, w.cfg.VerifyRepair, w.cfg.APIRequestsPerMinute = 6*time.Hour, true, 30
		most := requestsOf(w)
		w.backfill(time.Now().Add(-72 * time.Hour))
		w.api.Generate(300, w.since, auditlog.SecondOf(time.Now()))
		began := time.Now()
		i := w.start()
		i.awaitReady()
		live := func(until time.Duration) connector.Verification {
			for time.Since(began) < until {
				w.add(time.Now(), 0)
				time.Sleep(7*time.Minute + 3*time.Second)
			}
			return i.lastVerified("default")
		}
		first := live(2 * time.Hour)
		if first.By != "connector" || first.Faults != 0 || first.Late != 0 || first.To.Sub(first.From).Round(time.Hour) != 72*time.Hour {
			t.Errorf("the first result is %+v; want a whole one, from the start on", first)
		}
		w.add(time.Now().Add(-50*time.Hour), 0) // later than DEEP_LOOKBACK
		second := live(7 * time.Hour)
		if second.Counts["repaired"] != 1 || second.Faults != 0 || second.Late.Round(time.Hour) != 54*time.Hour {
			t.Errorf("the second result is %+v; want one repaired, 54 hours late", second)
		}
		third := live(13 * time.Hour)
		if third.Counts["repaired"] != 0 || third.Faults != 0 || third.Late != 0 || third.At.Sub(second.At) < 6*time.Hour {
			t.Errorf("the third result is %+v, the second was at %v; want a whole one, six hours later", third, second.At)
		}
		time.Sleep(time.Minute)
		if r := w.report(); !r.OK() {
			t.Error(r)
		}
		if n := most(); n > 30 {
			t.Errorf("%d requests in a minute, 30 are allowed", n)
		}
		// A poll, and the time that two requests of two scopes wait for each other.
		if d := i.worstDelay(); d > 16*time.Second {
			t.Errorf("a new event took %v", d)
		}
		if n := len(w.cursor().Openers); n != 1 || i.hasSaid("starting again") {
			t.Errorf("%d openers: the connector disturbed itself", n)
		}
		i.stop()
	})
}

// A connector that is killed while it repairs, before or after a transaction of the repair
// is applied, is started again, verifies again, and writes the rest: all of it once.
func TestVerifyIsKilled(t *testing.T) {
	for name, applied := range map[string]bool{"before it is applied": false, "after it is applied": true} {
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprintf("%s, commit %d", name, nth), func(t *testing.T) {
				inBubble(t, simulator.Config{}, func(t *testing.T, w *world) { verifyIsKilled(t, w, applied, nth) })
			})
		}
	}
}

func verifyIsKilled(t *testing.T, w *world, applied bool, nth int) {
	const late = 1100 // two transactions
	w.cfg.VerifyEvery, w.cfg.VerifyRepair = 24*time.Hour, true
	w.proxy = w.cluster.Proxy()
	w.backfill(time.Now().Add(-72 * time.Hour))
	w.api.Generate(100, w.since, auditlog.SecondOf(time.Now()))
	i := w.start()
	i.awaitReady()
	time.Sleep(10 * time.Minute)
	w.api.Generate(late, w.since, auditlog.SecondOf(time.Now().Add(-48*time.Hour)))

	struck, dark := make(chan struct{}), make(chan struct{})
	var ends atomic.Int32
	fake := w.cluster.Fake()
	fake.ControlKey(kmsg.EndTxn.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if strings.HasSuffix(request.(*kmsg.EndTxnRequest).TransactionalID, "/repair") && ends.Add(1) == int32(nth) && !applied {
			close(struck)
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	var once sync.Once
	w.proxy.Observe(func(f kafkatest.Frame) {
		if applied && f.Answer && f.Key == kmsg.EndTxn.Int16() && ends.Load() == int32(nth) {
			once.Do(func() { close(struck); <-dark }) // the answer never comes
		}
	})
	select {
	case <-struck:
	case <-time.After(2 * w.cfg.VerifyEvery):
		t.Fatalf("the repair ended %d transactions in two days; want %d", ends.Load(), nth)
	}
	w.proxy.Dark(time.Hour)
	close(dark)
	_ = i.stop()
	w.proxy.Dark(0)
	w.proxy.Observe(nil)
	want := late - 1000*(nth-1)
	if applied {
		want = late - min(late, 1000*nth)
	}

	i = w.start()
	i.awaitReady()
	time.Sleep(20 * time.Minute)
	if v := i.lastVerified("default"); v.By != "connector" || v.Faults != 0 || v.Counts["repaired"] != want {
		t.Errorf("the result is %+v; want %d repaired", v, want)
	}
	if r := w.report(); !r.OK() {
		t.Error(r)
	}
	i.stop()
}

// A repair that fails is reported and tried again, and the session goes on: here the right
// to the transactional id of repairs is missing. What the comparison found is recorded.
func TestVerifyFailsAlone(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.VerifyEvery, w.cfg.VerifyRepair = 6*time.Hour, true
		w.backfill(time.Now().Add(-72 * time.Hour))
		var allowed atomic.Bool
		fake := w.cluster.Fake()
		fake.ControlKey(kmsg.InitProducerID.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			r := request.(*kmsg.InitProducerIDRequest)
			if r.TransactionalID == nil || !strings.HasSuffix(*r.TransactionalID, "/repair") || allowed.Load() {
				return nil, nil, false
			}
			answer := r.ResponseKind().(*kmsg.InitProducerIDResponse)
			answer.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
			return answer, nil, true
		})
		i := w.start()
		i.awaitReady()
		time.Sleep(5 * time.Hour)
		w.add(time.Now().Add(-50*time.Hour), 0)
		time.Sleep(3 * time.Hour)
		w.add(time.Now(), 0)
		time.Sleep(time.Minute)
		warned := strings.Join(i.warned(), "\n")
		if r := w.report(); len(r.Missing) != 1 || !strings.Contains(warned, "what is missing could not be written") {
			t.Errorf("%s; warned: %s", r, warned)
		}
		if v := i.lastVerified("default"); v.Counts["missing"] != 1 || v.Faults != 1 {
			t.Errorf("the result is %+v; want one missing", v)
		}
		allowed.Store(true)
		time.Sleep(15 * time.Minute)
		if r := w.report(); !r.OK() || len(w.cursor().Openers) != 1 {
			t.Errorf("%s; %d openers", r, len(w.cursor().Openers))
		}
		i.stop()
	})
}

// A repair cannot write what the API does not show again. The result says that it is
// missing, and the next comparison comes when it is due, not at once.
func TestVerifyOfWhatIsNotShownAgain(t *testing.T) {
	var late simulator.Event
	var repairs, asked atomic.Int32
	var hide func()
	api := simulator.Config{OnRequest: func(r *http.Request) {
		// The repair asks twice for the event's time: for what is missing, and for what it writes.
		if repairs.Load() > 0 && asksFor(r, late.EffectiveAt) && asked.Add(1) == 2 {
			hide()
		}
	}}
	inBubble(t, api, func(t *testing.T, w *world) {
		hide = func() { w.api.Hide(true, late.ID) }
		w.cfg.VerifyEvery, w.cfg.VerifyRepair = 6*time.Hour, true
		w.backfill(time.Now().Add(-72 * time.Hour))
		fake := w.cluster.Fake()
		fake.ControlKey(kmsg.InitProducerID.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			if id := request.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && strings.HasSuffix(*id, "/repair") {
				repairs.Add(1)
			}
			return nil, nil, false
		})
		i := w.start()
		i.awaitReady()
		time.Sleep(5 * time.Hour)
		w.add(time.Now().Add(-50*time.Hour), 0)
		for ev := range w.api.Truth() {
			late = ev // there is no other
		}
		time.Sleep(4 * time.Hour)
		if v := i.lastVerified("default"); v.Counts["missing"] != 1 || repairs.Load() != 1 {
			t.Errorf("after %d repairs the result is %+v; want one, and one missing", repairs.Load(), v)
		}
		i.stop()
	})
}

// While the topic is compared for one organization, its tenant list is opened, and the history of
// it fails. The comparison is put off, and that of another organization is done meanwhile. It is
// done itself once that history is read.
func TestVerifyIsPutOffForHistory(t *testing.T) {
	inBubble(t, simulator.Config{TenantForbidden: true}, func(t *testing.T, w *world) {
		open := simulator.New(simulator.Config{})
		now := time.Now()
		w.backfill(now.Add(-72 * time.Hour))
		const events = 12_000
		for n := range events {
			w.add(now.Add(-48*time.Hour+time.Duration(n)*14*time.Second), 0)
		}
		var opened, failing, otherAway atomic.Bool
		otherAway.Store(true)
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			path, other := strings.CutPrefix(r.URL.Path, "/other")
			r.URL.Path = path
			tenant := r.URL.Query().Get("tenant_only") == "true"
			switch {
			case other && otherAway.Load(), tenant && failing.Load() && r.URL.Query().Get("effective_at[lte]") != "":
				http.Error(rw, "away", http.StatusServiceUnavailable)
			case tenant && !other && opened.Load():
				open.ServeHTTP(rw, r)
			default:
				w.api.ServeHTTP(rw, r)
			}
		})
		w.cfg.VerifyEvery, w.cfg.APIRequestsPerMinute = 1000*time.Hour, 60 // of which a comparison takes 15
		another := w.cfg.Organizations[0]
		another.Name, another.BaseURL = "other", "http://api.invalid/other/v1"
		w.cfg.Organizations = append(w.cfg.Organizations, another)
		i := w.start()
		compared := func(name string) bool { return !i.lastVerified(name).At.IsZero() }
		eventually(t, time.Hour, "the first one has its history", func() bool { return i.count() == events })
		time.Sleep(5 * time.Minute) // of the nine or so that it is compared for
		if compared("default") {
			t.Fatal("the comparison is over too soon for this test")
		}
		opened.Store(true)
		failing.Store(true)
		otherAway.Store(false)
		eventually(t, 24*time.Hour, "the other one is compared", func() bool { return compared("other") })
		if compared("default") {
			t.Error("the first one was compared, though it had history to read")
		}
		failing.Store(false)
		eventually(t, 24*time.Hour, "the first one is compared, too", func() bool { return compared("default") })
		w.must(i.stop())
	})
}

// asksFor reports whether the request asks the organization's list for a stretch of time that
// has the second.
func asksFor(r *http.Request, at auditlog.Second) bool {
	q := r.URL.Query()
	bound := func(op string) int64 {
		n, err := strconv.ParseInt(q.Get("effective_at["+op+"]"), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	from, before, to := bound("gte"), bound("lt"), bound("lte")
	return q.Get("tenant_only") != "true" && from >= 0 && from <= int64(at) && (before > int64(at) || to >= int64(at))
}
