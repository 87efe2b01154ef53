package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"math"

	"github.com/transparency-dev/merkle/rfc6962"
)

// Size is how many bytes a hash has.
const Size = 32

// Hash is the hash of a leaf or of a tree.
type Hash [Size]byte

// The roles of the topics whose records are leaves.
const (
	RoleEvents = "events"
	RoleDLQ    = "dlq"
)

// The headers that carry a leaf's number: in the tree of the connector, and in that
// of repairs. They are two, so that each is one sequence without a gap.
const (
	Header       = "audit_seq"
	RepairHeader = "audit_repair_seq"
)

// Leaf is a record as it lies on its topic. Key is nil where the record has none.
type Leaf struct {
	Role       string
	Key, Value []byte
}

// AppendTo appends the leaf's bytes: role, key and value, each after its length as
// four bytes, the highest first. A field that is null has the length FFFFFFFF.
//
// Without the lengths a byte could move from the key to the value unseen.
func (l Leaf) AppendTo(b []byte) []byte { return append(l.appendHead(b), l.Value...) }

// appendHead is AppendTo up to the length of the value.
func (l Leaf) appendHead(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Role)))
	b = append(b, l.Role...)
	b = append(appendLength(b, l.Key), l.Key...)
	return appendLength(b, l.Value)
}

func appendLength(b, field []byte) []byte {
	if field == nil {
		return binary.BigEndian.AppendUint32(b, math.MaxUint32)
	}
	return binary.BigEndian.AppendUint32(b, uint32(len(field)))
}

// ParseLeaf reads what AppendTo wrote.
func ParseLeaf(b []byte) (Leaf, error) {
	role, b, ok1 := cutField(b)
	key, b, ok2 := cutField(b)
	value, b, ok3 := cutField(b)
	if !ok1 || !ok2 || !ok3 || role == nil || len(b) > 0 {
		return Leaf{}, errors.New("these are not the bytes of a leaf: role, key and value, each after its length in four bytes")
	}
	return Leaf{Role: string(role), Key: key, Value: value}, nil
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, b, false
	}
	n, b := binary.BigEndian.Uint32(b), b[4:]
	switch {
	case n == math.MaxUint32:
		return nil, b, true
	case uint64(n) > uint64(len(b)):
		return nil, b, false
	}
	return b[:n:n], b[n:], true
}

// Hasher computes the hashes of leaves. It keeps its memory from one to the next, and
// is not safe for concurrent use.
type Hasher struct {
	digest hash.Hash
	head   []byte // what comes before the value
}

// Hash returns the hash of the leaf, as RFC 6962 has it: of what AppendTo appends, after
// a prefix. It copies no value and allocates nothing from the second leaf on, which the
// hasher of package rfc6962 does for each.
func (h *Hasher) Hash(l Leaf) (sum Hash) {
	if h.digest == nil {
		h.digest = sha256.New()
	}
	h.digest.Reset()
	h.head = l.appendHead(append(h.head[:0], rfc6962.RFC6962LeafHashPrefix))
	_, _ = h.digest.Write(h.head) // a hash returns no error
	_, _ = h.digest.Write(l.Value)
	h.head = h.digest.Sum(h.head[:0])
	return Hash(h.head)
}
