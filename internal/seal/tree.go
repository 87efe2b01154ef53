package seal

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Tree is a Merkle tree of which only the right edge is kept, its compact range: that
// is all it takes to append leaves and to know the root.
type Tree struct {
	edge *compact.Range
	// chunk is memory for the next hashes. Two allocations for each leaf, in the path of
	// every event that is written, become an eighth of one.
	chunk []Hash
}

const chunkHashes = 16 // small: a hash of the edge may keep a whole chunk

// NewTree returns the tree without leaves.
func NewTree() *Tree {
	t := &Tree{}
	t.edge = t.factory().NewEmptyRange(0)
	return t
}

func (t *Tree) factory() *compact.RangeFactory { return &compact.RangeFactory{Hash: t.hashChildren} }

// hashChildren is the hash of a node, as RFC 6962 has it.
func (t *Tree) hashChildren(left, right []byte) []byte {
	var node [1 + 2*Size]byte
	node[0] = rfc6962.RFC6962NodeHashPrefix
	copy(node[1:], left)
	copy(node[1+Size:], right)
	return t.keep(sha256.Sum256(node[:]))
}

func (t *Tree) keep(hash Hash) []byte {
	if len(t.chunk) == 0 {
		t.chunk = make([]Hash, chunkHashes)
	}
	kept := &t.chunk[0]
	t.chunk = t.chunk[1:]
	*kept = hash
	return kept[:]
}

// ResumeTree returns the tree of that many leaves with that compact range.
func ResumeTree(size uint64, edge [][]byte) (*Tree, error) {
	if size > math.MaxInt64 {
		return nil, fmt.Errorf("a tree of %d leaves", size)
	}
	for _, hash := range edge {
		if len(hash) != Size {
			return nil, fmt.Errorf("a hash of %d bytes in the compact range", len(hash))
		}
	}
	t, err := newTree(size, slices.Clone(edge))
	if err != nil {
		return nil, fmt.Errorf("the compact range is not one of %d leaves: %w", size, err)
	}
	return t, nil
}

func newTree(size uint64, edge [][]byte) (*Tree, error) {
	t := &Tree{}
	var err error
	t.edge, err = t.factory().NewRange(0, size, edge)
	return t, err
}

// Append appends a leaf by its hash.
func (t *Tree) Append(leaf Hash) { t.append(leaf, nil) }

func (t *Tree) append(leaf Hash, visit compact.VisitFn) {
	// It fails only on a range that does not fit its size, which ResumeTree refused.
	if err := t.edge.Append(t.keep(leaf), visit); err != nil {
		panic(err)
	}
}

// Size returns how many leaves there are, which is the number of the next one.
func (t *Tree) Size() uint64 { return t.edge.End() }

// Edge returns the compact range. Its hashes must not be changed.
func (t *Tree) Edge() [][]byte { return slices.Clone(t.edge.Hashes()) }

// Clone returns a tree that grows by itself.
func (t *Tree) Clone() *Tree {
	c, err := newTree(t.Size(), t.Edge())
	if err != nil {
		panic(err) // it was a range before
	}
	return c
}

// Root returns the root.
func (t *Tree) Root() Hash {
	if t.Size() == 0 {
		return Hash(rfc6962.DefaultHasher.EmptyRoot())
	}
	root, err := t.edge.GetRootHash(nil)
	if err != nil {
		panic(err) // it begins at zero
	}
	return Hash(root)
}
