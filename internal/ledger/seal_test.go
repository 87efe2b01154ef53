package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// sealedLog is the topics as transactions leave them: the records, and the state.
type sealedLog struct {
	records []kafka.Message
	state   map[string][]byte
	loses   func() (applied bool, err error) // nil: nothing
}

func (l *sealedLog) Commit(_ context.Context, records []kafka.Message, changes []txlog.Change) error {
	applied, err := true, error(nil)
	if l.loses != nil {
		applied, err = l.loses()
	}
	if !applied {
		return err
	}
	l.records = append(l.records, records...)
	for _, c := range changes {
		if c.Value == nil {
			delete(l.state, c.Key)
		} else {
			l.state[c.Key] = c.Value
		}
	}
	return err
}

// sealedWorld is a ledger that seals, and what is left of it in the topics.
type sealedWorld struct {
	*ledger.Ledger
	now    time.Time
	topics *sealedLog
	t      interface{ Fatal(...any) }
}

func newSealedWorld(t interface{ Fatal(...any) }) *sealedWorld {
	first := newWorld()
	w := &sealedWorld{Ledger: first.Ledger, now: first.now, topics: &sealedLog{state: map[string][]byte{}}, t: t}
	state := &window.State{Cursor: w.Cursor(), Seen: window.NewSeenIDs(), Policy: policy}
	state.Cursor.Seal = &auditlog.Seal{BeganAt: began, Began: map[string][]int64{"events": {7}, "dlq": {0}}}
	w.open(state, 0)
	if _, err := w.Apply(context.Background(), nil, true); err != nil {
		t.Fatal(err)
	}
	return w
}

// open makes a ledger that goes on from a state, as each session does.
func (w *sealedWorld) open(state *window.State, retention time.Duration) {
	keys := map[string]bool{}
	for key := range w.topics.state {
		if _, _, ok := auditlog.CheckpointOf("acme", key); ok {
			keys[key] = true
		}
	}
	w.Ledger = ledger.New("acme", w.topics, func() time.Time { return w.now })
	w.Seal(target.Sealing{Roles: map[string]string{"audit": "events", "dead": "dlq"}, Retention: retention, Publish: kafka.Message{Topic: "seals"}}, keys)
	w.Begin(state)
}

// restart goes on from what the topics hold.
func (w *sealedWorld) restart() {
	state, err := window.DecodeState("acme", w.topics.state)
	if err != nil {
		w.t.Fatal(err)
	}
	state.Policy = policy
	w.open(state, 0)
}

// head is a read of the head, with events of these ids; every third is a dead letter,
// and each has a copy.
func (w *sealedWorld) head(ids ...string) ledger.Batch {
	b := ledger.Batch{Batch: window.Batch{From: w.Cursor().Floor}}
	for _, id := range ids {
		b.Events = append(b.Events, auditlog.Event{ID: id, EffectiveAt: auditlog.SecondOf(w.now), Timed: true})
	}
	b.Records = func(event int, out []kafka.Message) []kafka.Message {
		id := []byte(b.Events[event].ID)
		numbered := kafka.NewLayout(kafka.Field{Name: "audit_seq", From: kafka.Number}, kafka.Field{Name: "team", Value: []byte("risk")}).Headers(nil)
		leaf := func(role string, key, value []byte) seal.Hash {
			return new(seal.Hasher).Hash(seal.Leaf{Role: role, Key: key, Value: value})
		}
		if len(id)%3 == 0 {
			return append(out, kafka.Message{Topic: "dead", Value: id, Headers: numbered, Leaf: leaf("dlq", nil, id)})
		}
		value := []byte(b.Events[event].ID + "!")
		return append(out, kafka.Message{Topic: "audit", Key: id, Value: value, Headers: numbered, Leaf: leaf("events", id, value)}, kafka.Message{Topic: "copy", Key: id, Value: id})
	}
	return b
}

// check returns what a check of the topics says, and how many records are sealed.
func (w *sealedWorld) check() (*seal.Verdict, uint64) {
	var statements []seal.Statement
	for _, key := range slices.Sorted(maps.Keys(w.topics.state)) {
		if _, _, ok := auditlog.CheckpointOf("acme", key); !ok {
			continue
		}
		c, _, err := seal.Verifier{}.OpenCheckpoint(w.topics.state[key])
		if err != nil {
			w.t.Fatal(err)
		}
		statements = append(statements, seal.Statement{Checkpoint: c, Where: key, Signature: seal.Unsigned})
	}
	cursor, err := auditlog.DecodeCursor(w.topics.state[auditlog.CursorKey("acme")])
	if err != nil {
		w.t.Fatal(err)
	}
	tree, err := seal.ResumeTree(cursor.Seal.Size, cursor.Seal.Range)
	if err != nil {
		w.t.Fatal(err)
	}
	statements = append(statements, seal.Statement{Checkpoint: ledger.Checkpoint(cursor, tree), Where: "the cursor"})
	check, hasher := seal.NewCheck(statements, false), new(seal.Hasher)
	offsets := map[string]int64{"events": 7}
	for _, r := range w.topics.records {
		role, ok := map[string]string{"audit": "events", "dead": "dlq"}[r.Topic]
		if !ok {
			if len(r.HeaderList()) > 0 {
				w.t.Fatal("a copy has a number")
			}
			continue
		}
		number := ""
		if headers := r.HeaderList(); len(headers) > 0 {
			number = string(headers[0].Value)
		}
		check.Add(seal.Place{Role: role, Offset: offsets[role]}, number, number != "", hasher.Hash(seal.Leaf{Role: role, Key: r.Key, Value: r.Value}))
		offsets[role]++
	}
	return check.Verdict(seal.Retention{}, 0), cursor.Seal.Size
}

