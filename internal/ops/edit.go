package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Edit is a change of the cursor by hand. To make one only reads; Apply does
// it, by the same rules, on the state as it is then.
type Edit struct {
	// Does says in sentences what it does, and what follows from it.
	Does []string
	// Unknown says that there is no state of the organization.
	Unknown bool

	cfg       Config
	partition int32
	change    change
	elsewhere []int32 // other partitions, whose records of the organization go
	// emitsAgain says that the next run writes everything again.
	emitsAgain bool
}

// change says what a state becomes, and what that means. It is asked twice: about
// the state as it is seen, and as it is once no other writer is left.
type change func(records map[string][]byte, now auditlog.Second) (does []string, changes []txlog.Change, err error)

// stopGrace is how long a transaction may still take when the command is stopped.
const stopGrace = 4 * time.Second

// newEdit tries the change on the state as it can be seen.
func newEdit(ctx context.Context, c Config, change change) (*Edit, error) {
	found, err := peek(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	does, _, err := change(found.records, auditlog.SecondOf(c.Clock()))
	if err != nil {
		return nil, err
	}
	return &Edit{Does: does, Unknown: len(found.records) == 0, cfg: c, partition: found.partition, change: change}, nil
}

// Apply does what the edit says. It fences a running connector first: that one
// stops, and goes on from the new cursor when it is started again. An error that
// wraps ErrFenced says that somebody started one meanwhile, and nothing was done.
func (e *Edit) Apply(ctx context.Context) error {
	if err := e.apply(ctx, e.partition, e.change); err != nil {
		return err
	}
	// If we crash before these, the next run refuses the cursor that is left
	// elsewhere, and the same command goes on here.
	for _, partition := range e.elsewhere {
		if err := e.apply(ctx, partition, removed); err != nil {
			return err
		}
	}
	if e.emitsAgain {
		return endRepair(ctx, e.cfg.Target)
	}
	return nil
}

// endRepair fences a repair that is under way. It works by the cursor that it read
// before, so that it would write what the next run writes as well. One that is started
// after this reads the new cursor. A user without the right to
// write for repairs need not end them.
func endRepair(ctx context.Context, t target.Target) error {
	log, err := openWriter(ctx, t, t.RepairID())
	if err == nil {
		log.Close()
		return nil
	}
	if kafka.Classify(err) == kafka.ClassAuthorization {
		t.Logger.Warn("a `verify --repair` that is under way could not be stopped, since this user may not use its transactional id: stop it before the next run", "error", err)
		return nil
	}
	return fmt.Errorf("it is done, but a `verify --repair` that is under way could not be stopped: stop it, or give the command again: %w", err)
}

func (e *Edit) apply(ctx context.Context, partition int32, change change) error {
	c := e.cfg
	log, records, err := c.Open(ctx, target.Opening{ID: c.ID(), Partition: partition, StopGrace: stopGrace})
	if err != nil {
		return again(err)
	}
	defer log.Close()
	_, changes, err := change(records, auditlog.SecondOf(c.Clock()))
	if err != nil {
		return err
	}
	if err := log.Commit(ctx, nil, changes); err != nil {
		return again(err)
	}
	return again(log.Settle(ctx))
}

// openWriter opens the organization's log as one of its writers does, and so ends what
// hangs of that one.
func openWriter(ctx context.Context, t target.Target, id string) (*txlog.Log, error) {
	partition, offsets, err := place(ctx, t)
	if err != nil {
		return nil, err
	}
	log, _, err := t.Open(ctx, target.Opening{ID: id, Partition: partition, ChangesTo: changesTo(t, id, offsets), StopGrace: stopGrace})
	return log, err
}

// changesTo is where in the offsets topic the writer puts its changes; nil: where the
// state is.
func changesTo(t target.Target, id string, offsets extent) *int32 {
	if id != t.RepairID() {
		return nil
	}
	partition := t.RepairPartition(int32(len(offsets.offsets)))
	return &partition
}

// again says what an error means for a command, which is not tried again by itself.
func again(err error) error {
	switch {
	case errors.Is(err, txlog.ErrFenced):
		return fmt.Errorf("an instance was started meanwhile (a supervisor's restart, perhaps): stop it, and give the command again: %w", err)
	case errors.Is(err, txlog.ErrUnconfirmed):
		return fmt.Errorf("it is not known whether it was done: look with `cursor show`, and give the command again: %w", err)
	}
	return err
}

// removed removes all that is there.
func removed(records map[string][]byte, _ auditlog.Second) (does []string, changes []txlog.Change, err error) {
	for key := range records {
		changes = append(changes, txlog.Change{Key: key})
	}
	return nil, changes, nil
}

// cursorChange is the change that writes the cursor.
func cursorChange(c auditlog.Cursor) (txlog.Change, error) {
	if err := c.Validate(); err != nil {
		return txlog.Change{}, fmt.Errorf("the new cursor would not be one, and nothing was done: report this, it is a fault of this program: %w", err)
	}
	value, err := c.Encode()
	return txlog.Change{Key: auditlog.CursorKey(c.Organization), Value: value}, err
}
