package txlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// A transaction hangs where a partition has it open and its coordinator does not: the
// coordinator wrote it down as complete without this partition's marker (KAFKA-20734),
// or the partition lost the marker. Then it does not end by itself. Consumers with
// read_committed stop before it, and the next marker of the same producer in that
// partition ends it, whether or not that marker agrees with the decision.
//
// So it is ended by us, as it was decided, in every partition alike:
//
//  1. After the fence no transaction of our producer can be under way. One that a
//     partition still has open hangs.
//  2. Which way it was decided is read, see decide.
//  3. The markers are written one after the other, that of the partition of the state
//     first, and before each the evidence is read again. So the first marker in a
//     partition is the decision, for us after a crash and for anybody else who does
//     the same at this moment.
//  4. A transaction is begun only when every partition of the one before it has its
//     marker (Log.awaitMarkers). So nothing was ever built on one that hangs, and
//     without any evidence both ways are right.

// Ended is a transaction in one partition that hung and was ended.
type Ended struct {
	kafka.OpenTransaction
	Commit  bool
	Because string // what the decision was read from
}

func (e Ended) String() string {
	return fmt.Sprintf("%s in %v: producer %d, epoch %d, from offset %d, because %s",
		way(e.Commit, "committed", "aborted"), e.Partition, e.Producer, e.Epoch, e.Start, e.Because)
}

func way(commit bool, yes, no string) string {
	if commit {
		return yes
	}
	return no
}

// HangingError says that transactions hang, and were not ended. It wraps
// ErrUnconfirmed.
type HangingError struct {
	Open   []kafka.OpenTransaction
	Hidden []kafka.Partition // may hold one; we have no right to look
	// Neighbour says that it is another writer's, in the partition of our state, and Of
	// whose, by transactional id; empty if no coordinator knows.
	Neighbour bool
	Of        string
	Commit    bool  // which way the first of Open was decided
	Undecided bool  // which way it was decided cannot be known
	Err       error // why it was not ended; nil if that was not tried
}

func (e *HangingError) Error() string {
	if len(e.Open) == 0 {
		return fmt.Sprintf("a transaction may hang in %v: its last stable offset stays behind, and no transaction that we may see explains it; "+
			"read_committed consumers of that partition wait for it. Grant READ on that topic, so that it can be seen whose it is, or run "+
			"`openai-audit-kafka transactions` as a user who has it", e.Hidden[0])
	}
	what := make([]string, len(e.Open))
	for i, t := range e.Open {
		what[i] = Describe(t)
	}
	remedy := "The connector ends it by itself"
	switch {
	case e.Neighbour && e.Of != "":
		remedy = fmt.Sprintf("It is of %s: start the connector of that organization, or run `openai-audit-kafka transactions end --organization NAME --yes` for it", e.Of)
	case e.Neighbour:
		remedy = "No coordinator knows whose it is: run `openai-audit-kafka transactions`, which looks into it"
	case e.Undecided:
		remedy = fmt.Sprintf("Which way it was decided cannot be found out: %v. Look with kafka-transactions.sh find-hanging whether its events are in the topic without their "+
			"cursor; after an abort by hand, `openai-audit-kafka verify` shows what is missing, and --repair fills it", e.Err)
	case e.Err != nil:
		remedy = fmt.Sprintf("It could not be ended here: %v. Grant ClusterAction on the cluster to this user, or run "+
			"`openai-audit-kafka transactions end --organization NAME --yes` as a user who has it", e.Err)
		if !e.Commit {
			first := e.Open[0]
			remedy += fmt.Sprintf("; kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic %s --partition %d --start-offset %d does the same, in each of the partitions",
				first.Partition.Topic, first.Partition.Partition, first.Start)
		}
	}
	return fmt.Sprintf("hanging transaction: %s. Its markers were lost, and it does not end by itself; read_committed consumers of these partitions "+
		"see nothing behind it until then. %s", strings.Join(what, "; "), remedy)
}

// Unwrap returns ErrUnconfirmed and the cause.
func (e *HangingError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUnconfirmed}
	}
	return []error{ErrUnconfirmed, e.Err}
}

// Describe says where an open transaction is, whose, and since when.
func Describe(t kafka.OpenTransaction) string {
	return fmt.Sprintf("%v, producer id %d, epoch %d, open from offset %d on, last written to at %s",
		t.Partition, t.Producer, t.Epoch, t.Start, t.LastWrite.UTC().Format(time.RFC3339))
}

