package connector_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What brokers answer to a transaction, for ten minutes: the reason says it in its
// own words, another try follows as rarely as it should and not more rarely, and
// afterwards nothing is lost or doubled. The broker is the one in process, whose
// faults make every answer; internal/txlog has those that real ones gave.
func TestAnswersOfBrokers(t *testing.T) {
	for _, answer := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		says string // instead of what the answer means, where the client hides it
	}{
		{key: kmsg.Produce, err: kerr.NotEnoughReplicas, says: "min.insync.replicas"},
		{key: kmsg.Produce, err: kerr.KafkaStorageError, says: "write to its disk"},
		{key: kmsg.Produce, err: kerr.TransactionAbortable},
		{key: kmsg.Produce, err: kerr.InvalidProducerIDMapping},
		{key: kmsg.Produce, err: kerr.TopicAuthorizationFailed},
		{key: kmsg.Produce, err: kerr.InvalidProducerEpoch},
		{key: kmsg.EndTxn, err: kerr.TransactionAbortable},
		{key: kmsg.EndTxn, err: kerr.UnknownServerError},
		{key: kmsg.EndTxn, err: kerr.InvalidTxnState},
		{key: kmsg.EndTxn, err: kerr.ProducerFenced},
		{key: kmsg.EndTxn, err: kerr.CoordinatorNotAvailable},
		{key: kmsg.InitProducerID, err: kerr.TransactionalIDAuthorizationFailed},
	} {
		t.Run(answer.key.Name()+" "+answer.err.Message, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				w.since = auditlog.SecondOf(time.Now())
				w.proxy = w.cluster.Proxy()
				i := w.start()
				i.awaitReady()
				fault := w.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{answer.key}, Err: answer.err, Count: -1})
				if answer.key == kmsg.InitProducerID { // then there has to be a start
					w.proxy.Dark(time.Minute)
				}
				says := answer.says
				if says == "" {
					says = kafka.Explain(answer.err)
				}
				// A fence each; the client's own tries are in between.
				fences := func() int { return w.proxy.Count(kmsg.InitProducerID.Int16()).Applied }
				before := fences()
				said := false
				for range 600 {
					w.api.Step(1, 0, 0)
					time.Sleep(time.Second)
					said = said || strings.Contains(i.reason(), says)
				}
				tries := fences() - before
				if kafka.Classify(answer.err) == kafka.ClassFenced {
					if err := i.end(time.Second); !errors.Is(err, connector.ErrFenced) || !strings.Contains(err.Error(), says) {
						t.Errorf("it ended with %v", err)
					}
					return
				}
				if !said {
					t.Errorf("it never said %q; it is not ready because %q", says, i.reason())
				}
				// At the quickest, half the patience lies between two tries, once it has
				// doubled up to it; at the slowest, all of it and a minute of waiting.
				patience := kafka.Patience(answer.err)
				if most := int(2*10*time.Minute/patience) + 8; tries > most {
					t.Errorf("%d tries in ten minutes, at most %d were expected", tries, most)
				}
				if least := int(10 * time.Minute / (patience + time.Minute + 20*time.Second)); tries < least {
					t.Errorf("%d tries in ten minutes, at least %d were expected", tries, least)
				}
				fault.Remove()
				time.Sleep(3 * time.Minute)
				if r := w.report(); !r.OK() {
					t.Error(r)
				}
				w.must(i.stop())
			})
		})
	}
}
