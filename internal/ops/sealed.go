package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
)

// SealedOptions say what a sealed topic is compared with besides its own checkpoints.
type SealedOptions struct {
	// Verifier has the public keys; without one, signatures are not looked at.
	Verifier seal.Verifier
	// Since are checkpoints that the auditor kept.
	Since []seal.Statement
	// Prove is the id of an event that is to be proven; empty: none.
	Prove string
}

// Sealed compares the records of the topics with their checkpoints. It needs no admin key,
// writes nothing, and reads topics only: it says whether what was committed is still
// there, as it was and in its order, and nothing of what the API lists.
//
// The checkpoints are read first, then the records, then how many the cursor counts:
// what is written meanwhile comes between the two.
func Sealed(ctx context.Context, c Config, opts SealedOptions) (*SealedReport, error) {
	s, err := newSealing(ctx, c, opts)
	if err != nil {
		return nil, err
	}
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	after, err := peekSeal(ctx, c.Target, true)
	if err != nil {
		return nil, err
	}
	for i, t := range []*sealedTree{&s.trees[0], &s.trees[1]} {
		t.known = after.size(c.Organization, i == 1, s.began.Time)
		t.verdict = t.check.Verdict(s.retention, t.known)
	}
	return s.report(ctx)
}

// sealing is one check of a sealed topic.
type sealing struct {
	cfg       Config
	opts      SealedOptions
	trees     [2]sealedTree // of the connector, and of repairs
	began     seal.Began    // what comes before is of no seal, or of an earlier one
	extents   []extent      // of the topics with leaves
	retention seal.Retention
	decoder   *codec.Decoder
	hasher    seal.Hasher
	proven    *sealedRecord // the record to prove
}

type sealedTree struct {
	header     string
	statements []seal.Statement
	check      *seal.Check
	known      uint64 // how many leaves are counted now, by their writer
	verdict    *seal.Verdict
}

// sealedRecord is a record with its number.
type sealedRecord struct {
	tree   int
	number string
	leaf   seal.Leaf
}

func newSealing(ctx context.Context, c Config, opts SealedOptions) (*sealing, error) {
	found, err := peekSeal(ctx, c.Target, false)
	if err != nil {
		return nil, err
	}
	s := &sealing{cfg: c, opts: opts}
	if s.decoder, err = c.Decoder(remembering); err != nil {
		return nil, err
	}
	s.trees[0] = sealedTree{header: seal.Header, statements: found.statements(c, opts, false)}
	if len(s.trees[0].statements) == 0 {
		return nil, fmt.Errorf("%s has no checkpoint of %s: its topics are not sealed, or somebody removed all checkpoints; with KAFKA_SEAL=on the connector seals what it writes from then on", c.Topics.Offsets, c.Organization)
	}
	s.trees[0].check = seal.NewCheck(s.trees[0].statements, opts.Verifier.Verifies())
	s.began = s.trees[0].check.Began()
	ofRepairs := slices.DeleteFunc(found.statements(c, opts, true), func(st seal.Statement) bool {
		// The next repair removes those of an earlier seal. What says so of itself, and is not
		// signed as it should be, stays, and is reported.
		earlier := !st.Began.Time.IsZero() && st.Began.Time.Before(s.began.Time)
		return earlier && !st.Kept && (st.Signature == seal.WellSigned || !opts.Verifier.Verifies())
	})
	s.trees[1] = sealedTree{header: seal.RepairHeader, statements: ofRepairs, check: seal.NewCheck(ofRepairs, opts.Verifier.Verifies())}
	return s, nil
}

// storedSeal is what the offsets topic says of the seal.
type storedSeal struct {
	cursor *auditlog.Cursor
	notes  map[string][]byte // by key
}

