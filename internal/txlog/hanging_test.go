package txlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// stranding is a transaction of the log in which Kafka lost the markers of some
// partitions. Its events are one in each partition of the events topic.
type stranding struct {
	*world
	client   *kgo.Client
	producer int64
	epoch    int16
}

func newStranding(t *testing.T, c *kafkatest.Cluster) *stranding {
	w := newWorld(t, c)
	w.cfg.Topics = []string{w.events}
	log := w.open(w.cfg)
	w.mustCommit(log)
	w.mustCommit(log)
	log.Close()
	s := &stranding{world: w}
	s.client = c.Client(kgo.TransactionalID(w.cfg.TransactionalID), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var err error
	if s.producer, s.epoch, err = s.client.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	return s
}

// The records of the transaction, by where they are.
func (s *stranding) record(where string) *kgo.Record {
	r := &kgo.Record{Topic: s.events, Key: []byte(where), Value: []byte(where), ProducerID: s.producer, ProducerEpoch: s.epoch}
	switch where {
	case "state":
		r.Topic, r.Key, r.Value = s.cfg.Topic, []byte("acme/cursor"), []byte("stranded")
	case "aside": // a topic that the log does not know
		r.Topic = s.cfg.Topic + "-aside"
	case "events 1":
		r.Partition = 1
	}
	return r
}

// written writes records that will get their marker.
func (s *stranding) written(where ...string) {
	s.tb.Helper()
	for _, w := range where {
		if err := s.client.ProduceSync(s.tb.Context(), s.record(w)).FirstErr(); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// stranded writes records that will not.
func (s *stranding) stranded(where ...string) {
	s.tb.Helper()
	for _, w := range where {
		s.c.Strand(s.cfg.TransactionalID, 0, s.record(w))
	}
}

// end ends it, and waits until its coordinator has written the markers: these come after the answer.
func (s *stranding) end(commit kgo.TransactionEndTry) {
	s.tb.Helper()
	if err := s.client.EndTransaction(s.tb.Context(), commit); err != nil {
		s.tb.Fatal(err)
	}
	eventually(s.tb, "the coordinator to have it as complete", func() bool {
		known, err := kafka.DescribeCoordinated(s.tb.Context(), s.client, s.cfg.TransactionalID)
		if err != nil {
			s.tb.Fatal(err)
		}
		return strings.HasPrefix(known[s.cfg.TransactionalID].State, "Complete")
	})
	s.client.Close()
}

// want opens the log, and wants the transaction whole or not at all, in the events and
// in the state.
func (s *stranding) want(log *txlog.Log, state map[string][]byte, committed bool, events int) {
	s.tb.Helper()
	defer log.Close()
	if got := string(state["acme/cursor"]) == "stranded"; got != committed {
		s.tb.Errorf("in the state it is committed: %v, want %v", got, committed)
	}
	found := 0
	for _, r := range s.c.Read(s.tb, s.events, kgo.ReadCommitted()) {
		if strings.HasPrefix(string(r.Value), "events ") {
			found++
		}
	}
	if !committed {
		events = 0
	}
	if found != events {
		s.tb.Errorf("%d of its events are committed, want %d", found, events)
	}
	if found, err := txlog.Hangs(s.tb.Context(), s.c.Client(), s.events, s.cfg.Topic); err != nil || len(found.Hanging)+len(found.Hidden) > 0 {
		s.tb.Errorf("after that there hangs %v, error %v", found, err)
	}
	// The log works on, and no marker of ours is in the way of its next.
	for n := range 2 {
		if err := log.Commit(s.tb.Context(), []kafka.Message{{Topic: s.events, Key: []byte("k"), Value: []byte("after")}},
			[]txlog.Change{{Key: "acme/cursor", Value: fmt.Append(nil, n)}}); err != nil {
			s.tb.Errorf("the next commit: %v", err)
		}
	}
}

// strandings are the ways in which markers are lost, and what was decided.
var strandings = []struct {
	name      string
	lose      func(s *stranding)
	committed bool
	events    int // of the transaction
	because   string
}{
	{"events hang, the state is committed", func(s *stranding) {
		s.written("state", "events 0")
		s.stranded("events 1")
		s.end(kgo.TryCommit)
	}, true, 2, "has its commit marker"},
	{"events hang, the state is aborted", func(s *stranding) {
		s.written("state", "events 0")
		s.stranded("events 1")
		s.end(kgo.TryAbort)
	}, false, 2, "has its abort marker"},
	{"the state hangs, events are committed", func(s *stranding) {
		s.written("events 0")
		s.stranded("state", "events 1")
		s.end(kgo.TryCommit)
	}, true, 2, "has its commit marker"},
	{"the state hangs, events are aborted", func(s *stranding) {
		s.written("events 0")
		s.stranded("state", "events 1")
		s.end(kgo.TryAbort)
	}, false, 2, "has its abort marker"},
	{"all hangs, the coordinator has it as committed", func(s *stranding) {
		s.written("aside")
		s.stranded("state", "events 0", "events 1")
		s.end(kgo.TryCommit)
	}, true, 2, "the coordinator had it as CompleteCommit"},
	{"all hangs, the coordinator has it as aborted", func(s *stranding) {
		s.written("aside")
		s.stranded("state", "events 0", "events 1")
		s.end(kgo.TryAbort)
	}, false, 2, "did not have it as committed"},
	{"all hangs, and nobody knows", func(s *stranding) {
		s.stranded("state", "events 1")
		s.client.Close()
	}, false, 1, "did not have it as committed"},
}

// TestHangingMarkers is about transactions whose markers Kafka lost: what it leaves is
// made by hand, on real brokers.
func TestHangingMarkers(t *testing.T) {
	c := kafkatest.Real(t, kafkatest.Unverified(), kafkatest.Secured())
	t.Run("ended as it was decided", func(t *testing.T) { endedAsDecided(t, c) })
	t.Run("nothing is built on it", func(t *testing.T) { nothingIsBuilt(t, c) })
	t.Run("somebody alive is left alone", func(t *testing.T) { aliveIsLeftAlone(t, c) })
	t.Run("where changes go", func(t *testing.T) { whereChangesGo(t, c) })
	t.Run("without the right", func(t *testing.T) { withoutTheRight(t, c) })
}

// It is ended in every partition alike: also when the process is killed while the
// marker that ends it is on its way, or written and not answered, and the next start
// does the rest.
func endedAsDecided(t *testing.T, c *kafkatest.Cluster) {
	for _, tc := range strandings {
		for _, mode := range []kafkatest.Mode{"", kafkatest.CutBefore, kafkatest.CutAfterApplied} {
			t.Run(strings.TrimSpace(tc.name+" "+string(mode)), func(t *testing.T) {
				t.Parallel()
				s := newStranding(t, c)
				c.CreateTopic(s.cfg.Topic+"-aside", 1, nil)
				tc.lose(s)
				want := tc.committed
				if before40(c) && strings.Contains(tc.because, "CompleteCommit") {
					want, tc.because = false, "did not have it as committed" // its word may be about the one before
				}
				proxy := c.Proxy()
				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				if mode != "" {
					proxy.Add(kafkatest.Fault{Key: kmsg.WriteTxnMarkers.Int16(), Nth: kafkatest.EveryRequest, Mode: mode})
					proxy.Observe(func(f kafkatest.Frame) {
						if f.Fault.Mode == mode && (f.Answer || mode == kafkatest.CutBefore) {
							kill()
						}
					})
				}
				cfg := s.through(proxy)
				log, state, err := txlog.Open(ctx, cfg)
				if mode != "" {
					var hanging *txlog.HangingError
					if !errors.As(err, &hanging) || !errors.Is(err, txlog.ErrUnconfirmed) {
						t.Fatalf("killed at its first marker, Open says %v", err)
					}
					if mode == kafkatest.CutBefore && strings.Contains(tc.because, "CompleteCommit") {
						want = false // the word is gone with the fence, and nobody saw anything
					}
					proxy.Clear()
					log, state, err = txlog.Open(t.Context(), cfg)
				}
				if err != nil {
					t.Fatal(err)
				}
				if mode == "" {
					for _, e := range log.Ended() {
						if e.Commit != want || e == log.Ended()[0] && !strings.Contains(e.Because, tc.because) {
							t.Errorf("it was %v", e)
						}
					}
				}
				s.want(log, state, want, tc.events)
			})
		}
	}
}

// A transaction is not begun while the one before it has no marker somewhere: an abort
// would take its records along.
func nothingIsBuilt(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c)
	w.cfg.Topics = []string{w.events}
	log, _, err := txlog.Open(t.Context(), txlog.Impatient(w.cfg, 300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// A neighbour's open transaction hides from the stable offset what is behind it.
	partition := txlog.Partition("a", 2)
	neighbour := c.Client(kgo.TransactionalID(c.Name("neighbour")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := neighbour.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := neighbour.ProduceSync(t.Context(), &kgo.Record{Topic: w.events, Partition: partition, Value: []byte("theirs")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := log.Commit(t.Context(), []kafka.Message{{Topic: w.events, Key: []byte("a"), Value: []byte("first")}},
		[]txlog.Change{{Key: "acme/cursor", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	// What it would be if the marker of the first one had been lost there.
	// Before its marker is there, the record would make Kafka refuse it for its epoch.
	var last kadm.DescribedTransaction
	for last.State != "CompleteCommit" {
		described, err := c.Admin().DescribeTransactions(t.Context(), w.cfg.TransactionalID)
		if err != nil {
			t.Fatal(err)
		}
		last = described[w.cfg.TransactionalID]
	}
	c.Strand(w.cfg.TransactionalID, 0, &kgo.Record{
		Topic: w.events, Partition: partition, Value: []byte("lost"), ProducerID: last.ProducerID, ProducerEpoch: last.ProducerEpoch + 1,
	})
	err = log.Commit(t.Context(), []kafka.Message{{Topic: w.events, Key: []byte("a"), Value: []byte("second")}},
		[]txlog.Change{{Key: "acme/cursor", Value: []byte("2")}})
	if !errors.Is(err, txlog.ErrUnconfirmed) || !strings.Contains(err.Error(), w.events) {
		t.Errorf("the second commit says %v", err)
	}
	found, err := txlog.Hangs(t.Context(), c.Client(), w.events, w.cfg.Topic)
	if err != nil || len(found.Hanging) != 1 || found.Hanging[0].TransactionalID != w.cfg.TransactionalID {
		t.Errorf("there hangs %v, error %v", found, err)
	}
	log, state, err := txlog.Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	if err := neighbour.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if got := string(state["acme/cursor"]); got != "1" {
		t.Errorf("the cursor is %q", got)
	}
	var values []string
	for _, r := range c.Read(t, w.events, kgo.ReadCommitted()) {
		values = append(values, string(r.Value))
	}
	if fmt.Sprint(values) != "[first]" {
		t.Errorf("committed are %q", values)
	}
}

// A writer whose changes go to another partition than the state, as those of repairs do,
// ends what hangs there, by the events of the same transaction.
func whereChangesGo(t *testing.T, c *kafkatest.Cluster) {
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		w := newWorld(t, c)
		w.cfg.Topics = []string{w.events}
		w.cfg.Topic = c.Name("offsets")
		c.CreateTopic(w.cfg.Topic, 2, map[string]string{"cleanup.policy": "compact"})
		w.cfg.ChangesTo = new(int32(1))
		commitOne := func() []txlog.Ended {
			log, _, err := txlog.Open(t.Context(), w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			if err := log.Commit(t.Context(), []kafka.Message{{Topic: w.events, Key: []byte("k"), Value: []byte("v")}},
				[]txlog.Change{{Key: "acme/checkpoint", Value: []byte("v")}}); err != nil {
				t.Fatal(err)
			}
			return log.Ended()
		}
		commitOne()
		s := &stranding{world: w, client: c.Client(kgo.TransactionalID(w.cfg.TransactionalID), kgo.RecordPartitioner(kgo.ManualPartitioner()))}
		var err error
		if s.producer, s.epoch, err = s.client.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		s.written("events 0")
		lost := s.record("state")
		lost.Partition = *w.cfg.ChangesTo
		c.Strand(w.cfg.TransactionalID, 0, lost)
		s.end(commit)
		ended := commitOne()
		if len(ended) != 1 || ended[0].Partition != (kafka.Partition{Topic: w.cfg.Topic, Partition: 1}) || ended[0].Commit != bool(commit) {
			t.Errorf("ended are %v, want one in partition 1 of %s, committed: %v", ended, w.cfg.Topic, commit)
		}
		found := false
		for _, r := range c.Read(t, w.cfg.Topic, kgo.ReadCommitted()) {
			if r.Partition != 1 {
				t.Errorf("a change is in partition %d", r.Partition)
			}
			found = found || string(r.Value) == "stranded"
		}
		if found != bool(commit) {
			t.Errorf("in its partition the transaction is committed: %v, want %v", found, commit)
		}
	}
}

// Without the right to write markers nothing is guessed: the error says what hangs,
// what it means, and the commands that end it.
func withoutTheRight(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c)
	w.cfg.Topics = []string{w.events}
	rights := kadm.NewACLs().Allow("User:"+kafkatest.User).AllowHosts().
		Topics(w.events, w.cfg.Topic).TransactionalIDs(w.cfg.TransactionalID).
		Operations(kadm.OpRead, kadm.OpWrite, kadm.OpDescribe).ResourcePatternType(kadm.ACLPatternLiteral)
	kafkatest.Grant(t, c, rights)
	limited := w.cfg
	limited.Connection.Brokers = c.Security().SASL
	limited.Connection.SASL = kafka.SASL{
		Mechanism: "PLAIN", Username: kafkatest.User,
		Password: func() (string, error) { return kafkatest.Password, nil },
	}
	log, _, err := txlog.Open(t.Context(), limited)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	s := &stranding{world: w, client: c.Client(kgo.TransactionalID(w.cfg.TransactionalID), kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	if s.producer, s.epoch, err = s.client.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stranded("state", "events 1")
	s.client.Close()
	_, _, err = txlog.Open(t.Context(), limited)
	var hanging *txlog.HangingError
	if !errors.As(err, &hanging) {
		t.Fatalf("Open says %v", err)
	}
	for _, want := range []string{
		"hanging transaction", w.cfg.Topic + ", partition 0", w.events + ", partition 1", fmt.Sprintf("producer id %d, epoch %d", s.producer, s.epoch),
		"Grant ClusterAction on the cluster", "openai-audit-kafka transactions end --organization NAME --yes",
		fmt.Sprintf("abort --topic %s --partition 0 --start-offset 0", w.cfg.Topic),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	// As somebody who has it.
	log, state, err := txlog.Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.want(log, state, false, 1)
}

// A transaction that is under way must not be ended, even if the times of its records
// are old and another writer of ours began it: a repair beside a start, say, or the
// reverse.
func aliveIsLeftAlone(t *testing.T, c *kafkatest.Cluster) {
	w := newWorld(t, c)
	sibling := w.cfg.TransactionalID + "/repair"
	w.cfg.Topics, w.cfg.Siblings = []string{w.events}, []string{sibling}
	w.cfg.Owns = func(*kafka.Record) bool { return true }
	alive := c.Client(kgo.TransactionalID(sibling))
	if err := alive.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	old := &kgo.Record{Topic: w.events, Value: []byte("repaired"), Timestamp: time.Now().AddDate(-2, 0, 0)}
	if err := alive.ProduceSync(t.Context(), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	log, _, err := txlog.Open(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	if len(log.Ended()) > 0 {
		t.Errorf("ended: %v", log.Ended())
	}
	if err := alive.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if found := c.Read(t, w.events, kgo.ReadCommitted()); len(found) != 1 {
		t.Errorf("%d records are committed", len(found))
	}
}

// A look for the markers that is cut off, since no answer came in time, is no reason of its
// own: what is said is which partitions are waited for.
func TestLookForMarkersIsCutOff(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newWorld(t, c)
	w.cfg.Topics = []string{w.events}
	proxy := c.Proxy()
	log, _, err := txlog.Open(t.Context(), txlog.Impatient(w.through(proxy), 300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	commit := func() error {
		return log.Commit(t.Context(), []kafka.Message{{Topic: w.events, Key: []byte("a"), Value: []byte("v")}},
			[]txlog.Change{{Key: "acme/cursor", Value: []byte("1")}})
	}
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	proxy.Add(kafkatest.Fault{Key: kmsg.ListOffsets.Int16(), Nth: kafkatest.EveryRequest, Mode: kafkatest.SwallowAnswer})
	if err := commit(); !errors.Is(err, txlog.ErrUnconfirmed) || !strings.Contains(err.Error(), "no marker in") || !strings.Contains(err.Error(), w.events) {
		t.Errorf("the second commit says %v", err)
	}
}
