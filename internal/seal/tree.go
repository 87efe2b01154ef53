package seal

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

var factory = &compact.RangeFactory{Hash: hashChildren}

// hashChildren is the hash of a node, as RFC 6962 has it, with one allocation.
func hashChildren(left, right []byte) []byte {
	var node [1 + 2*Size]byte
	node[0] = rfc6962.RFC6962NodeHashPrefix
	copy(node[1:], left)
	copy(node[1+Size:], right)
	hash := sha256.Sum256(node[:])
	return hash[:]
}

// Tree is a Merkle tree of which only the right edge is kept, its compact range: that
// is all it takes to append leaves and to know the root.
type Tree struct{ edge *compact.Range }

// NewTree returns the tree without leaves.
func NewTree() *Tree { return &Tree{factory.NewEmptyRange(0)} }

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
	r, err := factory.NewRange(0, size, slices.Clone(edge))
	if err != nil {
		return nil, fmt.Errorf("the compact range is not one of %d leaves: %w", size, err)
	}
	return &Tree{r}, nil
}

// Append appends a leaf by its hash.
func (t *Tree) Append(leaf Hash) { t.append(leaf, nil) }

func (t *Tree) append(leaf Hash, visit compact.VisitFn) {
	// It fails only on a range that does not fit its size, which ResumeTree refused.
	if err := t.edge.Append(leaf[:], visit); err != nil {
		panic(err)
	}
}

// Size returns how many leaves there are, which is the number of the next one.
func (t *Tree) Size() uint64 { return t.edge.End() }

// Edge returns the compact range. Its hashes must not be changed.
func (t *Tree) Edge() [][]byte { return slices.Clone(t.edge.Hashes()) }

// Clone returns a tree that grows by itself.
func (t *Tree) Clone() *Tree {
	r, err := factory.NewRange(0, t.Size(), t.Edge())
	if err != nil {
		panic(err) // it was a range before
	}
	return &Tree{r}
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
