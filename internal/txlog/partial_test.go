package txlog_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// One record of a batch fails. Kafka would commit the transaction without it;
// Commit must commit nothing, and the state must not move.
func TestPartialCommit(t *testing.T) {
	const small = 4096
	tests := []struct {
		name     string
		bad      kafka.Message
		maxBytes int // that the writer is told of; 0: nothing
		class    kafka.Class
		real     bool // kfake takes such a record
		since40  bool // brokers before 4.0 take it too
	}{
		{"larger than the broker takes", kafka.Message{Value: bytes.Repeat([]byte("x"), 2*small)}, 0, kafka.ClassEvent, false, false},
		{"larger than the writer was told", kafka.Message{Value: bytes.Repeat([]byte("x"), 2*small)}, small, kafka.ClassEvent, false, false},
		{"a topic that is missing", kafka.Message{Topic: "missing", Value: []byte("x")}, 0, kafka.ClassTopic, false, false},
		{"a time the broker does not take", kafka.Message{Timestamp: time.Now().Add(48 * time.Hour)}, 0, kafka.ClassEvent, true, true},
		{"no key for a compacted topic", kafka.Message{Topic: "offsets", Value: []byte("x")}, 0, kafka.ClassSettings, true, false},
	}
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, tt := range tests {
			if tt.real && !c.Real() || tt.since40 && before40(c) {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				w := newWorld(t, c)
				letters := c.Name("letters")
				c.CreateTopic(letters, 1, map[string]string{"max.message.bytes": "4096"})
				bad := tt.bad
				switch bad.Topic {
				case "":
					bad.Topic = letters
				case "offsets":
					bad.Topic = w.cfg.Topic
				}
				w.cfg.MaxMessageBytes = map[string]int{letters: tt.maxBytes}
				log := w.open(w.cfg)
				w.mustCommit(log)
				good := kafka.Message{Topic: letters, Value: []byte("good")}
				err := w.commit(t.Context(), log, good, bad, good)
				if !errors.Is(err, txlog.ErrUnconfirmed) || kafka.Classify(err) != tt.class {
					t.Errorf("Commit returned %v, of class %s, want %s", err, kafka.Classify(err), tt.class)
				}
				wantFinished(t, log)
				w.reopened()
				if w.batches[1] != absent {
					t.Errorf("the batch is %s", w.batches[1])
				}
				if got := c.Read(t, letters, kgo.ReadCommitted()); len(got) > 0 {
					t.Errorf("%d records beside the bad one are in its topic", len(got))
				}
			})
		}
	})
}

// The user may write to every topic but one, which the broker says at that record
// alone.
func TestPartialCommitWithoutAuthorization(t *testing.T) {
	t.Parallel() // it starts a broker of its own
	c := kafkatest.Real(t, kafkatest.Secured())
	w, letters := newWorld(t, c), c.Name("letters")
	c.CreateTopic(letters, 1, nil)
	for _, acl := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(w.cfg.Topic, w.events).Operations(kadm.OpRead, kadm.OpWrite),
		kadm.NewACLs().TransactionalIDs(w.cfg.TransactionalID).Operations(kadm.OpWrite),
	} {
		acl = acl.ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:" + kafkatest.User).AllowHosts()
		kafkatest.Grant(t, c, acl)
	}
	w.cfg.Connection.Brokers = c.Security().SASL
	w.cfg.Connection.SASL = kafka.SASL{
		Mechanism: "PLAIN", Username: kafkatest.User, Password: func() (string, error) { return kafkatest.Password, nil },
	}
	log := w.open(w.cfg)
	w.mustCommit(log)
	err := w.commit(t.Context(), log, kafka.Message{Topic: letters, Value: []byte("x")})
	if !errors.Is(err, txlog.ErrUnconfirmed) || kafka.Classify(err) != kafka.ClassAuthorization {
		t.Errorf("Commit returned %v", err)
	}
	w.reopened()
	if w.batches[1] != absent {
		t.Errorf("the batch is %s", w.batches[1])
	}
}

// Records that fit one by one are never too large together.
func TestBatchesFitTheirTopic(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w, narrow := newWorld(t, c), c.Name("narrow")
		c.CreateTopic(narrow, 1, map[string]string{"max.message.bytes": "2000"})
		w.cfg.MaxMessageBytes = map[string]int{narrow: 2000}
		many := make([]kafka.Message, 50)
		for i := range many {
			many[i] = kafka.Message{Topic: narrow, Value: bytes.Repeat([]byte("x"), 900)}
		}
		log := w.open(w.cfg)
		if err := w.commit(t.Context(), log, many...); err != nil {
			t.Error(err)
		}
		log.Close()
		w.reopened()
		if got := c.Read(t, narrow, kgo.ReadCommitted()); len(got) != len(many) {
			t.Errorf("read %d records, want %d", len(got), len(many))
		}
	})
}

// An event that took effect a year ago is written like any other, with every
// client timeout as shipped.
func TestOldTimestampTimeout(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		old := c.Name("old")
		c.CreateTopic(old, 1, map[string]string{"retention.ms": "-1"})
		at := time.Now().AddDate(-1, 0, 0).Truncate(time.Millisecond)
		log := w.open(w.cfg)
		for range 3 {
			if err := w.commit(t.Context(), log, kafka.Message{Topic: old, Value: []byte("x"), Timestamp: at}); err != nil {
				t.Fatal(err)
			}
		}
		log.Close()
		w.reopened()
		got := c.Read(t, old, kgo.ReadCommitted())
		if len(got) != 3 || !got[0].Timestamp.Equal(at) {
			t.Errorf("read %d records, want 3 of %v", len(got), at)
		}
	})
}

// A commit of nothing sends nothing: older brokers answer an empty transaction
// with an error. A commit of the state alone, or of events alone, is one.
func TestTransactionEdges(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w, copies := newWorld(t, c), c.Name("copies")
		c.CreateTopic(copies, 1, nil)
		proxy := c.Proxy()
		log := w.open(w.through(proxy))
		transactional := func() (n int) {
			for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.EndTxn} {
				n += proxy.Count(key.Int16()).Requests
			}
			return n
		}
		before := transactional()
		if err := log.Commit(t.Context(), nil, nil); err != nil {
			t.Error(err)
		}
		if n := transactional() - before; n > 0 {
			t.Errorf("an empty commit sent %d requests", n)
		}
		w.mustCommit(log)
		if err := log.Commit(t.Context(), nil, []txlog.Change{{Key: "umbrella/x", Value: []byte("state alone")}}); err != nil {
			t.Error(err)
		}
		if err := log.Commit(t.Context(), []kafka.Message{{Topic: copies, Value: []byte("events alone")}}, nil); err != nil {
			t.Error(err)
		}
		if got := proxy.Count(kmsg.EndTxn.Int16()).Requests; got != 3 {
			t.Errorf("%d transactions ended, want 3", got)
		}
		log.Close()
		w.reopened()
	})
}
