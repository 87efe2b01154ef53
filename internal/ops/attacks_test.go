package ops_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// topics is what the topics of a sealed organization hold. An attack changes it.
type topics struct{ events, state []*kgo.Record }

func (s topics) clone() topics {
	return topics{cloneRecords(s.events), cloneRecords(s.state)}
}

func cloneRecords(all []*kgo.Record) []*kgo.Record {
	out := make([]*kgo.Record, len(all))
	for i, r := range all {
		out[i] = &kgo.Record{
			Topic: r.Topic, Partition: r.Partition, Timestamp: r.Timestamp,
			Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Headers: slices.Clone(r.Headers),
		}
	}
	return out
}

// sealedWorld is an organization that was sealed, as it was before its last hundred
// events and as it is.
type sealedWorld struct {
	*world
	knows       seal.Verifier
	older, held topics
	partitions  int32 // of the offsets topic
}

const (
	sealedOlder = 200 // records of the older state
	sealedAll   = 300
)

func newSealedWorld(t *testing.T, c *kafkatest.Cluster) *sealedWorld {
	private, public, err := seal.Keygen("acme")
	if err != nil {
		t.Fatal(err)
	}
	s := &sealedWorld{}
	if s.knows, err = seal.ParseVerifier(public); err != nil {
		t.Fatal(err)
	}
	s.world = newRead(t, c, sealedOlder, func(w *world) { w.connector.SealKey = connector.SecretValue(private) })
	s.older = s.now()
	for i := range sealedAll - sealedOlder {
		s.add(fmt.Sprintf("later-%03d", i), 10*time.Second)
	}
	s.runUntilEqual(start)
	s.held = s.now()
	found, err := s.kafka().admin().ListTopics(t.Context(), s.ops.Topics.Offsets)
	if err != nil {
		t.Fatal(err)
	}
	s.partitions = int32(len(found[s.ops.Topics.Offsets].Partitions))
	return s
}

func (s *sealedWorld) now() topics {
	return topics{
		s.cluster.Read(s.t, s.ops.Topics.Events, kgo.ReadCommitted()),
		s.cluster.Read(s.t, s.ops.Topics.Offsets, kgo.ReadCommitted()),
	}
}

