package ops

import (
	"bytes"
	"iter"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// A verification compares millions of events, so what it keeps of each is small and
// without pointers: the collector then has nothing to follow, and may run often. Names
// are kept apart (names), or looked up again.

// identified is what can be kept in a table.
type identified interface{ identity() *auditlog.Identity }

// shards is into how many slices a table is cut, by the first byte of the identity,
// which is a hash. A slice that grows is copied, and a small one is little garbage.
const shards = 256

// table holds many values by identity: added in any order, then settled, and then
// found.
type table[T any, P interface {
	*T
	identified
}] struct {
	shards [shards][]T
}

func (x *table[T, P]) add(e T) {
	shard := &x.shards[P(&e).identity()[0]]
	*shard = append(*shard, e)
}

// settle sorts, and makes one of those with the same identity: merge adds the
// later one to the first.
func (x *table[T, P]) settle(merge func(first, later P)) {
	for i, shard := range x.shards {
		slices.SortStableFunc(shard, func(a, b T) int {
			return bytes.Compare(P(&a).identity()[:], P(&b).identity()[:])
		})
		out := shard[:0]
		for k := range shard {
			if n := len(out); n > 0 && *P(&out[n-1]).identity() == *P(&shard[k]).identity() {
				merge(&out[n-1], &shard[k])
				continue
			}
			out = append(out, shard[k])
		}
		x.shards[i] = out
	}
}

// find returns what was settled under the identity, or nil.
func (x *table[T, P]) find(id auditlog.Identity) P {
	shard := x.shards[id[0]]
	at, found := slices.BinarySearchFunc(shard, id, func(e T, id auditlog.Identity) int {
		return bytes.Compare(P(&e).identity()[:], id[:])
	})
	if !found {
		return nil
	}
	return &shard[at]
}

func (x *table[T, P]) len() (n int) {
	for _, shard := range x.shards {
		n += len(shard)
	}
	return n
}

// all passes each value, in no order that means anything.
func (x *table[T, P]) all() iter.Seq[P] {
	return func(yield func(P) bool) {
		for _, shard := range x.shards {
			for k := range shard {
				if !yield(&shard[k]) {
					return
				}
			}
		}
	}
}

// entry is what is kept of one record of the topic, in 40 bytes.
type entry struct {
	id    auditlog.Identity
	value uint64 // hash of raw_event's bytes; meaningless for a dead letter, and what is unread
	at    auditlog.Second
	marks marks
}

func (e *entry) identity() *auditlog.Identity { return &e.id }

type marks uint8

const (
	markDead     marks = 1 << iota // a dead letter
	markTenant                     // of the tenant scope
	markUntimed                    // its time is not known
	markUnread                     // an event whose value cannot be read
	markDoubled                    // there more than once
	markListed                     // the API lists it
	markCompared                   // with other bytes: the values are to be compared
)

func (e *entry) is(m marks) bool { return e.marks&m != 0 }

func (e *entry) scope() auditlog.Scope {
	if e.is(markTenant) {
		return auditlog.ScopeTenant
	}
	return auditlog.ScopeOrganization
}

// index is what the topic holds.
type index = table[entry, *entry]

// shown is how the API shows an event that the topic holds with other bytes, in 24
// bytes.
type shown struct {
	id    auditlog.Identity
	value uint64 // valueHash
}

func (s *shown) identity() *auditlog.Identity { return &s.id }
