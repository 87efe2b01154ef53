package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Sealing says how what is written is sealed.
type Sealing struct {
	// Roles are the roles of the topics whose records are leaves, by topic.
	Roles  map[string]string
	Signer seal.Signer
	// Retention is how long these topics keep records, and so how long the last
	// checkpoint of a day is of use; zero: for ever.
	Retention time.Duration
	// Publish is a message that gets each checkpoint as its value; without a topic,
	// none does.
	Publish kafka.Message
}

// leaves are the roles of the topics whose records are leaves.
var leaves = map[string]string{Events: seal.RoleEvents, DLQ: seal.RoleDLQ}

// Sealing returns how what is written to the topics is sealed.
func (t Target) Sealing(found Found) (Sealing, error) {
	signer, err := signerOf(t.SealKey)
	if err != nil {
		return Sealing{}, err
	}
	s := Sealing{Roles: map[string]string{}, Signer: signer}
	for role, leaf := range leaves {
		s.Roles[t.Topics.Of(role)] = leaf
	}
	if events := found[Events]; events.Known {
		if kept, ok := kafka.Milliseconds(events.RetentionMs); ok {
			s.Retention = kept
		}
	}
	if t.Topics.Seal != "" {
		// So that Owns knows whose it is.
		source := kafka.Header{Key: codec.HeaderSource, Value: []byte(codec.Source(t.Organization))}
		s.Publish = kafka.Message{Topic: t.Topics.Seal, Headers: kafka.FixedHeaders(source)}
	}
	return s, nil
}

func signerOf(key func() (string, error)) (signer seal.Signer, err error) {
	if key == nil {
		return signer, nil
	}
	text, err := key()
	if err == nil {
		signer, err = seal.ParseSigner(text)
	}
	if err != nil {
		return signer, fmt.Errorf("reading the key of the seal: %w: check SEAL_KEY, or the file named by SEAL_KEY_FILE: the private key that `seal keygen` prints", err)
	}
	return signer, nil
}

// Number gives the records that are leaves their numbers, and appends them to the tree. The
// encoder has made the place for the number among the headers, and the hash.
func (s Sealing) Number(records []kafka.Message, tree *seal.Tree) error {
	for i := range records {
		r := &records[i]
		if _, isLeaf := s.Roles[r.Topic]; !isLeaf {
			continue
		}
		if !r.Headers.Numbered() || r.Leaf == [seal.Size]byte{} {
			return errors.New("a record has no place for its number in the seal: this is a fault of this program, report it; KAFKA_SEAL=off goes on without a seal")
		}
		r.Headers.SetNumber(tree.Size())
		tree.Append(r.Leaf)
	}
	return nil
}

// Note signs a checkpoint. It returns the note, and the records that publish it under
// the key.
func (s Sealing) Note(c seal.Checkpoint, key string) (note []byte, published []kafka.Message, err error) {
	if note, err = s.Signer.Sign(c.Text()); err != nil {
		return nil, nil, fmt.Errorf("signing a checkpoint: %w; look at SEAL_KEY", err)
	}
	if s.Publish.Topic == "" {
		return note, nil, nil
	}
	m := s.Publish
	m.Key, m.Value = []byte(key), note
	return note, []kafka.Message{m}, nil
}

// SealedEnds returns where the topics end whose records are leaves: the offset of each
// partition, by role. What is sealed from now on begins there.
func (t Topics) SealedEnds(ctx context.Context, conn kafka.Connection) (map[string][]int64, error) {
	ends := map[string][]int64{}
	for role := range leaves {
		offsets, err := kafka.TopicOffsets(ctx, conn, t.Of(role))
		if err != nil {
			return nil, fmt.Errorf("looking where the seal begins: %w: %s", err, kafka.Explain(err))
		}
		for _, o := range offsets {
			ends[role] = append(ends[role], o.End)
		}
	}
	return ends, nil
}

// Sealed returns those of the topics whose records are leaves, as a seal remembers them.
func (f Found) Sealed() map[string]auditlog.Topic {
	refs := f.Refs()
	for role := range refs {
		if leaves[role] == "" {
			delete(refs, role)
		}
	}
	return refs
}

// RepairPartition is where in the offsets topic, which has so many partitions, the
// checkpoints of repairs are: in another partition than the state, if there are two.
//
// A repair may be killed with its transaction open, and the broker ends that a minute
// later. Until then no reader gets on in a partition that it wrote to, and the
// connector reads all of the state's partition when it starts.
func (t Target) RepairPartition(partitions int32) int32 {
	own := t.Partition(partitions)
	if partitions < 2 {
		return own
	}
	p := txlog.Partition(t.Organization+"/repair", partitions-1)
	if p >= own {
		p++
	}
	return p
}
