package ledger

import (
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// checkpointEvery is how often a checkpoint is written at most while events are.
const checkpointEvery = time.Minute

// Seal takes how to seal what is written, and the keys of the checkpoints that are in the
// offsets topic, before Begin. Whether anything is sealed, the cursor says: without a seal
// in it nothing is numbered, and checkpoints that are left are removed.
func (l *Ledger) Seal(s target.Sealing, checkpoints map[string]bool) {
	l.sealing, l.checkpoints = s, checkpoints
}

// seal numbers the records of a transaction, in their order, and puts the tree with
// them as leaves into its cursor. It returns what the transaction does to checkpoints,
// and the records that publish one. A transaction has one checkpoint at most, of the
// tree as it is after all of its records.
//
// It is inside the lock and after the staging, so a batch that is discarded has no
// number. The tree is resumed from the cursor and advances with it, once the transaction
// is known to be committed. So a number is given again only where the transaction that
// had it came to nothing: that one's cursor is then not in the topic either.
func (l *Ledger) seal(step *window.Step, records []kafka.Message, must bool) ([]txlog.Change, []kafka.Message, error) {
	was := step.Cursor.Seal
	if was == nil {
		return l.forget(func(string) bool { return true }), nil, nil
	}
	tree, err := seal.ResumeTree(was.Size, was.Range)
	if err == nil {
		err = l.sealing.Number(records, tree)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("sealing a transaction: %w", err)
	}
	now := step.Cursor.WrittenAt
	is := was.Clone()
	is.Size, is.Range = tree.Size(), tree.Edge()
	step.Cursor.Seal = is
	// A clock that was set back may not keep us from writing any.
	if since := now.Sub(was.CheckpointAt); !must && since >= 0 && since < checkpointEvery {
		return nil, nil, nil
	}
	is.CheckpointAt = now
	return l.checkpoint(step.Cursor, tree, was.CheckpointAt == 0)
}

// checkpoint returns what writes a checkpoint: the newest, and the last of the day so
// far. What retention has passed goes, and what was there when the seal began.
func (l *Ledger) checkpoint(c auditlog.Cursor, tree *seal.Tree, begins bool) ([]txlog.Change, []kafka.Message, error) {
	newest := auditlog.CheckpointKey(l.organization)
	note, published, err := l.sealing.Note(Checkpoint(c, tree), newest)
	if err != nil {
		return nil, nil, err
	}
	day := auditlog.DayCheckpointKey(newest, c.WrittenAt)
	last := auditlog.DayCheckpointKey(newest, c.WrittenAt.Add(-l.sealing.Retention-24*time.Hour))
	changes := l.forget(func(key string) bool {
		return key != newest && key != day && (begins || l.sealing.Retention > 0 && key < last)
	})
	l.checkpoints[newest], l.checkpoints[day] = true, true
	return append(changes, txlog.Change{Key: newest, Value: note}, txlog.Change{Key: day, Value: note}), published, nil
}

// forget returns tombstones for checkpoints. If they are not committed, the ledger is
// finished, and the next one reads what is there.
func (l *Ledger) forget(old func(key string) bool) (gone []txlog.Change) {
	for key := range l.checkpoints {
		if old(key) {
			gone = append(gone, txlog.Change{Key: key})
			delete(l.checkpoints, key)
		}
	}
	return gone
}

// Checkpoint returns what a cursor says, as a checkpoint of the tree.
func Checkpoint(c auditlog.Cursor, tree *seal.Tree) seal.Checkpoint {
	began := seal.Began{Time: c.Seal.BeganAt.Time(), Offsets: c.Seal.Began}
	out := seal.NewCheckpoint(seal.Origin(c.Organization), tree, c.WrittenAt.Time(), began)
	out.Floor = c.Floor.Time()
	for _, scope := range auditlog.Scopes() {
		pos := c.Scopes[scope]
		covered := seal.Coverage{Scope: string(scope), State: string(pos.State)}
		if pos.Live != 0 {
			covered.From, covered.To = c.Start.Time(), pos.Live.Time()
			for _, r := range pos.History {
				covered.Without = append(covered.Without, seal.Span{From: r.From.Time(), To: r.To.Time()})
			}
		}
		out.Scopes = append(out.Scopes, covered)
	}
	return out
}
