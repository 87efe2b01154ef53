package seal

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
)

// Check compares the records of a sealed topic with what was said of the tree. Its
// answer depends on nothing but what it is given:
//
//	check := NewCheck(statements, verifier.Verifies())
//	check.Add(...)             // every record, each partition in the order of its offsets
//	verdict := check.Verdict(...)
//
// It keeps 64 bytes of each record.
type Check struct {
	verdict    Verdict
	statements []Statement // by size
	partitions map[partitionOf]*partition
	leaves     []leaf
	copies     map[uint64][]leaf // other records with the number of a leaf
}

type partitionOf struct {
	role      string
	partition int32
}

// partition is what is known of one.
type partition struct {
	trimmed bool   // its beginning is gone
	lowest  uint64 // number of a leaf in it; without one, the highest there is
	next    uint64 // after the highest number so far
}

// leaf is a record that has a number.
type leaf struct {
	number uint64
	hash   Hash
	place  Place
	behind bool // it is behind a later one
}

// NewCheck returns a check against the statements. verifies says that there are keys:
// then only what they signed counts.
func NewCheck(statements []Statement, verifies bool) *Check {
	c := &Check{partitions: map[partitionOf]*partition{}, copies: map[uint64][]leaf{}}
	c.statements = c.verdict.usable(statements, verifies)
	c.verdict.contradictions(c.statements)
	if n := len(c.statements); n > 0 {
		newest := c.statements[n-1]
		c.verdict.Newest, c.verdict.Size = &newest, newest.Size
		c.verdict.Began = newest.Began
	}
	return c
}

// Began returns where the seal began that the records are compared with.
func (c *Check) Began() Began { return c.verdict.Began }

// Partition tells from which offset on a partition still has records.
func (c *Check) Partition(role string, number int32, start int64) {
	c.partitions[partitionOf{role, number}] = &partition{
		trimmed: start > c.verdict.Began.Offset(role, number), lowest: math.MaxUint64,
	}
}

// Add takes a record of the organization, with the header that numbers it; numbered is
// false where it has none. Of the tree of repairs, only records with the header are
// given. What is before the seal began is left out.
func (c *Check) Add(at Place, number string, numbered bool, hash Hash) {
	if at.Offset < c.verdict.Began.Offset(at.Role, at.Partition) {
		return
	}
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case !numbered:
		c.verdict.add(Finding{Kind: Inserted, From: &at, To: &at, Cause: "it has no header " + Header + ", and is where all records are sealed"})
		return
	case err != nil:
		c.verdict.add(Finding{Kind: Inserted, From: &at, To: &at, Cause: "its number is none"})
		return
	}
	p := c.partitions[partitionOf{at.Role, at.Partition}]
	if p == nil {
		p = &partition{lowest: math.MaxUint64}
		c.partitions[partitionOf{at.Role, at.Partition}] = p
	}
	c.leaves = append(c.leaves, leaf{number: n, hash: hash, place: at, behind: n < p.next})
	p.lowest, p.next = min(p.lowest, n), max(p.next, n+1)
}

// Retention says which records retention may have deleted: of the beginnings of
// partitions, those that are older than since. Zero: none. Any says that nothing can
// be told by time.
type Retention struct {
	Since int64 // Unix time
	Any   bool
}

// Verdict returns what was found. known is how many leaves the writer's own state
// counted after the last record was read: what is beyond the newest statement and
// below that was written meanwhile, and is neither proven nor wrong.
func (c *Check) Verdict(retention Retention, known uint64) *Verdict {
	v := &c.verdict
	c.settle(max(known, v.Size))
	proven := c.gaps(retention)
	start, tree := c.begin(proven)
	v.Proven = v.Size
	if tree != nil {
		v.Proven = tree.Size()
		c.climb(start, tree)
	}
	for _, copies := range c.copies {
		for _, l := range copies {
			v.add(Finding{Kind: Inserted, First: l.number, Last: l.number, From: &l.place, To: &l.place,
				Cause: fmt.Sprintf("it has number %d, which another record was sealed with", l.number)})
		}
	}
	v.sort()
	return v
}

