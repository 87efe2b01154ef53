package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Proof shows that a record is a leaf of the tree of a checkpoint. It stands alone: it
// has the leaf, the hashes beside its path, and the checkpoint with its signatures.
type Proof struct {
	Index      uint64
	Leaf       Leaf
	Hashes     [][]byte
	Checkpoint []byte // a signed note
}

const proofHeader = "c2sp.org/tlog-proof@v1"

// Text returns the proof in the form of c2sp.org/tlog-proof, with the bytes of the
// leaf as its extra data.
func (p Proof) Text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, encode(p.Leaf.AppendTo(nil)), p.Index)
	for _, hash := range p.Hashes {
		b.WriteString(encode(hash) + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return []byte(b.String())
}

// ErrNoProof is the error of a file that holds no proof of ours.
var ErrNoProof = errors.New("this is no proof of a sealed topic")

// ParseProof reads what Text wrote.
func ParseProof(text []byte) (Proof, error) {
	head, checkpoint, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return Proof{}, fmt.Errorf("%w: it begins with %s, extra and index, and has a checkpoint after an empty line", ErrNoProof, proofHeader)
	}
	p := Proof{Checkpoint: []byte(checkpoint)}
	extra, hasExtra := strings.CutPrefix(lines[1], "extra ")
	raw, err := base64.StdEncoding.DecodeString(extra)
	if hasExtra && err == nil {
		p.Leaf, err = ParseLeaf(raw)
	}
	if !hasExtra || err != nil {
		return Proof{}, fmt.Errorf("%w: its second line has no leaf", ErrNoProof)
	}
	index, hasIndex := strings.CutPrefix(lines[2], "index ")
	if p.Index, err = strconv.ParseUint(index, 10, 63); !hasIndex || err != nil {
		return Proof{}, fmt.Errorf("%w: its third line has no index", ErrNoProof)
	}
	for _, line := range lines[3:] {
		hash, err := decode(line)
		if err != nil {
			return Proof{}, fmt.Errorf("%w: %w", ErrNoProof, err)
		}
		p.Hashes = append(p.Hashes, hash)
	}
	return p, nil
}

// Check returns the checkpoint in whose tree the leaf is, and what is known of its
// signature. It fails where the proof does not lead from the leaf to the root.
func (p Proof) Check(v Verifier) (Checkpoint, Signature, error) {
	c, signature, err := v.OpenCheckpoint(p.Checkpoint)
	if err != nil {
		return c, signature, err
	}
	hash := new(Hasher).Hash(p.Leaf)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, hash[:], p.Hashes, c.Root[:]); err != nil {
		return c, signature, fmt.Errorf("the proof does not lead from the record to the root of the checkpoint: %w", err)
	}
	return c, signature, nil
}

// Prover collects the hashes of a proof while a tree grows.
type Prover struct {
	index uint64
	nodes proof.Nodes
	tree  *Tree
	found map[compact.NodeID][]byte
}

// NewProver returns a prover for the leaf of that number in a tree that will have that
// size. It begins at a tree that does not hold the leaf yet.
func NewProver(index, size uint64, from *Tree) (*Prover, error) {
	nodes, err := proof.Inclusion(index, size)
	if err != nil || index < from.Size() {
		return nil, fmt.Errorf("leaf %d is not between %d and %d leaves", index, from.Size(), size)
	}
	p := &Prover{index: index, nodes: nodes, tree: from.Clone(), found: map[compact.NodeID][]byte{}}
	for _, id := range nodes.IDs {
		p.found[id] = nil
	}
	edge := p.tree.Edge()
	for i, id := range compact.RangeNodes(0, p.tree.Size(), nil) {
		p.visit(id, edge[i])
	}
	return p, nil
}

func (p *Prover) visit(id compact.NodeID, hash []byte) {
	if _, wanted := p.found[id]; wanted {
		p.found[id] = bytes.Clone(hash)
	}
}

// Append appends the next leaf.
func (p *Prover) Append(leaf Hash) { p.tree.append(leaf, p.visit) }

// Hashes returns the proof, once the tree has its size.
func (p *Prover) Hashes() ([][]byte, error) {
	hashes := make([][]byte, len(p.nodes.IDs))
	for i, id := range p.nodes.IDs {
		if hashes[i] = p.found[id]; hashes[i] == nil {
			return nil, fmt.Errorf("the tree has %d leaves, which is too few to prove leaf %d", p.tree.Size(), p.index)
		}
	}
	return p.nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}
