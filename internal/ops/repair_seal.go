package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// repairSeal is the tree of what repairs wrote. A repair works beside the connector, and
// so cannot give numbers of the connector's tree. Its state is its newest checkpoint,
// which is in the transaction of the records and has the compact range. So it goes with
// them, or comes to nothing with them.
//
// The checkpoints are in another partition of the offsets topic than the connector's
// state (target.RepairPartition): a start of the connector does not wait for a repair
// that was killed. Only repairs read them to go on from there, and each has fenced the
// one before it.
type repairSeal struct {
	target.Sealing
	organization string
	tree         *seal.Tree
	began        seal.Began
	earlier      []txlog.Change // what removes the checkpoints of an earlier seal, until it is written
}

// newRepairSeal returns the tree of repairs as the offsets topic has it; nil where the
// cursor says that nothing is sealed. It comes after the fence: no earlier repair has a
// transaction open that could still be committed.
//
// The tree belongs to the connector's seal: it has that one's time of beginning, and
// begins again with it. Otherwise its numbers would go on in other topics than those
// that hold the ones before.
func newRepairSeal(ctx context.Context, t target.Target, found target.Found, cursor auditlog.Cursor) (*repairSeal, error) {
	if cursor.Seal == nil {
		return nil, nil
	}
	sealing, err := t.Sealing(found)
	if err != nil {
		return nil, err
	}
	s := &repairSeal{Sealing: sealing, organization: t.Organization}
	stored, err := txlog.Settled(ctx, t.Connection, t.Topics.Offsets, t.RepairPartition(found[target.Offsets].Partitions), func(k string) bool {
		repair, _, ok := auditlog.CheckpointOf(t.Organization, k)
		return ok && repair
	})
	if err != nil {
		return nil, err
	}
	newest := auditlog.RepairCheckpointKey(t.Organization)
	for key, note := range stored {
		last, _, err := seal.Verifier{}.OpenCheckpoint(note)
		ours := err == nil && last.Began.Time.Equal(cursor.Seal.BeganAt.Time())
		switch {
		case ours && key == newest:
			s.began = last.Began
			s.tree, err = last.Tree()
		case ours && stored[newest] == nil:
			err = errors.New("the newest one is gone, and this one is of the same tree")
		case err != nil && key != newest && stored[newest] != nil:
			err = nil // removed below, if the tree begins again
		case err != nil && key != newest:
			err = fmt.Errorf("the newest one is gone, and this one may be of the same tree: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("the checkpoints of earlier repairs cannot be read, and to begin with another one would hide what happened to them: "+
				"look at `verify --sealed`, or remove the key %s: %w", key, err)
		}
	}
	if s.tree != nil {
		return s, nil
	}
	for key := range stored {
		s.earlier = append(s.earlier, txlog.Change{Key: key})
	}
	s.tree = seal.NewTree()
	s.began.Time = cursor.Seal.BeganAt.Time()
	s.began.Offsets, err = t.Topics.SealedEnds(ctx, t.Connection)
	return s, err
}

// header is the header of a record's number; empty where nothing is sealed.
func (s *repairSeal) header() string {
	if s == nil {
		return ""
	}
	return seal.RepairHeader
}

// seal numbers the records, and returns what writes the checkpoint with them. A crash
// before they are committed leaves the checkpoint of the transaction before.
func (s *repairSeal) seal(records []kafka.Message, now time.Time) ([]kafka.Message, []txlog.Change, error) {
	if s == nil || len(records) == 0 {
		return records, nil, nil
	}
	if err := s.Number(records, s.tree); err != nil {
		return nil, nil, err
	}
	newest := auditlog.RepairCheckpointKey(s.organization)
	note, published, err := s.Note(seal.NewCheckpoint(seal.RepairOrigin(s.organization), s.tree, now, s.began), newest)
	if err != nil {
		return nil, nil, err
	}
	day := auditlog.DayCheckpointKey(newest, auditlog.SecondOf(now))
	// If this comes to nothing, so does the repair, and the next one removes them.
	changes := slices.Concat(s.earlier, []txlog.Change{{Key: day, Value: note}, {Key: newest, Value: note}})
	s.earlier = nil
	return append(records, published...), changes, nil
}