// The randomized model: commits, discarded batches, transactions that are lost, that
// are applied and not answered, restarts in between. The numbers are one sequence
// without a gap and without a double, and all checkpoints fit the records.
func TestSealModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSealedWorld(t)
		n := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 30, 61, 90000}).Draw(t, "seconds")) * time.Second)
			ids := make([]string, rapid.IntRange(0, 5).Draw(t, "events"))
			for i := range ids {
				ids[i] = strings.Repeat("x", n%4) + strconv.Itoa(n)
				n++
			}
			b := w.head(ids...)
			b.Must = rapid.Bool().Draw(t, "must")
			fault := rapid.IntRange(0, 9).Draw(t, "fault")
			switch fault {
			case 0, 1:
				w.topics.loses = func() (bool, error) { return fault == 0, errors.New("no answer") }
			case 2:
				b.From-- // planned in another state
			}
			_, err := w.Commit(context.Background(), b, w.head("again"+strconv.Itoa(n)))
			w.topics.loses = nil
			if err != nil || fault == 3 {
				w.restart()
			}
		}
		v, size := w.check()
		leaves := uint64(0)
		for _, r := range w.topics.records {
			if r.Topic == "audit" || r.Topic == "dead" {
				leaves++
			}
		}
		if !v.OK() || v.Proven != 0 || v.Size != size || size != leaves {
			t.Fatalf("%d records, %d in the cursor, %d proven: %+v", leaves, size, v.Size-v.Proven, v.Findings)
		}
	})
}

// A checkpoint is written once a minute, whatever is committed, and whenever the cursor
// must be; the last of each day stays until retention has passed it.
func TestCheckpointsAreKept(t *testing.T) {
	w := newSealedWorld(t)
	size := func(key string) string {
		note, ok := w.topics.state[key]
		if !ok {
			return "none"
		}
		return strings.Split(string(note), "\n")[1]
	}
	commit := func(after time.Duration, must bool) {
		t.Helper()
		w.now = w.now.Add(after)
		b := w.head(fmt.Sprint("event ", w.now.Unix()))
		b.Must = must
		if _, err := w.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	// It is 22:13:20 on 2023-11-14.
	for _, step := range []struct {
		after                    time.Duration
		must                     bool
		newest, yesterday, today string
	}{
		{30 * time.Second, false, "0", "0", "none"},
		{29 * time.Second, false, "0", "0", "none"},
		{time.Second, false, "3", "3", "none"},
		{time.Second, true, "4", "4", "none"},
		{2 * time.Hour, false, "5", "4", "5"},
	} {
		commit(step.after, step.must)
		got := []string{size("checkpoint/acme"), size("checkpoint/acme/2023-11-14"), size("checkpoint/acme/2023-11-15")}
		if want := []string{step.newest, step.yesterday, step.today}; !slices.Equal(got, want) {
			t.Errorf("after %v the checkpoints, newest and of two days, have the sizes %v, want %v", step.after, got, want)
		}
	}
	state, err := window.DecodeState("acme", w.topics.state)
	if err != nil {
		t.Fatal(err)
	}
	state.Policy = policy
	w.open(state, 48*time.Hour)
	for _, step := range []struct {
		after            time.Duration
		yesterday, today string
	}{{48 * time.Hour, "4", "5"}, {24 * time.Hour, "none", "5"}, {24 * time.Hour, "none", "none"}} {
		commit(step.after, false)
		if got, want := []string{size("checkpoint/acme/2023-11-14"), size("checkpoint/acme/2023-11-15")}, []string{step.yesterday, step.today}; !slices.Equal(got, want) {
			t.Errorf("after %v more with a retention of two days: %v, want %v", step.after, got, want)
		}
	}
}

// Where the seal is off, nothing is numbered and no checkpoint is left, which would say
// what is no longer so.
func TestUnsealed(t *testing.T) {
	w := newSealedWorld(t)
	if _, err := w.Commit(t.Context(), w.head("a")); err != nil {
		t.Fatal(err)
	}
	state, err := window.DecodeState("acme", w.topics.state)
	if err != nil {
		t.Fatal(err)
	}
	state.Cursor.Seal = nil
	w.open(state, 0)
	if _, err := w.Commit(t.Context(), w.head("b")); err != nil {
		t.Fatal(err)
	}
	last := w.topics.records[len(w.topics.records)-2]
	if string(last.Key) != "b" || last.HeaderList()[0].Value != nil {
		t.Errorf("%s has the headers %v", last.Key, last.HeaderList())
	}
	for key := range w.topics.state {
		if strings.HasPrefix(key, "checkpoint/") {
			t.Errorf("%s is left", key)
		}
	}
}