// peekSeal reads what is said of the seal: by the connector beside its cursor, and by
// repairs in their own partition. It fences no instance. settled waits for what is being
// written at this moment: the markers of a transaction come to each partition by itself, so
// its records may be seen before its cursor.
func peekSeal(ctx context.Context, t target.Target, settled bool) (storedSeal, error) {
	partition, topic, err := place(ctx, t)
	if err != nil {
		return storedSeal{}, err
	}
	out := storedSeal{notes: map[string][]byte{}}
	partitions := []int32{partition, t.RepairPartition(int32(len(topic.offsets)))}
	for _, p := range slices.Compact(partitions) {
		reader, err := kafka.NewReader(ctx, t.Connection, t.Topics.Offsets, p, kafka.LogStart)
		if err != nil {
			return out, err
		}
		end := topic.offsets[p].Stable
		if settled {
			end = topic.offsets[p].End
		}
		err = readPiece(ctx, reader, end, func(r *kafka.Record) error {
			out.take(t.Organization, r)
			return nil
		})
		reader.Close()
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *storedSeal) take(organization string, r *kafka.Record) {
	key := string(r.Key)
	switch _, _, isCheckpoint := auditlog.CheckpointOf(organization, key); {
	case isCheckpoint && r.Value == nil:
		delete(s.notes, key)
	case isCheckpoint:
		s.notes[key] = r.Value
	case key == auditlog.CursorKey(organization):
		s.cursor = nil
		if cursor, err := auditlog.DecodeCursor(r.Value); err == nil {
			s.cursor = &cursor
		}
	}
}

// size returns how many leaves are counted. began is when the seal began: repairs may have
// left checkpoints of an earlier one, with more leaves, and those would excuse what somebody
// put in below that number.
func (s storedSeal) size(organization string, repair bool, began time.Time) (n uint64) {
	if !repair && s.cursor != nil && s.cursor.Seal != nil {
		n = s.cursor.Seal.Size
	}
	for key, note := range s.notes {
		if isRepair, _, _ := auditlog.CheckpointOf(organization, key); isRepair != repair {
			continue
		}
		if c, _, err := (seal.Verifier{}).OpenCheckpoint(note); err == nil && (!repair || !c.Began.Time.Before(began)) {
			n = max(n, c.Size)
		}
	}
	return n
}

// statements returns what is said of one of the trees. The cursor is newer than the newest
// checkpoint by up to a minute, and is not signed: where there are keys, it proves nothing.
func (s storedSeal) statements(c Config, opts SealedOptions, repair bool) (all []seal.Statement) {
	origin := seal.Origin(c.Organization)
	if repair {
		origin = seal.RepairOrigin(c.Organization)
	}
	for key, note := range s.notes {
		isRepair, _, _ := auditlog.CheckpointOf(c.Organization, key)
		if isRepair != repair {
			continue
		}
		checkpoint, signature, err := opts.Verifier.OpenCheckpoint(note)
		if err == nil && checkpoint.Origin != origin {
			err = fmt.Errorf("it is one of %s", checkpoint.Origin)
		}
		if err != nil { // reported as one that contradicts itself
			checkpoint, signature = seal.Checkpoint{Size: 1, Origin: origin}, seal.Unchecked
			c.Logger.Warn("a checkpoint cannot be read", "key", key, "error", err)
		}
		all = append(all, seal.Statement{Checkpoint: checkpoint, Where: key, Note: note, Signature: signature})
	}
	for _, kept := range opts.Since {
		if kept.Origin == origin {
			all = append(all, kept)
		}
	}
	if state := s.cursor; !repair && !opts.Verifier.Verifies() && state != nil && state.Seal != nil {
		if checkpoint, err := cursorCheckpoint(*state); err == nil {
			all = append(all, seal.Statement{Checkpoint: checkpoint, Where: auditlog.CursorKey(c.Organization)})
		}
	}
	return all
}

// cursorCheckpoint returns what a cursor says of the tree.
func cursorCheckpoint(c auditlog.Cursor) (seal.Checkpoint, error) {
	tree, err := seal.ResumeTree(c.Seal.Size, c.Seal.Range)
	if err != nil {
		return seal.Checkpoint{}, err
	}
	return ledger.Checkpoint(c, tree), nil
}

// leafRoles are the roles of leaves, which are those of their topics.
var leafRoles = []string{seal.RoleEvents, seal.RoleDLQ}

// read passes the records of the topics with leaves to the checks.
func (s *sealing) read(ctx context.Context) error {
	topics, err := s.cfg.Describe(ctx, target.Events, target.DLQ)
	if err != nil {
		return err
	}
	s.retention = s.retained(topics)
	for _, role := range leafRoles {
		e, err := extentOf(ctx, s.cfg.Connection, s.cfg.Topics.Of(role))
		if err != nil {
			return err
		}
		s.extents = append(s.extents, e)
	}
	for i, role := range leafRoles {
		for p, o := range s.extents[i].offsets {
			for t := range s.trees {
				s.trees[t].check.Partition(role, int32(p), o.Start)
			}
		}
		err := read(ctx, s.cfg, s.extents[i], func(record *kafka.Record) error {
			ours, err := s.ours(ctx, record, role)
			if ours {
				s.add(record, role)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ours reports whether the record is the organization's: by its header, or, where
// somebody left that out, by its value.
func (s *sealing) ours(ctx context.Context, r *kafka.Record, role string) (bool, error) {
	if _, ok := kafka.HeaderOf(r, codec.HeaderSource); ok || role != seal.RoleEvents {
		return s.cfg.Owns(r), nil
	}
	record, err := s.decoder.Decode(ctx, r.Value)
	if _, registry := errors.AsType[*codec.RegistryError](err); registry || ctx.Err() != nil {
		return false, err
	}
	return err == nil && record.Organization == s.cfg.Organization, nil
}

func (s *sealing) add(r *kafka.Record, role string) {
	tree := 0
	number, numbered := kafka.HeaderOf(r, seal.Header)
	if !numbered {
		if n, ok := kafka.HeaderOf(r, seal.RepairHeader); ok {
			tree, number, numbered = 1, n, true
		}
	}
	leaf := seal.Leaf{Role: role, Key: r.Key, Value: r.Value}
	place := seal.Place{Role: role, Partition: r.Partition, Offset: r.Offset}
	if place.Offset < s.began.Offset(role, place.Partition) {
		return
	}
	s.trees[tree].check.Add(place, number, numbered, s.hasher.Hash(leaf))
	if s.opts.Prove != "" && numbered && string(r.Key) == s.opts.Prove && s.proven == nil {
		s.proven = &sealedRecord{tree: tree, number: number, leaf: leaf}
	}
}

// retained says what retention may have deleted. By time it can be known only where the
// time of a record is that of its writing.
func (s *sealing) retained(topics target.Found) seal.Retention {
	since := int64(0)
	for _, t := range topics {
		keeps, some := kafka.Milliseconds(t.RetentionMs)
		switch {
		case !t.Known, t.RetentionBytes > 0, t.RetentionMs == 0, some && s.cfg.EventTime && t.TimestampType != "LogAppendTime":
			return seal.Retention{Any: true}
		case some:
			since = max(since, s.cfg.Clock().Add(writtenLate-keeps).Unix())
		}
	}
	return seal.Retention{Since: since}
}
