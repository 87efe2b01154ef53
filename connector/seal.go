package connector

import (
	"context"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// seal tells the ledger how to seal, and begins or ends the seal where the settings and
// the cursor differ. It comes after the fence: no other instance writes for the
// organization, so what is in the topics comes before what is sealed.
func (o *opening) seal(ctx context.Context, state *window.State, records map[string][]byte) error {
	s := o.session
	checkpoints := map[string]bool{}
	for key := range records {
		if repair, _, ok := auditlog.CheckpointOf(s.name, key); ok && !repair {
			checkpoints[key] = true
		}
	}
	s.ledger.Seal(o.sealing, checkpoints)
	switch was := state.Cursor.Seal; {
	case !s.cfg.Kafka.Seal:
		if was != nil {
			s.log.Warn("the seal ends here, since KAFKA_SEAL=off: what was sealed cannot be checked any more", "records", was.Size)
		}
		state.Cursor.Seal = nil
		return nil
	case was != nil && was.Of(s.topics.Sealed()):
		if _, err := seal.ResumeTree(was.Size, was.Range); err != nil {
			return refuse("run it once with KAFKA_SEAL=off, which removes the seal, and then without: a new one begins; somebody changed this one",
				"the seal in the cursor of %s cannot be read: %w", s.name, err)
		}
		return nil
	}
	var err error
	state.Cursor.Seal, err = o.beginSeal(ctx)
	return err
}

// beginSeal returns the seal of a tree without leaves, that begins at the ends of the
// topics. A crash before it is committed leaves none, and the next start begins it.
func (o *opening) beginSeal(ctx context.Context) (*auditlog.Seal, error) {
	s := o.session
	ends, err := s.target.Topics.SealedEnds(ctx, s.target.Connection)
	if err != nil {
		return nil, err
	}
	s.log.Info("the seal begins: what is written from now on is sealed, and nothing before",
		"events_from", ends[target.Events], "dlq_from", ends[target.DLQ])
	return &auditlog.Seal{BeganAt: auditlog.SecondOf(s.now()), Began: ends, Topics: s.topics.Sealed()}, nil
}

// sealHeader is the header of the numbers of the seal; empty where nothing is sealed.
func (o *organization) sealHeader() string {
	if o.cfg.Kafka.Seal {
		return seal.Header
	}
	return ""
}
