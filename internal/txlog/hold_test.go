package txlog_test

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// hold stops the next request of the key in its tracks, as if the process were
// stopped there, and lets all others pass.
type hold struct {
	Held    <-chan struct{} // closed when the request is there
	Release func()
}

func holdNext(tb testing.TB, p *kafkatest.Proxy, key kmsg.Key) hold {
	return holdRequests(tb, p, key, false)
}

// holdAll stops the later requests of the key too: after ten seconds without an
// answer the client asks once more.
func holdAll(tb testing.TB, p *kafkatest.Proxy, key kmsg.Key) hold {
	return holdRequests(tb, p, key, true)
}

func holdRequests(tb testing.TB, p *kafkatest.Proxy, key kmsg.Key, all bool) hold {
	held, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.Observe(func(f kafkatest.Frame) {
		if f.Answer || f.Key != key.Int16() {
			return
		}
		first := false
		once.Do(func() { first = true; close(held) })
		if first || all {
			<-released
		}
	})
	h := hold{held, sync.OnceFunc(func() { close(released) })}
	tb.Cleanup(h.Release) // the proxy's Close would wait for it
	return h
}

// wait waits for something that comes soon on a broker that works.
func wait[T any](tb testing.TB, what string, ch <-chan T) (got T) {
	tb.Helper()
	select {
	case got = <-ch:
	case <-time.After(time.Minute):
		tb.Fatalf("waited a minute for %s", what)
	}
	return got
}

// eventually polls for what only the broker knows.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			tb.Fatalf("waited a minute for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// begin writes a record to the state in a transaction of that id, with no
// connector around it, and leaves it open.
func (w *world) begin(id, key, value string) *kgo.Client {
	w.tb.Helper()
	client := w.c.Client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.BeginTransaction(); err != nil {
		w.tb.Fatal(err)
	}
	record := &kgo.Record{Topic: w.cfg.Topic, Partition: w.cfg.Partition, Key: []byte(key), Value: []byte(value)}
	if err := client.ProduceSync(w.tb.Context(), record).FirstErr(); err != nil {
		w.tb.Fatal(err)
	}
	return client
}

func (w *world) end(client *kgo.Client, how kgo.TransactionEndTry) {
	w.tb.Helper()
	if err := client.EndTransaction(w.tb.Context(), how); err != nil {
		w.tb.Fatal(err)
	}
	client.Close()
}
