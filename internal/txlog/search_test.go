package txlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// searched is a topic in which is searched, on a broker whose answers take a second.
type searched struct {
	*testing.T
	cluster *kafkatest.Cluster
	cfg     txlog.Config
	topic   kafka.Topic
	search  *txlog.Search
	reads   int // of the topic's offsets
}

func inSearched(t *testing.T, test func(s *searched)) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.InProcess(t, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
		w := newWorld(t, c)
		s := &searched{t, c, w.cfg, kafka.Topic{Name: "searched", ID: "1", Partitions: 2}, txlog.NewSearch("of"), 0}
		s.make()
		c.Fake().ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.Fake().KeepControl()
			s.reads++
			time.Sleep(time.Second)
			return nil, nil, false
		})
		test(s)
	})
}

func (s *searched) make() {
	s.Helper()
	if err := s.cluster.Fake().CreateTopic(s.topic.Name, s.topic.Partitions, nil); err != nil {
		s.Fatal(err)
	}
}

func (s *searched) remove() {
	s.Helper()
	if err := s.cluster.Fake().DeleteTopic(s.topic.Name); err != nil {
		s.Fatal(err)
	}
}

// truncate deletes all records that are there.
func (s *searched) truncate() {
	s.Helper()
	for p := range s.topic.Partitions {
		end := s.cluster.Fake().PartitionInfo(s.topic.Name, p).HighWatermark
		if err := s.cluster.Fake().DeleteRecords(s.topic.Name, p, end); err != nil {
			s.Fatal(err)
		}
	}
}

// put writes a record of each of these.
func (s *searched) put(of ...string) {
	s.Helper()
	client := s.cluster.Client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer client.Close()
	for _, value := range of {
		r := &kgo.Record{Topic: s.topic.Name, Headers: []kgo.RecordHeader{{Key: "of", Value: []byte(value)}}}
		if err := client.ProduceSync(s.Context(), r).FirstErr(); err != nil {
			s.Fatal(err)
		}
	}
}

// wants fails the test unless the topic holds records of it, or does not.
func (s *searched) wants(of string, want bool) {
	s.Helper()
	if got, err := s.search.Holds(s.Context(), s.cfg.Connection, s.topic, of); err != nil || got != want {
		s.Errorf("records of %s: %v, %v; want %v", of, got, err, want)
	}
}

// Many that ask at the same time have the topic read twice and not once each: by the first one,
// and for all that came while it was reading.
func TestSearchesReadTogether(t *testing.T) {
	inSearched(t, func(s *searched) {
		s.put("a", "b", "c")
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() { s.wants(fmt.Sprint("new-", n), false) })
		}
		all.Wait()
		const twice = 2 * 3 // beginnings, stable ends and ends
		if s.reads == 0 || s.reads > twice {
			s.Errorf("%d requests for offsets, want %d", s.reads, twice)
		}
	})
}

// What was committed before it is asked for is found, also when all before it was read already;
// and what is gone is not there, also when it was seen.
func TestSearchKnowsWhatIsThere(t *testing.T) {
	inSearched(t, func(s *searched) {
		s.wants("a", false) // the topic is empty
		s.put("a", "b")
		s.wants("c", false)
		s.wants("a", true)
		s.put("c")
		s.wants("c", true)
		s.wants("d", false)

		// Deleted by retention, or by a person.
		s.put("d")
		s.wants("e", false)
		s.truncate()
		s.wants("d", false)
		s.put("f")
		s.wants("f", true)

		// The broker lost records, and others came in their place.
		s.remove()
		s.make()
		s.put("g")
		s.wants("g", true)

		// The topic was made again, and holds more than was read of the one before.
		s.wants("h", false)
		s.remove()
		s.make()
		s.topic.ID = "2"
		s.put("i", "j", "k", "l", "m", "n")
		s.wants("i", true)
		s.wants("g", false)
	})
}

// A search that ends with its context leaves the others theirs.
func TestSearchThatIsStopped(t *testing.T) {
	inSearched(t, func(s *searched) {
		s.put("a")
		stopped, stop := context.WithCancel(s.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.search.Holds(stopped, s.cfg.Connection, s.topic, "b"); err == nil {
				s.Error("it found an answer after its end")
			}
		})
		synctest.Wait()
		for range 10 {
			all.Go(func() { s.wants("a", true) })
			all.Go(func() { s.wants("b", false) })
		}
		synctest.Wait()
		stop()
		all.Wait()
	})
}
