package txlog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

func TestOpenReadsWhatWasCommitted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		for range 7 { // each key is overwritten, some are removed, some come back
			w.mustCommit(log)
		}
		log.Close()
		w.open(w.cfg).Close()
		w.reopened()
	})
}

// An empty value is a value; only nil removes a key.
func TestTombstones(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		for _, changes := range [][]txlog.Change{
			{{Key: "acme/empty", Value: []byte{}}, {Key: "acme/gone", Value: []byte("x")}, {Key: "acme/back", Value: []byte("x")}},
			{{Key: "acme/gone"}, {Key: "acme/back"}, {Key: "acme/never was"}},
			{{Key: "acme/back", Value: []byte("y")}},
		} {
			if err := log.Commit(t.Context(), nil, changes); err != nil {
				t.Fatal(err)
			}
		}
		log.Close()
		wantState(t, w.cfg, map[string][]byte{"acme/empty": {}, "acme/back": []byte("y")})
	})
}

func wantState(t *testing.T, cfg txlog.Config, want map[string][]byte) {
	t.Helper()
	log, state, err := txlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("the state (-want +got):\n%s", diff)
	}
}

// Two owners whose names fall into one partition neither fence each other nor see
// each other's keys, in any order of opens and commits.
func TestTwoOwnersInOnePartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		other := w.cfg
		other.TransactionalID = c.Name("other")
		var asked []string
		other.Keep = func(key string) bool {
			asked = append(asked, key)
			return strings.HasPrefix(key, "umbrella/")
		}
		log := w.open(w.cfg)
		w.mustCommit(log)
		neighbour, state, err := txlog.Open(t.Context(), other)
		if err != nil || len(state) > 0 {
			t.Fatalf("the neighbour's state is %v, %v", state, err)
		}
		defer neighbour.Close()
		if !slices.Contains(asked, "acme/cursor") {
			t.Errorf("Keep was asked about %q, and not about what should not be there", asked)
		}
		w.mustCommit(log)
		if err := neighbour.Commit(t.Context(), nil, []txlog.Change{{Key: "umbrella/cursor", Value: []byte("1")}}); err != nil {
			t.Fatal(err)
		}
		w.mustCommit(log)
		log.Close()
		w.reopened()
		wantState(t, other, map[string][]byte{"umbrella/cursor": []byte("1")})
	})
}

// The hashes are those of UtilsTest in Apache Kafka.
func TestPartition(t *testing.T) {
	for owner, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, partitions := range []int32{1, 4, 16, 50} {
			if got, want := txlog.Partition(owner, partitions), (hash&0x7fffffff)%partitions; got != want {
				t.Errorf("Partition(%q, %d) = %d, want %d", owner, partitions, got, want)
			}
		}
	}
}

// The state goes where the settings say, events go where their keys say.
func TestStateIsWrittenToItsPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		w.cfg.Topic, w.cfg.Partition = c.Name("offsets"), 2
		c.CreateTopic(w.cfg.Topic, 3, map[string]string{"cleanup.policy": "compact"})
		w.reopened()
		for _, r := range c.Read(t, w.cfg.Topic, kgo.ReadUncommitted()) {
			if r.Partition != 2 {
				t.Errorf("%s is in partition %d", r.Key, r.Partition)
			}
		}
		for _, r := range c.Read(t, w.events, kgo.ReadUncommitted()) {
			if want := txlog.Partition(string(r.Key), 2); r.Partition != want {
				t.Errorf("%s is in partition %d, want %d", r.Key, r.Partition, want)
			}
		}
		all, err := txlog.PeekAll(t.Context(), w.cfg.Connection, w.cfg.Topic, 3, w.cfg.Keep)
		if err != nil || len(all) != 3 || len(all[0])+len(all[1]) > 0 || len(all[2]) == 0 {
			t.Errorf("PeekAll returned %v, %v", all, err)
		}
	})
}

// BeforeFence sees the state, and its error leaves the log to the instance that has it.
func TestBeforeFenceHarmsNobody(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		log := w.open(w.cfg)
		w.mustCommit(log)
		w.awaitMarkers() // it sees what is stable
		proxy, refused := c.Proxy(), errors.New("somebody else has it")
		cfg := w.through(proxy)
		cfg.BeforeFence = func(state map[string][]byte, _ bool) error {
			if string(state["acme/cursor"]) != "0" {
				t.Errorf("BeforeFence was shown %v", state)
			}
			maps.DeleteFunc(state, func(string, []byte) bool { return true }) // it is the callee's own
			return refused
		}
		if _, _, err := txlog.Open(t.Context(), cfg); !errors.Is(err, refused) {
			t.Errorf("Open returned %v", err)
		}
		if n := proxy.Count(kmsg.InitProducerID.Int16()).Requests; n > 0 {
			t.Errorf("%d requests that fence", n)
		}
		w.mustCommit(log)
		cfg.BeforeFence = func(state map[string][]byte, _ bool) error { clear(state); return nil }
		w.open(cfg).Close()
		w.reopened()
	})
}

// Open gives up at its deadline, and says what it could not reach.
func TestOpenNamesWhatItCouldNotRead(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c)
		w.cfg.Topic = c.Name("missing")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := txlog.Open(ctx, w.cfg)
		if !errors.Is(err, txlog.ErrUnconfirmed) || !strings.Contains(fmt.Sprint(err), w.cfg.Topic) || ctx.Err() != nil {
			t.Errorf("Open returned %v", err)
		}
	})
}