// settle sorts the leaves by number, and leaves one for each: of several, the one that
// is in its place.
func (c *Check) settle(known uint64) {
	slices.SortStableFunc(c.leaves, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.number, b.number), order(a.behind, b.behind))
	})
	out := c.leaves[:0]
	// The findings of records that are behind or beyond, one after the other.
	run, beyond := -1, -1
	for _, l := range c.leaves {
		switch last := len(out) - 1; {
		case l.number >= known:
			beyond = c.together(beyond, Finding{Kind: Inserted, First: l.number, Last: l.number, From: &l.place, To: &l.place,
				Cause: fmt.Sprintf("only %d records were sealed: what has a higher number was inserted, or the offsets topic was set back", known)})
		case last >= 0 && out[last].number == l.number && out[last].hash == l.hash:
			c.verdict.add(Finding{Kind: Doubled, First: l.number, Last: l.number, From: &l.place, To: &l.place,
				Cause: fmt.Sprintf("the record with number %d is at %v too", l.number, out[last].place)})
		case last >= 0 && out[last].number == l.number:
			c.copies[l.number] = append(c.copies[l.number], l)
		case l.number < c.verdict.Size:
			out = append(out, l)
			run = c.behind(l, run)
		}
	}
	c.leaves = out
}

// behind tells of a leaf that is behind a later one, together with those before it
// that do so too. It returns the number of the finding.
func (c *Check) behind(l leaf, run int) int {
	if !l.behind {
		return -1
	}
	return c.together(run, Finding{Kind: OutOfSequence, First: l.number, Last: l.number, From: &l.place, To: &l.place,
		Cause: "it is behind a record that was sealed after it"})
}

