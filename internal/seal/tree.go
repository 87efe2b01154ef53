package seal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Tree is a Merkle tree of which only the right edge is kept, its compact range: that
// is all it takes to append leaves and to know the root.
type Tree struct {
	edge *compact.Range
	// spare is memory of hashes that are not in the edge any more. Each leaf makes about two
	// hashes, and nearly all of them would be new memory in the path of every event.
	spare [][]byte
}

// NewTree returns the tree without leaves.
func NewTree() *Tree {
	t := &Tree{}
	t.edge = t.factory().NewEmptyRange(0)
	return t
}

func (t *Tree) factory() *compact.RangeFactory { return &compact.RangeFactory{Hash: t.hashChildren} }

// hashChildren is the hash of a node, as RFC 6962 has it. From then on the edge has the node,
// and no more its children.
func (t *Tree) hashChildren(left, right []byte) []byte {
	var node [1 + 2*Size]byte
	node[0] = rfc6962.RFC6962NodeHashPrefix
	copy(node[1:], left)
	copy(node[1+Size:], right)
	t.spare = append(t.spare, left, right)
	return t.keep(sha256.Sum256(node[:]))
}

// rootFactory makes ranges that only tell their root.
var rootFactory = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// keep returns the hash in memory of the tree's own.
func (t *Tree) keep(hash Hash) []byte {
	n := len(t.spare)
	if n == 0 {
		return bytes.Clone(hash[:])
	}
	kept := t.spare[n-1]
	t.spare = t.spare[:n-1]
	copy(kept, hash[:])
	return kept
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
	t, err := newTree(size, edge)
	if err != nil {
		return nil, fmt.Errorf("the compact range is not one of %d leaves: %w", size, err)
	}
	return t, nil
}

func newTree(size uint64, edge [][]byte) (*Tree, error) {
	t := &Tree{}
	var err error
	t.edge, err = t.factory().NewRange(0, size, cloneHashes(edge)) // which the tree uses again
	return t, err
}

func cloneHashes(of [][]byte) [][]byte {
	hashes := make([][]byte, len(of))
	for i, hash := range of {
		hashes[i] = bytes.Clone(hash)
	}
	return hashes
}

// Append appends a leaf by its hash.
func (t *Tree) Append(leaf Hash) { t.append(leaf, nil) }

// append is Append, with a visitor that sees the new nodes. It may not keep their hashes.
func (t *Tree) append(leaf Hash, visit compact.VisitFn) {
	// It fails only on a range that does not fit its size, which ResumeTree refused.
	if err := t.edge.Append(t.keep(leaf), visit); err != nil {
		panic(err)
	}
}

// Size returns how many leaves there are, which is the number of the next one.
func (t *Tree) Size() uint64 { return t.edge.End() }

// Edge returns the compact range.
func (t *Tree) Edge() [][]byte { return cloneHashes(t.edge.Hashes()) }

// Clone returns a tree that grows by itself.
func (t *Tree) Clone() *Tree {
	c, err := newTree(t.Size(), t.edge.Hashes())
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
	// With hashes that stay: those of the edge are not done with.
	edge, err := rootFactory.NewRange(0, t.Size(), t.edge.Hashes())
	if err != nil {
		panic(err) // it is a range of that size
	}
	root, err := edge.GetRootHash(nil)
	if err != nil {
		panic(err) // it begins at zero
	}
	return Hash(root)
}