// passage is what a producer left in a partition, in the order of offsets: data, or
// the marker that ended it.
type passage struct {
	where  kafka.Partition
	epoch  int16
	marker bool
	commit bool      // of a marker
	at     time.Time // of data: the timestamp of its last record
}

// broker is what ending needs of Kafka. Tests put a model in its place.
type broker interface {
	// open returns the transactions of our producers that partitions have open.
	open(ctx context.Context) ([]kafka.OpenTransaction, error)
	// passages returns what the producer left in the partition of the state, or in the
	// others; there from the time on.
	passages(ctx context.Context, producer int64, state bool, from time.Time) ([]passage, error)
	// began returns the timestamp of the transaction's first record in its partition.
	began(ctx context.Context, t kafka.OpenTransaction) (time.Time, error)
	// timed reports whether timestamps in the partition are the times of writing.
	timed(p kafka.Partition) bool
	mark(ctx context.Context, t kafka.OpenTransaction, commit bool) error
}

// endHanging ends what hangs, and returns what it ended. state is the partition that the
// writer's changes go to, which is that of the state but for repairs, and word what the
// coordinator knew before the fence.
//
// Each marker has two failures, not written and written without an answer. Either way
// the next call reads what is there: a crash, or an error, leaves nothing that leads
// to another decision.
func endHanging(ctx context.Context, b broker, state kafka.Partition, word kafka.Coordinated) (ended []Ended, err error) {
	for {
		open, err := b.open(ctx)
		if err != nil || len(open) == 0 {
			return ended, err
		}
		slices.SortFunc(open, func(x, y kafka.OpenTransaction) int { return inOrder(state, x.Partition, y.Partition) })
		first := open[0]
		if n := len(ended); n > 0 && ended[n-1].OpenTransaction == first {
			return ended, &HangingError{Open: open, Commit: ended[n-1].Commit, Err: errors.New("a marker was taken, and ended nothing")}
		}
		commit, because, err := decide(ctx, b, first, earliest(open, first), word)
		if errors.Is(err, errUndecided) {
			return ended, &HangingError{Open: open, Undecided: true, Err: err}
		}
		if err != nil {
			return ended, err
		}
		if err := b.mark(ctx, first, commit); err != nil {
			return ended, &HangingError{Open: open, Commit: commit, Err: err}
		}
		ended = append(ended, Ended{OpenTransaction: first, Commit: commit, Because: because})
	}
}

