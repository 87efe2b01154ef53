package txlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// A model of Kafka that loses markers, for endHanging: partitions that have the data
// and the markers of producers, and a coordinator that decides.
type modelKafka struct {
	rng      *rand.Rand
	tv2      bool // each transaction has an epoch of its own
	parts    []kafka.Partition
	log      map[kafka.Partition][]modelRecord
	word     kafka.Coordinated
	producer int64
	epoch    int16
	clock    time.Time
	events   bool // records but those of the state have other times than that of writing
	crashAt  int  // the request at which everything stops; 0: none
	requests int
}

type modelRecord struct {
	passage
	txn int // which transaction wrote it, or none for a marker
}

var errCrash = errors.New("crashed")

// request fails when its time has come.
func (m *modelKafka) request() error {
	if m.requests++; m.requests == m.crashAt {
		return errCrash
	}
	return nil
}

func (m *modelKafka) open(context.Context) (open []kafka.OpenTransaction, err error) {
	if err := m.request(); err != nil {
		return nil, err
	}
	for _, p := range m.parts {
		for at, r := range m.log[p] {
			if r.marker {
				open = slices.DeleteFunc(open, func(t kafka.OpenTransaction) bool { return t.Partition == p })
				continue
			}
			if n := len(open); n > 0 && open[n-1].Partition == p {
				open[n-1].Epoch = r.epoch
				continue
			}
			open = append(open, kafka.OpenTransaction{Partition: p, Producer: m.producer, Epoch: r.epoch, Start: int64(at)})
		}
	}
	m.rng.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	return open, nil
}

func (m *modelKafka) passages(_ context.Context, _ int64, state bool, _ time.Time) (all []passage, err error) {
	if err := m.request(); err != nil {
		return nil, err
	}
	for _, p := range m.parts {
		if (p == m.parts[0]) == state {
			for _, r := range m.log[p] {
				all = append(all, r.passage)
			}
		}
	}
	return all, nil
}

func (m *modelKafka) mark(_ context.Context, t kafka.OpenTransaction, commit bool) error {
	m.requests++
	if m.requests == m.crashAt && m.rng.IntN(2) == 0 {
		return errCrash // not written
	}
	m.marker(t.Partition, t.Epoch+1, commit)
	if m.requests == m.crashAt {
		return errCrash // written, and not answered
	}
	return nil
}

func (m *modelKafka) began(_ context.Context, t kafka.OpenTransaction) (time.Time, error) {
	return m.log[t.Partition][t.Start].at, m.request()
}

func (m *modelKafka) timed(p kafka.Partition) bool { return p == m.parts[0] || !m.events }

func (m *modelKafka) marker(p kafka.Partition, epoch int16, commit bool) {
	m.log[p] = append(m.log[p], modelRecord{passage: passage{where: p, epoch: epoch, marker: true, commit: commit}})
}

// transaction writes to some partitions, and last to that of the state, and ends. One
// that is aborted may have ended before it wrote all. Of its markers some are lost,
// where that is said.
func (m *modelKafka) transaction(txn int, commit, lossy bool) {
	var wrote []kafka.Partition
	for i := len(m.parts) - 1; i >= 0; i-- {
		p := m.parts[i]
		m.clock = m.clock.Add(time.Duration(m.rng.IntN(2)) * time.Millisecond)
		if i == 0 && commit || m.rng.IntN(2) == 0 {
			wrote = append(wrote, p)
			for range 1 + m.rng.IntN(2) {
				at := m.clock
				if m.events && i > 0 {
					at = at.Add(-time.Duration(m.rng.IntN(1000)) * time.Hour)
				}
				m.log[p] = append(m.log[p], modelRecord{passage: passage{where: p, epoch: m.epoch, at: at}, txn: txn})
			}
		}
	}
	m.clock = m.clock.Add(time.Millisecond) // the end takes one
	epoch := m.epoch
	if m.tv2 || !commit { // an abort is the fence's, which takes the next epoch too
		m.epoch++
	}
	if m.tv2 || !commit {
		epoch = m.epoch
	}
	if !commit && m.rng.IntN(2) == 0 { // a fence takes one more where transactions have their own
		m.epoch++
		epoch = m.epoch
	}
	m.word = kafka.Coordinated{State: "Complete" + way(commit, "Commit", "Abort"), Producer: m.producer, Epoch: m.epoch}
	for _, p := range wrote {
		if !lossy || m.rng.IntN(2) == 0 {
			m.marker(p, epoch, commit)
		}
	}
}

// outcomes returns, by transaction, in which way its data are decided in each
// partition where it wrote: committed, aborted, or open.
func (m *modelKafka) outcomes() map[int]map[string]int {
	out := map[int]map[string]int{}
	for _, p := range m.parts {
		open := map[int]bool{}
		for _, r := range m.log[p] {
			if !r.marker {
				open[r.txn] = true
				continue
			}
			for txn := range open {
				if out[txn] == nil {
					out[txn] = map[string]int{}
				}
				out[txn][way(r.commit, "committed", "aborted")]++
			}
			clear(open)
		}
		for txn := range open {
			if out[txn] == nil {
				out[txn] = map[string]int{}
			}
			out[txn]["open"]++
		}
	}
	return out
}

