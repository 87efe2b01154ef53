package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// hangingEvery is how often a session looks for transactions that hang, after it has
// committed one and for as long as anything is open. What is seen in two looks is reported:
// within 15 s of the markers being lost. A quiet log looks at every hangingIdle, since
// a partition can lose what it had.
const (
	hangingEvery = 5 * time.Second
	hangingIdle  = 2 * time.Minute
)

// watchHanging looks at the partitions that are written to for as long as the session
// works: a transaction may hang though its end was answered with yes, and a quiet log
// would not meet it for ten minutes. One of ours ends the session, and the next begins
// with ending it. One of another writer is reported; consumers wait behind it all the same.
//
// It is never ended from here. While a session works, a transaction of ours that is open is
// mostly the commit under way. Only after a fence is it sure that none is, so that is where
// txlog.Open ends it.
func (s *session) watchHanging(ctx context.Context) error {
	var before []txlog.Hanging
	behind := map[txlog.Hidden]time.Time{}
	commits, quiet, looked := int64(-1), false, s.now()
	for {
		if err := wait(ctx, hangingEvery); err != nil {
			return err
		}
		n := s.ledger.Commits()
		if n == commits && quiet && s.now().Sub(looked) < hangingIdle {
			continue
		}
		commits, quiet, looked = n, false, s.now()
		found, err := txlog.Hangs(ctx, s.looks, s.target.Topics.Names()...)
		// Not a reason to stop writing: what hangs is still there at the next look.
		if err != nil {
			s.log.Debug("looking for transactions that hang", "error", err)
			continue
		}
		// One look may fall between a commit's end and its markers. What two looks see, five
		// seconds apart and from the same offset on, is no commit under way.
		twice := slices.DeleteFunc(slices.Clone(found.Hanging), func(h txlog.Hanging) bool {
			return !slices.ContainsFunc(before, func(b txlog.Hanging) bool {
				return b.Partition == h.Partition && b.Producer == h.Producer && b.Start == h.Start
			})
		})
		before, quiet = found.Hanging, found.Stable
		s.tellHanging(twice)
		s.tellHidden(lasting(behind, found.Hidden, s.now()))
		var ours []kafka.OpenTransaction
		for _, h := range twice {
			if h.TransactionalID == s.target.ID() {
				ours = append(ours, h.OpenTransaction)
			}
		}
		if len(ours) > 0 {
			return &txlog.HangingError{Open: ours}
		}
	}
}

// hangingSubject is what the warning is about.
const hangingSubject = "hanging transactions"

// tellHanging says which transactions hang; without any it takes the warning back.
func (o *organization) tellHanging(all []txlog.Hanging) {
	if len(all)+o.hanging == 0 {
		return
	}
	o.hanging = len(all)
	out := make([]HangingTransaction, len(all))
	for i, h := range all {
		out[i] = HangingTransaction{
			Topic: h.Partition.Topic, Partition: h.Partition.Partition, ProducerID: h.Producer, Epoch: h.Epoch,
			StartOffset: h.Start, Since: h.LastWrite, TransactionalID: h.TransactionalID,
		}
	}
	o.telemetry.Hanging(o.name, out)
	if len(all) == 0 {
		o.telemetry.Warned(o.name, hangingSubject, Warning{})
		return
	}
	var where []string
	for _, h := range all {
		where = append(where, txlog.Describe(h.OpenTransaction))
	}
	o.telemetry.Warned(o.name, hangingSubject, Warning{
		Text: fmt.Sprintf("A hanging transaction: %s. read_committed consumers of these partitions see nothing behind it.", strings.Join(where, "; ")),
		Remedy: "The connector ends its own if it has ClusterAction on the cluster; otherwise, and for one of another organization, run " +
			"`openai-audit-kafka transactions` and `openai-audit-kafka transactions end --organization NAME --yes` as a user who has it.",
	})
}

// lasting returns which of the partitions are as they were for longer than any
// transaction lives, and remembers since when each has been so.
func lasting(since map[txlog.Hidden]time.Time, hidden []txlog.Hidden, now time.Time) (long []kafka.Partition) {
	maps.DeleteFunc(since, func(h txlog.Hidden, _ time.Time) bool { return !slices.Contains(hidden, h) })
	for _, h := range hidden {
		if _, known := since[h]; !known {
			since[h] = now
		}
		if now.Sub(since[h]) > txlog.OutlastsNeighbours {
			long = append(long, h.Partition)
		}
	}
	return long
}

// tellHidden says, once, in which partitions something stays open that we may not look
// at; without any it takes the warning back. The transaction may be ours, and then no other program would say so.
func (o *organization) tellHidden(where []kafka.Partition) {
	if slices.Equal(where, o.hidden) {
		return
	}
	o.hidden = where
	const subject = "hidden transactions"
	if len(where) == 0 {
		o.telemetry.Warned(o.name, subject, Warning{})
		return
	}
	var names, topics []string
	for _, p := range where {
		names, topics = append(names, p.String()), append(topics, "Topic:"+p.Topic)
	}
	w := Warning{
		Text: fmt.Sprintf("A transaction may hang in %s: the last stable offset stays behind there, and it cannot be seen whose transaction holds it back. "+
			"read_committed consumers see nothing behind it.", strings.Join(names, "; ")),
		Remedy: fmt.Sprintf("Grant READ on %s to this user, so that it is seen, and ended if it is ours; or run `openai-audit-kafka transactions` as a user who has it.",
			strings.Join(slices.Compact(topics), " and ")),
	}
	o.telemetry.Warned(o.name, subject, w)
	o.log.Warn("a transaction may hang where this user may not look", "where", names, "remedy", w.Remedy)
}

// tellHangingError tells what the end of a session says of hanging transactions: while the
// next one waits to begin, no loop looks, and consumers stand still.
func (o *organization) tellHangingError(err error) {
	e, ok := errors.AsType[*txlog.HangingError](err)
	if !ok {
		return
	}
	var all []txlog.Hanging
	id := o.target.ID()
	if e.Neighbour {
		id = e.Of
	}
	for _, t := range e.Open {
		all = append(all, txlog.Hanging{OpenTransaction: t, TransactionalID: id})
	}
	o.tellHanging(all)
}
