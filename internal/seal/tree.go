package seal

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Tree is a Merkle tree of which only the right edge is kept, its compact range: that
// is all it takes to append leaves and to know the root.
//
// The range of the library allocates two hashes for each leaf, in the path of every
// event that is written. Here the hashes are values.
type Tree struct {
	size uint64
	edge []Hash // the roots of the largest whole subtrees, left to right: one for each bit of size
}

// NewTree returns the tree without leaves.
func NewTree() *Tree { return &Tree{} }

// ResumeTree returns the tree of that many leaves with that compact range.
func ResumeTree(size uint64, edge [][]byte) (*Tree, error) {
	if size > math.MaxInt64 {
		return nil, fmt.Errorf("a tree of %d leaves", size)
	}
	if want := bits.OnesCount64(size); len(edge) != want {
		return nil, fmt.Errorf("the compact range is not one of %d leaves: it has %d hashes and not %d", size, len(edge), want)
	}
	t := &Tree{size: size}
	for _, hash := range edge {
		if len(hash) != Size {
			return nil, fmt.Errorf("a hash of %d bytes in the compact range", len(hash))
		}
		t.edge = append(t.edge, Hash(hash))
	}
	return t, nil
}

// Append appends a leaf by its hash.
func (t *Tree) Append(leaf Hash) { t.append(leaf, nil) }

// append passes each new node to visit, if there is one.
func (t *Tree) append(leaf Hash, visit func(compact.NodeID, Hash)) {
	node, id := leaf, compact.NewNodeID(0, t.size)
	t.size++
	for {
		if visit != nil {
			visit(id, node)
		}
		if id.Index&1 == 0 {
			t.edge = append(t.edge, node)
			return
		}
		last := len(t.edge) - 1
		node, id = hashChildren(t.edge[last], node), id.Parent()
		t.edge = t.edge[:last]
	}
}

// hashChildren is the hash of a node, as RFC 6962 has it.
func hashChildren(left, right Hash) Hash {
	var node [1 + 2*Size]byte
	node[0] = rfc6962.RFC6962NodeHashPrefix
	copy(node[1:], left[:])
	copy(node[1+Size:], right[:])
	return sha256.Sum256(node[:])
}

// Size returns how many leaves there are, which is the number of the next one.
func (t *Tree) Size() uint64 { return t.size }

// Edge returns a copy of the compact range.
func (t *Tree) Edge() [][]byte {
	edge := make([][]byte, len(t.edge))
	for i, hash := range t.edge {
		edge[i] = hash[:]
	}
	return edge
}

// Clone returns a tree that grows by itself.
func (t *Tree) Clone() *Tree { return &Tree{t.size, slices.Clone(t.edge)} }

// Root returns the root.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return Hash(rfc6962.DefaultHasher.EmptyRoot())
	}
	last := len(t.edge) - 1
	root := t.edge[last]
	for _, left := range slices.Backward(t.edge[:last]) {
		root = hashChildren(left, root)
	}
	return root
}
