package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

const began auditlog.Second = 1_700_000_000

var policy = window.Policy{Lookback: time.Minute, DeepLookback: time.Hour}

// log is the transactions that were committed, each as the records' values and the keys
// of its changes.
type log struct {
	transactions [][]string
	fails        error
	before       func() // called while a transaction is under way
}

func (l *log) Commit(_ context.Context, records []kafka.Message, changes []txlog.Change) error {
	if l.before != nil {
		l.before()
	}
	if l.fails != nil {
		return l.fails
	}
	var all []string
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	for _, c := range changes {
		sign := "+"
		if c.Value == nil {
			sign = "-"
		}
		all = append(all, sign+strings.TrimSuffix(c.Key, "/acme"))
	}
	l.transactions = append(l.transactions, all)
	return nil
}

// world is a ledger with 1,000 seconds of history, and its clock.
type world struct {
	*ledger.Ledger
	log *log
	now time.Time
}

func newWorld() *world {
	on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true}
	w := &world{log: &log{}, now: began.Time()}
	w.Ledger = ledger.New("acme", w.log, func() time.Time { return w.now })
	w.Begin(&window.State{
		Cursor: window.FirstRun("acme", began-4600, began, on, policy), Seen: window.NewSeenIDs(), Policy: policy,
	})
	return w
}

// history is a window of the history, with events at these seconds of it.
func (w *world) history(from, to int, events ...int) ledger.Batch {
	const first = began - 4600
	c := w.Cursor()
	g, _ := window.NextHistory(c)
	g.From, g.To = first.Add(time.Duration(from)*time.Second), first.Add(time.Duration(to)*time.Second)
	b := ledger.Batch{Batch: window.Batch{From: g.From, History: &g, Effect: window.HistoryRead(g.Scopes, g.To, policy)}}
	for _, at := range events {
		b.Events = append(b.Events, auditlog.Event{ID: fmt.Sprint("event-", at), EffectiveAt: first + auditlog.Second(at), Timed: true})
	}
	b.Records = func(event int, out []kafka.Message) []kafka.Message {
		return append(out, kafka.Message{Value: []byte(b.Events[event].ID)})
	}
	return b
}

func TestCommitGroupsWindowsInOrder(t *testing.T) {
	w := newWorld()
	out, err := w.Commit(t.Context(), w.history(0, 100, 7, 3), w.history(100, 200), w.history(200, 300, 201), w.history(400, 500, 401))
	if err != nil || out.Step.Staged != 3 || !out.Step.Discard || !out.Sent {
		t.Errorf("%v: %d of the batches are in, discarded %v, sent %v; want the three up to the gap", err, out.Step.Staged, out.Step.Discard, out.Sent)
	}
	want := [][]string{{"event-3", "event-7", "event-201", "+cursor"}}
	if diff := cmp.Diff(want, w.log.transactions); diff != "" {
		t.Errorf("the transactions differ (-want +got):\n%s", diff)
	}
	places := []window.Place{{Batch: 0, Event: 1}, {Batch: 0, Event: 0}, {Batch: 2, Event: 0}}
	if diff := cmp.Diff(places, out.Step.Write); diff != "" {
		t.Errorf("what was written differs (-want +got):\n%s", diff)
	}
	if g, _ := window.NextHistory(w.Cursor()); g.From != began-4300 {
		t.Errorf("history goes on at %d, want second 300", g.From-began+4600)
	}
}

// What was planned in another state counts for nothing, and no transaction is sent.
func TestCommitDiscards(t *testing.T) {
	w := newWorld()
	out, err := w.Commit(t.Context(), w.history(100, 200, 150))
	if err != nil || !out.Step.Discard || out.Sent || len(w.log.transactions) > 0 {
		t.Errorf("%v: %+v; want it discarded", err, out)
	}
}

func TestUnknownOutcomeChangesNothing(t *testing.T) {
	w := newWorld()
	before := w.Cursor()
	w.log.fails = errors.New("no answer")
	waits := time.Time{}
	w.log.before = func() { waits = w.Unanswered() }
	out, err := w.Commit(t.Context(), w.history(0, 100, 7))
	if !errors.Is(err, w.log.fails) || !out.Sent {
		t.Errorf("%v, sent %v; want the error of the log", err, out.Sent)
	}
	if diff := cmp.Diff(before, w.Cursor()); diff != "" {
		t.Errorf("the state changed:\n%s", diff)
	}
	if !waits.Equal(w.now) || !w.Unanswered().IsZero() || w.Commits() != 0 {
		t.Errorf("unanswered since %v, and %v after it; %d commits", waits, w.Unanswered(), w.Commits())
	}
}

// A quiet log writes its cursor every ten minutes, history that finds nothing every ten
// seconds, and what must be written is.
func TestQuietLedgerWritesSeldom(t *testing.T) {
	w := newWorld()
	quiet := func(after time.Duration, do func() error) int {
		t.Helper()
		w.now = w.now.Add(after)
		before := len(w.log.transactions)
		if err := do(); err != nil {
			t.Fatal(err)
		}
		return len(w.log.transactions) - before
	}
	walked := func() error {
		_, err := w.Apply(t.Context(), window.Walked(auditlog.ScopeOrganization, w.Cursor().Floor, auditlog.SecondOf(w.now), policy), false)
		return err
	}
	read := func(from, to int) func() error {
		return func() error { _, err := w.Commit(t.Context(), w.history(from, to)); return err }
	}
	must := func() error { _, err := w.Apply(t.Context(), nil, true); return err }
	for i, step := range []struct {
		after time.Duration
		do    func() error
		want  int
	}{
		{0, must, 1},
		{9 * time.Second, read(0, 10), 0},
		{time.Second, read(10, 20), 1},
		{9*time.Minute + 59*time.Second, walked, 0},
		{time.Second, walked, 1},
		{time.Second, read(20, 1000), 1}, // the last of it, for which people wait
	} {
		if got := quiet(step.after, step.do); got != step.want {
			t.Errorf("step %d: %d transactions, want %d", i, got, step.want)
		}
	}
	if w.Cursor().Scopes[auditlog.ScopeOrganization].History != nil {
		t.Error("history is left")
	}
}

// One commit waits for the other; one that was told to stop meanwhile begins nothing.
func TestOneCommitAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, stop := context.WithCancel(t.Context())
		w.log.before = func() {
			w.log.before = nil
			second := make(chan error, 1)
			go func() { _, err := w.WriteBeside(ctx, txlog.Change{Key: "beside"}); second <- err }()
			synctest.Wait()
			if len(second) > 0 {
				t.Error("the second did not wait")
			}
			stop()
			if err := <-second; !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want that it was told to stop", err)
			}
		}
		if _, err := w.Commit(t.Context(), w.history(0, 100, 7)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteBeside(t.Context(), txlog.Change{Key: "beside"}); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"event-7", "+cursor"}, {"-beside"}}
		if diff := cmp.Diff(want, w.log.transactions); diff != "" {
			t.Errorf("the transactions differ (-want +got):\n%s", diff)
		}
	})
}
