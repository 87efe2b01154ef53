package connector_test

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// endlessHistory answers history requests with blanks, and waits in the middle of
// each, in virtual time: until all others that are in flight are there too, or can
// read no further.
type endlessHistory struct {
	http.Handler
	on     atomic.Bool
	bodies atomic.Int64
	peak   atomic.Int64 // of the live heap
}

// blanks are shared by all answers: the heap is to show what the connector has of them.
var blanks = bytes.Repeat([]byte{' '}, 1<<20)

func (e *endlessHistory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.on.Load() || r.URL.Query().Get("effective_at[lte]") == "" {
		e.Handler.ServeHTTP(w, r)
		return
	}
	e.bodies.Add(1)
	for n := range 1 << 10 {
		if n == 30 {
			time.Sleep(time.Second)
			e.peak.Store(max(e.peak.Load(), liveHeap()))
		}
		if _, err := w.Write(blanks); err != nil {
			return
		}
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the first leaves what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// History asks for many pages at once. If all of them have no end, one of them may
// be read up to the limit, while the others wait; and new events come all the same.
func TestEndlessBodiesInHistory(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		api := &endlessHistory{Handler: w.api}
		w.handler = api
		began := time.Now()
		w.backfill(began.Add(-50 * 24 * time.Hour))
		w.api.Generate(5000, w.since, auditlog.SecondOf(began.Add(-25*time.Hour)))
		before := liveHeap()
		api.on.Store(true)
		i := w.start()
		time.Sleep(5 * time.Minute)
		w.burst(20, 10)
		time.Sleep(time.Minute)
		if ready, reason := i.readiness(w); !ready || i.count() != 20 {
			t.Errorf("while history has no end: %d events; not ready because: %s", i.count(), reason)
		}
		if n := api.bodies.Load(); n < 16 {
			t.Errorf("%d bodies without end", n)
		}
		// Of 8 requests each may read 2 MiB, and one 32.
		if grown := api.peak.Load() - before; grown > 64<<20 || grown < 16<<20 {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
		api.on.Store(false)
		time.Sleep(10 * time.Minute)
		if r := w.report(); !r.OK() || r.API < 5000 {
			t.Errorf("afterwards: %v", r)
		}
		w.must(i.stop())
	})
}

// Pages above the limit, of events that are each legal, arrive at the head and in
// history.
func TestLargePages(t *testing.T) {
	defer runtime.GC() // others look at the heap
	inBubble(t, simulator.Config{NoGzip: true}, func(t *testing.T, w *world) {
		add := func(at time.Time, n int) {
			for range n {
				w.serial++
				raw := fmt.Sprintf(`{"id":"large-%d","type":"login.succeeded","effective_at":%d,"x":%q}`,
					w.serial, at.Unix(), strings.Repeat("x", 1_500_000))
				w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(at), []byte(raw))
				at = at.Add(time.Second)
			}
		}
		began := time.Now()
		w.backfill(began.Add(-50 * 24 * time.Hour))
		add(began.Add(-30*24*time.Hour), 25)
		i := w.start()
		time.Sleep(time.Minute)
		add(time.Now().Add(-30*time.Second), 25) // 37 MB
		time.Sleep(time.Minute)
		if r := w.report(); !r.OK() || r.API != 50 {
			t.Error(r)
		}
		w.must(i.stop())
	})
}
