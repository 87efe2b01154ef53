package connector

import (
	"context"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// verifiedEvery is how often a session looks whether somebody recorded a result of
// `verify`. A look is one request; only where the partition has grown is it read.
const verifiedEvery = time.Minute

// watchVerified tells the last recorded result of `verify`: the one that the start read,
// and then what others record while the session works. Nothing depends on it, so no
// error of it ends the session.
func (s *session) watchVerified(ctx context.Context) error {
	at, where := s.kafkaLog.ReadTo(), kafka.Partition{Topic: s.target.Topics.Offsets, Partition: s.partition}
	for {
		if err := wait(ctx, verifiedEvery); err != nil {
			return err
		}
		ends, err := kafka.Ends(ctx, s.looks, []kafka.Partition{where}, true)
		if err == nil && ends[where] > at {
			at, err = s.readVerified(ctx, at)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug("looking for recorded results of `verify`", "error", err)
		}
	}
}

// readVerified reads on from an offset, tells the last result, and returns from where to
// go on.
func (s *session) readVerified(ctx context.Context, at int64) (next int64, err error) {
	f, err := s.target.Follow(ctx, s.partition, at)
	if err != nil {
		return at, err
	}
	defer f.Close() // open, it would ask the broker for more all the time
	ctx, cancel := context.WithTimeout(ctx, verifiedEvery)
	defer cancel()
	records, err := f.Look(ctx)
	if err != nil {
		return at, err
	}
	s.tellVerified(records)
	return f.Position(), nil
}

// tellVerified tells the result that is among records of the state, if one is.
func (o *organization) tellVerified(records map[string][]byte) {
	value, ok := records[auditlog.VerifiedKey(o.name)]
	if !ok {
		return
	}
	v, err := auditlog.DecodeVerified(value)
	if err != nil {
		o.log.Debug("nothing depends on it", "error", err)
		return
	}
	o.tellVerification(v)
}

func (o *organization) tellVerification(v auditlog.Verified) {
	// One that left to write what is missing is not done: it is tried again.
	left := o.cfg.VerifyRepair && v.Counts["missing"] > 0
	if v.By == byConnector && !left {
		o.verifiedAt.Store(int64(v.At))
	}
	o.telemetry.Verified(o.name, Verification{
		From: v.From.Time(), To: v.To.Time(), At: v.At.Time(), By: v.By, Host: v.Host, Counts: v.Counts, Faults: v.Faults(),
		Late: time.Duration(v.LateSeconds) * time.Second,
	})
}