// TestHangingModel loses the markers of the last transaction of a producer, at random,
// and ends it, killed at any request, again and again, and by two at once. However
// that goes: every transaction is committed in all of its partitions or in none, as
// its markers said that were there, and nothing stays open.
func TestHangingModel(t *testing.T) {
	seeds := 20_000
	if testing.Short() {
		seeds = 2_000
	}
	for seed := range uint64(seeds) {
		if err := hangingRun(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func hangingRun(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, seed))
	m := &modelKafka{rng: rng, tv2: rng.IntN(2) == 0, events: rng.IntN(3) == 0, clock: time.Unix(1e9, 0), log: map[kafka.Partition][]modelRecord{}, producer: 7}
	for p := range 1 + rng.IntN(4) {
		m.parts = append(m.parts, kafka.Partition{Topic: fmt.Sprintf("topic-%d", p%2), Partition: int32(p)})
	}
	last := 1 + rng.IntN(4)
	for txn := 1; txn < last; txn++ {
		m.transaction(txn, true, false)
	}
	commit := rng.IntN(2) == 0
	m.transaction(last, commit, true)
	before := m.outcomes()
	// The first attempt has heard the coordinator's word. After the fence it is gone.
	word := m.word
	for attempt := 0; ; attempt++ {
		if attempt > 50 {
			return errors.New("it does not come to an end")
		}
		m.requests, m.crashAt = 0, 0
		if rng.IntN(3) > 0 {
			m.crashAt = 1 + rng.IntN(8)
		}
		_, err := endHanging(context.Background(), m, m.parts[0], word)
		word = kafka.Coordinated{State: "Empty", Producer: m.producer, Epoch: m.epoch}
		if err == nil {
			break
		}
		if h, ok := errors.AsType[*HangingError](err); ok && h.Undecided {
			if m.tv2 || !m.events {
				return err
			}
			return nil // nothing more is done to it
		}
		if !errors.Is(err, errCrash) {
			return err
		}
	}
	after := m.outcomes()
	for txn, ways := range after {
		if len(ways) != 1 || ways["open"] > 0 {
			return fmt.Errorf("transaction %d is %v; before it was %v", txn, ways, before[txn])
		}
		for was := range before[txn] {
			if was != "open" && ways[was] == 0 {
				return fmt.Errorf("transaction %d was %v, and is %v", txn, before[txn], ways)
			}
		}
	}
	return nil
}

// Two that end the same transaction at the same moment decide alike, though one of them
// has heard the coordinator and the other has not.
func TestHangingEndedByTwoAtOnce(t *testing.T) {
	for seed := range uint64(3_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := &modelKafka{rng: rng, tv2: true, log: map[kafka.Partition][]modelRecord{}, producer: 7}
		for p := range 3 {
			m.parts = append(m.parts, kafka.Partition{Topic: "topic", Partition: int32(p)})
		}
		m.transaction(1, true, true)
		words := []kafka.Coordinated{m.word, {State: "Empty", Producer: m.producer, Epoch: m.epoch}}
		// Each asks on, one request at a time, in a random order.
		turn, gone := make(chan chan struct{}), make(chan error)
		for _, word := range words {
			go func() {
				_, err := endHanging(context.Background(), &taking{m, turn}, m.parts[0], word)
				gone <- err
			}()
		}
		waiting := []chan struct{}{}
		for left := 2; left > 0; {
			for len(waiting) < left {
				select {
				case w := <-turn:
					waiting = append(waiting, w)
				case err := <-gone:
					if left--; err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
			}
			if left > 0 {
				i := rng.IntN(len(waiting))
				waiting[i] <- struct{}{} // it may ask now
				<-waiting[i]             // and has its answer
				waiting = slices.Delete(waiting, i, i+1)
			}
		}
		for txn, ways := range m.outcomes() {
			if len(ways) != 1 || ways["open"] > 0 {
				t.Fatalf("seed %d: transaction %d is %v", seed, txn, ways)
			}
		}
	}
}

// taking is a model whose requests take turns.
type taking struct {
	*modelKafka
	turn chan chan struct{}
}

func (k *taking) wait() (done func()) {
	mine := make(chan struct{})
	k.turn <- mine
	<-mine
	return func() { mine <- struct{}{} }
}

func (k *taking) open(ctx context.Context) ([]kafka.OpenTransaction, error) {
	defer k.wait()()
	return k.modelKafka.open(ctx)
}

func (k *taking) passages(ctx context.Context, producer int64, state bool, from time.Time) ([]passage, error) {
	defer k.wait()()
	return k.modelKafka.passages(ctx, producer, state, from)
}

func (k *taking) began(ctx context.Context, t kafka.OpenTransaction) (time.Time, error) {
	defer k.wait()()
	return k.modelKafka.began(ctx, t)
}

func (k *taking) mark(ctx context.Context, t kafka.OpenTransaction, commit bool) error {
	defer k.wait()()
	return k.modelKafka.mark(ctx, t, commit)
}
