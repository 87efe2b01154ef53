package connector_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// A broker has two disks, and the one with the events breaks: it answers
// KAFKA_STORAGE_ERROR, and then there is no leader for them. The reason names the
// disk, and when that is back and the broker was started again, nothing is lost or
// doubled.
func TestDiskBreaks(t *testing.T) {
	t.Parallel() // it waits more than it works
	good, bad := t.TempDir(), t.TempDir()
	c := kafkatest.Real(t, kafkatest.Properties(map[string]string{
		"log.dirs": good + "," + bad, "metadata.log.dir": good,
	}))
	trials := kafkatest.NewTrials(t, c.Backend(), "a broker's disk breaks")
	w := newQuickWorld(t, c, simulator.Config{})
	w.proxy = c.Proxy()
	var mu sync.Mutex // guards answers
	var answers []error
	w.proxy.Observe(func(f kafkatest.Frame) {
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, f.ProduceErrors()...)
	})
	w.burst(5, 5)
	i := w.start()
	w.awaitEqual(20 * time.Second)
	moveTo(w, good, bad, w.cfg.Kafka.Topic)
	w.kafka().alter(w.cfg.Kafka.Topic, "segment.ms", "1")

	// The files that are open can still be written; the next segment cannot be made.
	partition := filepath.Join(bad, w.cfg.Kafka.Topic+"-0")
	away := filepath.Join(t.TempDir(), "away")
	w.must(os.Rename(partition, away))
	w.burst(5, 1)
	eventually(t, 20*time.Second, "the broker answers that it cannot write", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(answers, error(kerr.KafkaStorageError))
	})
	// The client tries again for as long as we let it. From then on there is no leader.
	for _, says := range []string{"one cannot write to its disk", "a partition has no leader; a broker may be away, or have lost a disk"} {
		eventually(t, time.Minute, says, func() bool { return i.hasSaid(says) })
	}
	if !c.Node(0).Running() {
		t.Fatal("the broker ended: what was tried is another fault")
	}

	w.must(c.Node(0).Kill())
	w.must(os.Rename(away, partition))
	w.must(c.Node(0).Start())
	c.WaitReady()
	w.burst(5, 1)
	trials.Add(1, w.awaitEqual(time.Minute))
	i.awaitReady()
	w.must(i.stop())
}

// moveTo moves the topic to one of the broker's disks, and all others to the other.
func moveTo(w *world, others, dir, topic string) {
	w.t.Helper()
	admin := w.cluster.Admin()
	moved := false
	for deadline := time.Now().Add(90 * time.Second); !moved; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("the topics do not move to their disks")
		}
		disks, err := admin.DescribeBrokerLogDirs(w.t.Context(), int32(w.cluster.Node(0).ID), nil)
		w.must(err)
		moved = true
		var moves kadm.AlterReplicaLogDirsReq
		disks.EachPartition(func(p kadm.DescribedLogDirPartition) {
			want := others
			if p.Topic == topic {
				want = dir
			}
			if p.Dir != want && p.Topic != "__cluster_metadata" {
				moved = false
				set := kadm.TopicsSet{}
				set.Add(p.Topic, p.Partition)
				moves.Add(want, set)
			}
		})
		_, err = admin.AlterAllReplicaLogDirs(w.t.Context(), moves)
		w.must(err)
	}
}
