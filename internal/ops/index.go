package ops

import (
	"bytes"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// entry is what is kept of one record of the topic, in 40 bytes: a million of them
// are 40 MB. Names are looked up again in the topic for those few that are to be
// shown.
type entry struct {
	id    auditlog.Identity
	value uint64 // valueHash of raw_event; meaningless for a dead letter
	at    auditlog.Second
	marks marks
}

type marks uint8

const (
	markDead      marks = 1 << iota // a dead letter
	markTenant                      // of the tenant scope
	markUntimed                     // a dead letter whose time nobody knows
	markUnread                      // a record of ours that cannot be decoded
	markDoubled                     // there more than once
	markListed                      // the API lists it
	markDifferent                   // and lists another value
)

func (e *entry) is(m marks) bool { return e.marks&m != 0 }

func (e *entry) scope() auditlog.Scope {
	if e.is(markTenant) {
		return auditlog.ScopeTenant
	}
	return auditlog.ScopeOrganization
}

// index finds entries by identity, once it is sorted.
type index []entry

func byIdentity(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) }

// sorted returns the entries in order, and one for what is there more than once.
func (x index) sorted() index {
	slices.SortFunc(x, byIdentity)
	out := x[:0]
	for _, e := range x {
		if n := len(out); n > 0 && out[n-1].id == e.id {
			out[n-1].marks |= markDoubled
			continue
		}
		out = append(out, e)
	}
	return out
}

// find returns the entry, or nil.
func (x index) find(id auditlog.Identity) *entry {
	at, found := slices.BinarySearchFunc(x, id, func(e entry, id auditlog.Identity) int { return bytes.Compare(e.id[:], id[:]) })
	if !found {
		return nil
	}
	return &x[at]
}
