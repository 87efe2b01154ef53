package seal

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"
)

// Statement is a claim of what the tree was.
type Statement struct {
	Checkpoint
	// Where is where it was found, for messages: a key of the offsets topic, a file.
	Where string
	// Note is the statement as it was found; nil: it is none.
	Note []byte
	// Signature is what is known of who wrote it.
	Signature Signature
	// Kept says that the auditor kept it, out of reach of those who can write to Kafka.
	Kept bool
}

func (s Statement) String() string {
	return fmt.Sprintf("%s (%d records, %s)", s.Where, s.Size, stamp(s.Time))
}

// usable returns the statements to compare records with, by size, and reports the
// others. Where there are keys, what they did not sign says nothing.
func (v *Verdict) usable(all []Statement, verifies bool) []Statement {
	var out []Statement
	for _, s := range all {
		switch _, err := s.Tree(); {
		case verifies && s.Signature == Unsigned:
			v.add(Finding{Kind: NotSigned, Cause: s.String() + " has no signature"})
		case verifies && s.Signature == BadlySigned:
			v.add(Finding{Kind: BadSignature, Cause: "no signature of " + s.String() + " is by a key that was given"})
		case err != nil:
			v.add(Finding{Kind: Forked, Cause: fmt.Sprintf("%v contradicts itself: %v", s, err)})
		default:
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b Statement) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), a.Time.Compare(b.Time))
	})
	return v.ofOneSeal(out)
}

// ofOneSeal returns the statements of the seal that is under way. A seal that was begun
// again, since it had been off, says nothing about the one before; to an auditor who kept
// a checkpoint of that one it is a contradiction.
func (v *Verdict) ofOneSeal(sorted []Statement) []Statement {
	var newest *Statement
	for i, s := range sorted {
		if !s.Kept && (newest == nil || s.Began.Time.After(newest.Began.Time)) {
			newest = &sorted[i]
		}
	}
	if newest == nil {
		return sorted
	}
	v.Began = newest.Began
	return slices.DeleteFunc(sorted, func(s Statement) bool {
		another := !s.Began.Time.Equal(v.Began.Time)
		if another && s.Kept {
			v.forked(s, *newest, fmt.Sprintf("the seal was begun again at %s, and what it held before is not sealed any more", stamp(v.Began.Time)))
		}
		return another
	})
}

// contradictions tells which statements cannot be of one tree, whatever the records.
func (v *Verdict) contradictions(sorted []Statement) {
	var newest, kept *Statement
	for i := range sorted {
		s := &sorted[i]
		if i > 0 {
			before := sorted[i-1]
			switch {
			case before.Size == s.Size && before.Root != s.Root:
				v.forked(before, *s, "they have two roots for as many records")
			case before.Size < s.Size && before.Time.After(s.Time):
				v.forked(before, *s, "the later one has fewer records")
			}
		}
		if s.Kept {
			kept = s
		} else {
			newest = s
		}
	}
	if newest != nil && kept != nil && newest.Size < kept.Size {
		v.add(Finding{Kind: Cut, First: newest.Size, Last: kept.Size - 1, Cause: fmt.Sprintf(
			"%v was kept, and the newest that Kafka has is %v: the checkpoints were set back", kept, newest)})
	}
}

func (v *Verdict) forked(a, b Statement, why string) {
	v.add(Finding{Kind: Forked, Cause: fmt.Sprintf("%v and %v contradict each other: %s", a, b, why)})
}

// differing returns which leaves lie below the nodes in which two trees of one size
// differ.
func differing(a, b *Tree) (spans []span) {
	left, right := a.edge.Hashes(), b.edge.Hashes()
	for i, node := range compact.RangeNodes(0, a.Size(), nil) {
		if !bytes.Equal(left[i], right[i]) {
			from, to := node.Coverage()
			spans = append(spans, span{from, to})
		}
	}
	return spans
}

// span is the leaves from one number to before another.
type span struct{ from, to uint64 }
