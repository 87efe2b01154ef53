package connector_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// logged is a log that a test looks at.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines are those that have the words.
func (l *logged) lines(words string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, words) {
			found = append(found, line)
		}
	}
	return found
}

// log makes the connectors of the world log to what it returns, at info.
func (w *world) log() *logged {
	l := &logged{}
	w.cfg.Logger = slog.New(slog.NewTextHandler(l, nil))
	return l
}

// read is what was reported of one kind of read.
func (r *recorder) read(kind connector.ReadKind) (all []told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, is := range r.progress {
		if is.Read == kind {
			all = append(all, is)
		}
	}
	return all
}

// Decades without an event, and then a log that takes minutes at the rate that is
// allowed: a minute after the first event the guess of what is left is right, the end
// is reported once, and the log has a line for the begin and one for the end. What the
// deep walks read is reported apart.
func TestProgressOfHistory(t *testing.T) {
	const events = 36_000
	inBubble(t, simulator.Config{Latency: 150 * time.Millisecond}, func(t *testing.T, w *world) {
		w.api.Generate(events, auditlog.SecondOf(time.Now().Add(-400*24*time.Hour)), auditlog.SecondOf(time.Now().Add(-25*time.Hour)))
		w.cfg.APIRequestsPerMinute = 60
		w.cfg.Organizations[0].TenantEvents = connector.TenantOff
		w.cfg.Organizations[0].BackfillStart = &connector.BackfillStart{Earliest: true}
		log := w.log()
		i := w.start()
		over := func() bool {
			all := i.read(connector.ReadHistory)
			return len(all) > 0 && all[len(all)-1].Done
		}
		eventually(t, time.Hour, "history is read", over)
		checkGuesses(t, i.read(connector.ReadHistory))
		end := i.read(connector.ReadHistory)
		want := fmt.Sprintf("events=%d seconds=%d requests=%d", i.count(), int(end[len(end)-1].Took.Seconds()+0.5), end[len(end)-1].Requests)
		if lines := log.lines(`msg="history is read"`); len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("want one line with %s, got %v", want, lines)
		}
		if lines := log.lines(`msg="history begins"`); len(lines) != 1 {
			t.Errorf("want one line, got %v", lines)
		}
		before := len(end)
		time.Sleep(time.Hour)
		deep := i.read(connector.ReadDeep)
		if len(deep) < 2 || !deep[len(deep)-1].Done || len(i.read(connector.ReadHistory)) != before {
			t.Errorf("the deep past was told %d times, history %d times more", len(deep), len(i.read(connector.ReadHistory))-before)
		}
		w.must(i.stop())
	})
}

// checkGuesses compares what was reported of history with how it went.
func checkGuesses(t *testing.T, all []told) {
	t.Helper()
	first := 0
	for all[first].Events == 0 {
		first++
	}
	last := all[len(all)-1]
	if took := last.at.Sub(all[first].at); took < 2*time.Minute {
		t.Fatalf("it took %v, which shows nothing", took)
	}
	for k, is := range all[:len(all)-1] {
		left := last.at.Sub(is.at)
		switch {
		case is.Done:
			t.Errorf("%d of %d was reported as the end", k, len(all))
		case is.Events == 0 && (is.Left != 0 || is.Share() != 0):
			t.Errorf("before the first event: %v left, %v read", is.Left, is.Share())
		case is.at.Sub(all[first].at) < time.Minute || left < 30*time.Second:
		case is.Left < left*8/10 || is.Left > left*12/10:
			t.Errorf("%v after the first event: %v left was told, and it took %v", is.at.Sub(all[first].at), is.Left, left)
		}
	}
	if last.Share() != 1 || last.Left != 0 {
		t.Errorf("at the end: %+v", last)
	}
}

// What a start asks for is history; what was missed while nothing ran is caught up.
func TestWhatIsMissedIsNotHistory(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.backfill(time.Now().Add(-30 * 24 * time.Hour))
		w.api.Generate(500, w.since, auditlog.SecondOf(time.Now().Add(-time.Minute)))
		i := w.start()
		w.awaitEqual(10 * time.Minute)
		time.Sleep(time.Minute)
		if got := i.caughtUp(); !slices.Equal(got, []bool{false}) {
			t.Errorf("history is reported as caught up: %v", got)
		}
		w.must(i.stop())

		for range 48 { // more than a poll reads
			time.Sleep(time.Hour)
			w.api.Step(50, 0, 0)
		}
		i = w.start()
		w.awaitEqual(10 * time.Minute)
		if got := i.caughtUp(); !slices.Equal(got, []bool{true}) {
			t.Errorf("what was missed is reported as history: %v", got)
		}
		w.must(i.stop())
	})
}
