package connector_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// deepAge is how old the last complete walk of the deep past is; ok is false if none
// is reported.
func (i *instance) deepAge() (age time.Duration, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	deep, ok := i.positions.Deep["organization"]
	return time.Since(deep), ok
}

// An API that fails for old time alone lets new events through. That the deep past
// falls behind is shown by its position, and it is made up for later.
func TestDeepPastCannotBeRead(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		var failing atomic.Bool
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			from, _ := strconv.ParseInt(r.URL.Query().Get("effective_at[gte]"), 10, 64)
			if failing.Load() && time.Since(time.Unix(from, 0)) > 30*time.Minute {
				rw.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.api.ServeHTTP(rw, r)
		})
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(2 * time.Hour)
		if age, ok := i.deepAge(); !ok || age > time.Hour {
			t.Errorf("the deep past is %v old, known %v", age, ok)
		}
		failing.Store(true)
		w.add(time.Now().Add(-time.Hour), 0)
		w.add(time.Now(), 0)
		time.Sleep(3 * time.Hour)
		if age, ok := i.deepAge(); !ok || age < 3*time.Hour || i.count() != 1 {
			t.Errorf("while it fails the deep past is %v old, known %v, with %d events", age, ok, i.count())
		}
		if ready, reason := i.readiness(w); !ready {
			t.Errorf("while it fails it is not ready: %s", reason)
		}
		failing.Store(false)
		time.Sleep(5 * time.Minute)
		if age, _ := i.deepAge(); age > time.Hour || !w.report().OK() {
			t.Errorf("afterwards the deep past is %v old; %v", age, w.report())
		}
		w.must(i.stop())
	})
}

// A deep past that is turned off is never late.
func TestDeepPastIsOff(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.DeepLookback = 0
		w.since = auditlog.SecondOf(time.Now())
		i := w.start()
		time.Sleep(3 * time.Hour)
		if age, ok := i.deepAge(); ok {
			t.Errorf("it is %v old", age)
		}
		w.must(i.stop())
	})
}

// One of the API's servers has a clock that is hours behind. The deep past is walked no
// more often for that, its position and the floor go on, and so does the head.
func TestOneServersClockIsBehind(t *testing.T) {
	for _, every := range []int64{2, 5, 20} {
		inBubble(t, simulator.Config{TenantForbidden: true, Latency: 100 * time.Millisecond}, func(t *testing.T, w *world) {
			w.cfg.PollInterval = 30 * time.Second
			var n atomic.Int64
			var behind atomic.Bool
			w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if behind.Load() && n.Add(1)%every == 0 {
					w.api.Script(simulator.DateBehind)
				}
				w.api.ServeHTTP(rw, r)
			})
			w.cfg.DeepLookback = 2 * time.Hour
			i := w.start()
			i.awaitReady()
			time.Sleep(time.Hour)
			before := w.api.Requests().Total
			time.Sleep(6 * time.Hour)
			quiet := w.api.Requests().Total - before
			behind.Store(true)
			before = w.api.Requests().Total
			time.Sleep(6 * time.Hour)
			// With every second one behind, the earlier clock counts.
			if got := w.api.Requests().Total - before; got > quiet+quiet/10 {
				t.Errorf("one of %d answers: %d requests in six hours, and %d while all clocks are right", every, got, quiet)
			}
			if age, _ := i.deepAge(); every > 2 && age > time.Hour {
				t.Errorf("one of %d answers: the deep past is %v old", every, age)
			}
			if floor := time.Since(w.cursor().Floor.Time()); every > 2 && floor > 3*time.Hour+time.Minute {
				t.Errorf("one of %d answers: the floor is %v old", every, floor)
			}
			i.stop()
		})
	}
}