// made returns the settings of topics that were made by somebody with all rights.
func (s *sealedWorld) made(t *testing.T, held topics) ops.Config {
	cfg := s.ops
	cfg.Topics.Events, cfg.Topics.Offsets, cfg.Topics.DLQ = s.cluster.Name("copied"), s.cluster.Name("copied"), s.cluster.Name("copied")
	s.cluster.CreateTopic(cfg.Topics.Events, 1, map[string]string{"retention.ms": "-1"})
	s.cluster.CreateTopic(cfg.Topics.DLQ, 1, map[string]string{"retention.ms": "-1"})
	s.cluster.CreateTopic(cfg.Topics.Offsets, s.partitions, nil)
	client := s.cluster.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	held = held.clone()
	for _, r := range held.events {
		r.Topic = cfg.Topics.Events
	}
	for _, r := range held.state {
		r.Topic = cfg.Topics.Offsets
	}
	if err := client.ProduceSync(t.Context(), append(held.events, held.state...)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// kept is the newest checkpoint of the state, which an auditor has.
func kept(t *testing.T, s topics) []seal.Statement {
	key := auditlog.CheckpointKey("default")
	for _, r := range slices.Backward(s.state) {
		if string(r.Key) == key {
			checkpoint, signature, err := seal.Verifier{}.OpenCheckpoint(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			return []seal.Statement{{Checkpoint: checkpoint, Where: "kept.checkpoint", Note: r.Value, Signature: signature, Kept: true}}
		}
	}
	t.Fatal("there is no checkpoint")
	return nil
}

// forged makes all checkpoints again, with the root that the events have, signed with a
// key or not.
func forged(t *testing.T, s topics, key string) topics {
	signer, err := seal.ParseSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.state {
		if !strings.HasPrefix(string(r.Key), auditlog.CheckpointPrefix) || len(r.Value) == 0 {
			continue
		}
		was, _, err := seal.Verifier{}.OpenCheckpoint(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		tree, hasher := seal.NewTree(), seal.Hasher{}
		for _, e := range s.events[:was.Size] {
			tree.Append(hasher.Hash(seal.Leaf{Role: seal.RoleEvents, Key: e.Key, Value: e.Value}))
		}
		c := seal.NewCheckpoint(was.Origin, tree, was.Time, was.Began)
		c.Floor, c.Scopes = was.Floor, was.Scopes
		if r.Value, err = signer.Sign(c.Text()); err != nil {
			t.Fatal(err)
		}
	}
	// The cursor knows the size and the edge too.
	s.state = slices.DeleteFunc(s.state, func(r *kgo.Record) bool { return string(r.Key) == auditlog.CursorKey("default") })
	return s
}

// spoil changes one byte of a record's value.
func spoil(r *kgo.Record) { r.Value[len(r.Value)/2] ^= 1 }

// attack is what somebody does who may do everything in Kafka, and what the report says.
type attack struct {
	does   string
	change func(t *testing.T, s *sealedWorld, held topics) topics
	// kept says that the auditor has a checkpoint of his own; keyless, that he has not the
	// public key.
	kept, keyless bool
	found         map[seal.Kind]string // for each kind, what the report names
}

func attacks() []attack {
	other := func() string { private, _, _ := seal.Keygen("somebody"); return private }
	return []attack{
		{does: "nothing: a faithful copy", change: func(_ *testing.T, _ *sealedWorld, h topics) topics { return h }},
		{does: "a record left out of a compacted copy", found: map[seal.Kind]string{seal.Missing: "record 20"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics {
				h.events = slices.Delete(h.events, 20, 21)
				return h
			}},
		{does: "a record changed", found: map[seal.Kind]string{seal.Changed: "record"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics { spoil(h.events[20]); return h }},
		{does: "a record inserted, with the key of another", found: map[seal.Kind]string{seal.Inserted: "offset 300"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics {
				r := cloneRecords(h.events[20:21])[0]
				r.Headers = slices.DeleteFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == seal.Header })
				h.events = append(h.events, r)
				return h
			}},
		{does: "a record inserted again, number and all", found: map[seal.Kind]string{seal.Doubled: "record 20"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics {
				h.events = append(h.events, cloneRecords(h.events[20:21])...)
				return h
			}},
		{does: "two records swapped", found: map[seal.Kind]string{seal.OutOfSequence: "record"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics {
				h.events[20], h.events[21] = h.events[21], h.events[20]
				return h
			}},
		{does: "the last hundred records cut", found: map[seal.Kind]string{seal.Cut: "records 200 to 299"},
			change: func(_ *testing.T, _ *sealedWorld, h topics) topics { h.events = h.events[:sealedOlder]; return h }},
		{does: "the events topic replaced by an older copy", found: map[seal.Kind]string{seal.Cut: "records 200 to 299"},
			change: func(_ *testing.T, s *sealedWorld, h topics) topics { h.events = s.older.events; return h }},
		{does: "all topics set back to an older copy; a checkpoint was kept", kept: true, found: map[seal.Kind]string{seal.Cut: "records 200 to 299"},
			change: func(_ *testing.T, s *sealedWorld, _ topics) topics { return s.older.clone() }},
		{does: "the offsets topic set back", found: map[seal.Kind]string{seal.Inserted: "records 200 to 299"},
			change: func(_ *testing.T, s *sealedWorld, h topics) topics { h.state = s.older.clone().state; return h }},
		{does: "a record changed, all checkpoints made again with another key", found: map[seal.Kind]string{seal.BadSignature: "by a key that was given"},
			change: func(t *testing.T, _ *sealedWorld, h topics) topics { spoil(h.events[20]); return forged(t, h, other()) }},
		{does: "a record changed, all checkpoints made again without a key", found: map[seal.Kind]string{seal.NotSigned: "signature"},
			change: func(t *testing.T, _ *sealedWorld, h topics) topics { spoil(h.events[20]); return forged(t, h, "") }},
		{does: "the same, before an auditor without the public key who kept a checkpoint", kept: true, keyless: true, found: map[seal.Kind]string{seal.Forked: "kept.checkpoint"},
			change: func(t *testing.T, _ *sealedWorld, h topics) topics { spoil(h.events[20]); return forged(t, h, "") }},
	}
}

// What somebody changes who may write to Kafka is found. Each attack is made on topics of a
// real broker.
func TestAttacksOnTheSeal(t *testing.T) {
	s := newSealedWorld(t, kafkatest.Real(t))
	for _, a := range attacks() {
		t.Run(a.does, func(t *testing.T) {
			opts := ops.SealedOptions{Verifier: s.knows}
			if a.keyless {
				opts.Verifier = seal.Verifier{}
			}
			if a.kept {
				opts.Since = kept(t, s.held)
			}
			wantFound(t, s.made(t, a.change(t, s, s.held.clone())), opts, a.found)
		})
	}
	t.Run("records deleted by kafka-delete-records.sh", func(t *testing.T) {
		cfg := s.made(t, s.held)
		before := kadm.Offsets{}
		before.Add(kadm.Offset{Topic: cfg.Topics.Events, Partition: 0, At: 50})
		if _, err := s.kafka().admin().DeleteRecords(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		wantFound(t, cfg, ops.SealedOptions{Verifier: s.knows}, map[seal.Kind]string{seal.Missing: "records 0 to 49"})
	})
}

// Who has no key can write records behind the newest checkpoint, and a cursor that counts
// them. To an auditor with the public key they are what they are: not proven.
func TestForgedBehindTheCheckpoint(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		s := newSealedWorld(t, c)
		held := s.held.clone()
		tree, hasher := seal.NewTree(), seal.Hasher{}
		for n := range 10 {
			r := cloneRecords(held.events[20:21])[0]
			r.Key = fmt.Appendf(nil, "forged-%d", n)
			for i, h := range r.Headers {
				if h.Key == seal.Header {
					r.Headers[i].Value = fmt.Append(nil, sealedAll+n)
				}
			}
			held.events = append(held.events, r)
		}
		for _, r := range held.events {
			tree.Append(hasher.Hash(seal.Leaf{Role: seal.RoleEvents, Key: r.Key, Value: r.Value}))
		}
		for _, r := range held.state {
			if string(r.Key) != auditlog.CursorKey("default") {
				continue
			}
			cursor, err := auditlog.DecodeCursor(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if cursor.Seal.Size == sealedAll {
				cursor.Seal.Size, cursor.Seal.Range = tree.Size(), tree.Edge()
			}
			if r.Value, err = cursor.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ops.Sealed(t.Context(), s.made(t, held), ops.SealedOptions{Verifier: s.knows})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := r.Print(&text); err != nil {
			t.Fatal(err)
		}
		if len(r.Trees) != 1 || r.Trees[0].Size != sealedAll || r.Trees[0].Unproven != 10 || !strings.Contains(text.String(), "the last 10 are in no checkpoint yet") {
			t.Errorf("%+v, findings %v\n%s", r.Trees, r.Findings, &text)
		}
	})
}

func wantFound(t *testing.T, cfg ops.Config, opts ops.SealedOptions, want map[seal.Kind]string) {
	t.Helper()
	r, err := ops.Sealed(context.WithoutCancel(t.Context()), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	found := map[seal.Kind]string{}
	for _, f := range r.Findings {
		found[f.Kind] += f.String() + "\n"
	}
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	for kind, words := range want {
		if !strings.Contains(found[kind], words) {
			t.Errorf("%s: %s\nwant %q in it", kind, found[kind], words)
		}
	}
	if r.OK() != (len(want) == 0) {
		t.Errorf("OK says %v", r.OK())
	}
}