// inOrder puts the partition of the state first. Everybody who ends a transaction
// begins in the same place, so its first marker there decides for all.
func inOrder(state, x, y kafka.Partition) int {
	last := func(p kafka.Partition) int {
		if p == state {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(last(x), last(y)), cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
}

// earliest returns from when on the transaction may have left something elsewhere.
func earliest(open []kafka.OpenTransaction, t kafka.OpenTransaction) time.Time {
	at := t.LastWrite
	for _, other := range open {
		if other.Producer == t.Producer && other.Epoch == t.Epoch && other.LastWrite.Before(at) {
			at = other.LastWrite
		}
	}
	// Longer than a transaction lives, and some for clocks that differ.
	return at.Add(-10 * time.Minute)
}

// decide reads which way a transaction that hangs was decided. In this order:
//
//  1. A marker of it in another partition, that of the state first. It is visible to consumers there, and may
//     be in the state that we go on from.
//  2. A later transaction of the same producer. It was built on this one: only a
//     connector of before this rule did so, and only after a yes.
//  3. The coordinator's word before the fence, where it is about this very transaction:
//     from Kafka 4.0 on each has an epoch of its own, and its end takes the next one.
//     The word is gone after the fence, so a crash in between loses it; but then no
//     marker was written yet, and no consumer has seen anything of the transaction.
//  4. Otherwise nothing was built on it, and no consumer has seen it: it is aborted.
//     Where the word could be about the transaction before, as it can below 4.0, a
//     commit might show a transaction of which a part was never written.
func decide(ctx context.Context, b broker, t kafka.OpenTransaction, from time.Time, word kafka.Coordinated) (commit bool, because string, err error) {
	ofState, err := b.passages(ctx, t.Producer, true, from)
	if err != nil {
		return false, "", err
	}
	if m, found := markerOf(ofState, t.Epoch); found {
		return m.commit, marked(m), nil
	}
	if m, found, err := sharedMarker(ctx, b, t, ofState); err != nil || found {
		return m.commit, marked(m), err
	}
	others, err := b.passages(ctx, t.Producer, false, from)
	if err != nil {
		return false, "", err
	}
	if m, found := markerOf(others, t.Epoch); found {
		return m.commit, marked(m), nil
	}
	if m, found, err := sharedBeside(b, t, ofState, others); err != nil || found {
		return m.commit, marked(m), err
	}
	for _, p := range append(ofState, others...) {
		if !p.marker && p.epoch > t.Epoch {
			return true, fmt.Sprintf("a later transaction of the same producer is in %v", p.where), nil
		}
	}
	if word.Producer == t.Producer && word.Epoch == t.Epoch+1 && word.Committed() {
		return true, "the coordinator had it as " + word.State, nil
	}
	return false, "no partition has a marker of it, nothing was built on it, and the coordinator did not have it as committed", nil
}

func marked(m passage) string {
	return fmt.Sprintf("%v has its %s marker", m.where, way(m.commit, "commit", "abort"))
}

// errUndecided says that transactions share an epoch, and times do not show which of
// them a marker ended.
var errUndecided = errors.New("below transaction.version 2 transactions share an epoch, and with KAFKA_TIMESTAMP=event times do not show which is which")

// markerOf returns the marker that ended the transaction of the epoch, where nothing
// else can have: a marker has an epoch above that of its transaction from
// transaction.version 2 on, and below that if a fence or we ended it.
func markerOf(passages []passage, epoch int16) (m passage, found bool) {
	inside := map[kafka.Partition]bool{} // data of the epoch were met, and no marker since
	for _, p := range passages {
		if !p.marker {
			inside[p.where] = p.epoch == epoch
			continue
		}
		if p.epoch == epoch+1 || inside[p.where] && p.epoch > epoch {
			return p, true
		}
		inside[p.where] = false
	}
	return passage{}, false
}

// lastShared returns the last data of the epoch in the partition that a marker of the
// same epoch ended. Transactions that share an epoch end like that: the data may be of
// the transaction that hangs, or of the one before.
func lastShared(passages []passage, where kafka.Partition, epoch int16) (data, m passage, found bool) {
	var last passage
	inside := false
	for _, p := range passages {
		switch {
		case p.where != where:
		case !p.marker:
			last, inside = p, p.epoch == epoch
		case inside:
			data, m, found, inside = last, p, p.epoch == epoch, false
		}
	}
	return data, m, found
}

// sharedMarker looks whether a marker in the partition of the state ended the
// transaction, where it shares its epoch. Each transaction writes the state last: so its
// own data there are no older than what hangs elsewhere, and the data of the one before
// are older.
func sharedMarker(ctx context.Context, b broker, t kafka.OpenTransaction, ofState []passage) (m passage, found bool, err error) {
	if len(ofState) == 0 || ofState[0].where == t.Partition {
		return m, false, nil
	}
	data, m, found := lastShared(ofState, ofState[0].where, t.Epoch)
	if !found {
		return m, false, nil
	}
	if !b.timed(t.Partition) {
		return m, false, errUndecided
	}
	began, err := b.began(ctx, t)
	return m, err == nil && !data.at.Before(began), err
}

// sharedBeside is sharedMarker for the other partitions, where the state hangs: data
// there that are younger than the state of the transaction before are of this one.
func sharedBeside(b broker, t kafka.OpenTransaction, ofState, others []passage) (m passage, found bool, err error) {
	if len(ofState) == 0 || ofState[0].where != t.Partition {
		return m, false, nil
	}
	before, _, _ := lastShared(ofState, t.Partition, t.Epoch) // zero: it is the first of its epoch
	seen := map[kafka.Partition]bool{}
	for _, p := range others {
		if seen[p.where] {
			continue
		}
		seen[p.where] = true
		data, m, found := lastShared(others, p.where, t.Epoch)
		if !found {
			continue
		}
		if !b.timed(p.where) {
			return m, false, errUndecided
		}
		if data.at.After(before.at) {
			return m, true, nil
		}
	}
	return m, false, nil
}