// together adds what was found of one record to the finding before it, if that is of the
// records just before. It returns the number of the finding.
func (c *Check) together(before int, f Finding) int {
	v := &c.verdict
	if before >= 0 && v.Findings[before].Last+1 == f.First {
		v.Findings[before].Last, v.Findings[before].To = f.Last, f.To
		return before
	}
	v.add(f)
	return len(v.Findings) - 1
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// gaps tells which leaves are gone, and returns the number behind those that retention
// may have deleted.
func (c *Check) gaps(retention Retention) (proven uint64) {
	v := &c.verdict
	bound := c.retained(retention)
	next := uint64(0)
	gap := func(to uint64, before, after *Place) {
		if next == to {
			return
		}
		first := max(next, min(to, bound))
		if first > next {
			v.Expired, proven = v.Expired+first-next, first
		}
		switch {
		case first == to:
		case after == nil && to == v.Size:
			v.add(Finding{Kind: Cut, First: first, Last: to - 1, From: before,
				Cause: fmt.Sprintf("%v says that there are %d records, and the last %d are gone", v.Newest, v.Size, to-first)})
		default:
			v.add(Finding{Kind: Missing, First: first, Last: to - 1, From: before, To: after,
				Cause: fmt.Sprintf("%d records between these two are gone", to-first)})
		}
	}
	var before *Place
	for i := range c.leaves {
		l := &c.leaves[i]
		gap(l.number, before, &l.place)
		next, before = l.number+1, &l.place
	}
	gap(v.Size, before, nil)
	return proven
}

// retained returns the number from which on no record may be gone by retention.
func (c *Check) retained(retention Retention) uint64 {
	bound := uint64(0)
	if retention == (Retention{}) {
		return bound
	}
	for _, p := range c.partitions {
		if p.trimmed {
			bound = max(bound, p.lowest)
		}
	}
	if bound = min(bound, c.verdict.Size); retention.Any {
		return bound
	}
	for _, s := range c.statements {
		if s.Time.Unix() >= retention.Since {
			return min(bound, s.Size)
		}
	}
	return bound
}

// begin returns the tree from which on records can be compared with statements, and the
// first of those; nil: there is none.
func (c *Check) begin(proven uint64) (int, *Tree) {
	if len(c.statements) == 0 {
		return 0, nil
	}
	if proven == 0 {
		return 0, NewTree()
	}
	for i, s := range c.statements {
		if s.Size >= proven {
			return i + 1, treeOf(s)
		}
	}
	return 0, nil
}

func treeOf(s Statement) *Tree {
	tree, err := s.Tree()
	if err != nil {
		panic(err) // usable has left it out
	}
	return tree
}

// climb compares the leaves with one statement after the other. Where one does not fit
// and a later one does, it is the statement that is wrong; where none does, it is a
// record between the last that fitted and this one.
func (c *Check) climb(i int, tree *Tree) {
	for i < len(c.statements) {
		if next, grown := c.fits(i, tree); next > 0 {
			for _, s := range c.statements[i : next-1] {
				c.verdict.forked(s, c.statements[next-1], "the records are those of the second")
			}
			i, tree = next, grown
			continue
		}
		s := c.statements[i]
		if s.Size > tree.Size() && c.whole(tree.Size(), s.Size) && !c.swapped(tree, s) {
			c.changed(tree, s)
		}
		// From here on by what the statement says: so what comes next is found as well.
		i, tree = i+1, treeOf(s)
	}
}

// fits returns the number after that of the first statement, from i on, that fits the
// tree with the leaves that follow it, and the tree that it has then; 0: none does.
func (c *Check) fits(i int, tree *Tree) (next int, grown *Tree) {
	grown = tree.Clone()
	for k := i; k < len(c.statements); k++ {
		s := c.statements[k]
		if s.Size < grown.Size() || !c.grow(grown, s.Size) {
			return 0, nil
		}
		if grown.Root() == s.Root {
			return k + 1, grown
		}
	}
	return 0, nil
}

// grow appends the leaves up to a size. It fails where one is gone.
func (c *Check) grow(tree *Tree, size uint64) bool {
	if !c.whole(tree.Size(), size) {
		return false
	}
	for _, l := range c.from(tree.Size())[:size-tree.Size()] {
		tree.Append(l.hash)
	}
	return true
}

// from returns the leaves from a number on.
func (c *Check) from(number uint64) []leaf {
	return c.leaves[sort.Search(len(c.leaves), func(i int) bool { return c.leaves[i].number >= number }):]
}

// whole reports whether all leaves of the numbers are there.
func (c *Check) whole(from, to uint64) bool {
	rest := c.from(from)
	return uint64(len(rest)) >= to-from && (to == from || rest[0].number == from && rest[to-from-1].number == to-1)
}

// swapped tries the other records that have numbers of the leaves up to the statement:
// somebody may have put a copy before the one that was sealed.
func (c *Check) swapped(tree *Tree, s Statement) bool {
	leaves := c.from(tree.Size())[:s.Size-tree.Size()]
	swap := func() (some bool) {
		for i, l := range leaves {
			if copies := c.copies[l.number]; len(copies) > 0 {
				leaves[i], copies[len(copies)-1], some = copies[len(copies)-1], l, true
			}
		}
		return some
	}
	if !swap() {
		return false
	}
	other := tree.Clone()
	if c.grow(other, s.Size) && other.Root() == s.Root {
		return true
	}
	swap()
	return false
}

// changed tells which leaves between the tree and the statement may be another than
// the sealed one.
func (c *Check) changed(tree *Tree, s Statement) {
	is := tree.Clone()
	c.grow(is, s.Size)
	for _, at := range differing(is, treeOf(s)) {
		at.from = max(at.from, tree.Size())
		if at.from >= at.to {
			continue // below the tree, which fitted a statement
		}
		first, last := c.from(at.from)[0], c.from(at.to - 1)[0]
		cause := fmt.Sprintf("its key or value is not the one that %v was made of", s)
		if n := at.to - at.from; n > 1 {
			cause = fmt.Sprintf("the key or value of at least one of these %d records is not the one that %v was made of", n, s)
		}
		c.verdict.add(Finding{Kind: Changed, First: at.from, Last: at.to - 1, From: &first.place, To: &last.place, Cause: cause})
	}
}

// Prove returns the proof of a leaf for the newest statement that has a note, once there
// is a verdict. The bytes of the leaf are the caller's to add.
func (c *Check) Prove(number uint64) (Proof, error) {
	i := len(c.statements) - 1
	for i >= 0 && (c.statements[i].Note == nil || c.statements[i].Size <= number) {
		i--
	}
	if i < 0 {
		return Proof{}, fmt.Errorf("record %d is in no checkpoint yet: there is one a minute while records are written", number)
	}
	s := c.statements[i]
	_, base := c.begin(c.verdict.Expired)
	if base == nil || base.Size() > number || !c.whole(base.Size(), s.Size) {
		return Proof{}, fmt.Errorf("record %d cannot be proven: records between the oldest checkpoint that is left and %v are gone", number, s)
	}
	prover, err := NewProver(number, s.Size, base)
	if err != nil {
		return Proof{}, err
	}
	for _, l := range c.from(base.Size())[:s.Size-base.Size()] {
		prover.Append(l.hash)
	}
	hashes, err := prover.Hashes()
	return Proof{Index: number, Hashes: hashes, Checkpoint: s.Note}, err
}
