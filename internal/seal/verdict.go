package seal

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind is what a finding is, by the name that is promised for it.
type Kind string

// The kinds of findings.
const (
	Changed       Kind = "changed"         // a record is another than the one that was sealed
	Missing       Kind = "missing"         // sealed records are gone, and later ones are there
	Inserted      Kind = "inserted"        // a record that was never sealed
	OutOfSequence Kind = "out_of_sequence" // a record is behind one that was sealed after it
	Doubled       Kind = "doubled"         // the same record once more
	Cut           Kind = "cut"             // the last records are gone
	Forked        Kind = "forked"          // two checkpoints contradict each other
	NotSigned     Kind = "unsigned"        // a checkpoint without a signature, though a key was given
	BadSignature  Kind = "badly_signed"    // a checkpoint that no given key signed
)

// Kinds returns all kinds, in the order in which they are told.
func Kinds() []Kind {
	return []Kind{Changed, Missing, Inserted, OutOfSequence, Doubled, Cut, Forked, NotSigned, BadSignature}
}

// Place is where a record lies.
type Place struct {
	Role      string
	Partition int32
	Offset    int64
}

// Finding is one thing that is not as it was sealed.
type Finding struct {
	Kind Kind
	// First and Last are the numbers of the leaves that it is about.
	First, Last uint64
	// From and To are the records that are there of them, or, of what is gone, its
	// neighbours; nil: there is none.
	From, To *Place
	Cause    string
}

// Verdict says what a check found.
type Verdict struct {
	Findings []Finding
	// Began is where the seal began.
	Began Began
	// Proven is the number of the first leaf that was compared with checkpoints, and
	// Size of the first that was not.
	Proven, Size uint64
	// Expired is how many of the first leaves retention may have deleted.
	Expired uint64
	// Newest is the statement of the most leaves that the records were compared with;
	// nil: there is none.
	Newest *Statement
}

// OK reports whether all is as it was sealed.
func (v *Verdict) OK() bool { return len(v.Findings) == 0 }

func (v *Verdict) add(f Finding) { v.Findings = append(v.Findings, f) }

func (v *Verdict) sort() {
	order := Kinds()
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.First, b.First))
	})
}

func (p Place) String() string {
	return fmt.Sprintf("%s, partition %d, offset %d", p.Role, p.Partition, p.Offset)
}
