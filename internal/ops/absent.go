package ops

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// absent is an event that the API lists and the topic does not hold, in 40 bytes
// and those of its name.
type absent struct {
	id    auditlog.Identity
	at    auditlog.Second
	name  nameRef
	state absence
}

func (a *absent) identity() *auditlog.Identity { return &a.id }

type absence uint8

const (
	absentTenant    absence = 1 << iota // the tenant lists it
	absentOurs                          // the organization does
	absentTaken                         // for a transaction of a repair
	absentRepaired                      // it is there now
	absentElsewhere                     // the topic holds it, at another time than the API says now
	absentLetter                        // it may have been a dead letter
)

func (a *absent) is(s absence) bool { return a.state&s != 0 }

// seeAbsent takes an event that is not in the topic. It may come again.
func (v *verification) seeAbsent(id auditlog.Identity, ev auditlog.Event) {
	state := absentOurs
	if ev.Scope == auditlog.ScopeTenant {
		state = absentTenant
	}
	if v.deleted.mayBeLetter(ev) {
		state |= absentLetter
	}
	v.absent.add(absent{id: id, at: ev.Second(), name: v.names.add(ev.Name()), state: state})
}

// findElsewhere looks for what is absent among all that the topic holds: the API may
// have given an event a new time, and its first version stays.
func (v *verification) findElsewhere(ctx context.Context) error {
	if v.absent.len() == 0 {
		return nil
	}
	return v.scan(ctx, func(f found) {
		if a := v.absent.find(f.id); a != nil && f.name != "" {
			a.state |= absentElsewhere
		}
	})
}

// reader says which part of the connector, or a repair, will write an absent event.
func (v *verification) reader(a *absent) window.Responsible {
	if v.state == nil || v.state.Seen.Has(a.id) {
		// There is no state to ask, or the connector wrote the event and it was deleted since:
		// the connector leaves it out as long as it remembers it, and never reads it after.
		return window.LeftToRepair
	}
	reader := window.LeftToConnector
	if a.is(absentOurs) {
		reader = window.ResponsibleFor(v.state.Cursor, auditlog.ScopeOrganization, a.at)
	}
	if a.is(absentTenant) && reader == window.LeftToConnector {
		reader = window.ResponsibleFor(v.state.Cursor, auditlog.ScopeTenant, a.at)
	}
	return reader
}

// oldestFirst returns the absent events in the order of their time.
func (v *verification) oldestFirst() []*absent {
	all := make([]*absent, 0, v.absent.len())
	for a := range v.absent.all() {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *absent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(v.names.text(a.name), v.names.text(b.name)), bytes.Compare(a.id[:], b.id[:]))
	})
	return all
}

// names keeps many short texts with little around each.
type names struct {
	full []string // chunks that are done
	last []byte   // the one that is filled
}

// nameRef says where a text is.
type nameRef struct{ chunk, start, size uint32 }

const nameChunk = 64 << 10

func (n *names) add(text string) nameRef {
	if len(n.last) > 0 && len(n.last)+len(text) > nameChunk {
		n.full = append(n.full, string(n.last))
		n.last = n.last[:0]
	}
	ref := nameRef{uint32(len(n.full)), uint32(len(n.last)), uint32(len(text))}
	n.last = append(n.last, text...)
	return ref
}

// text returns a text that was added. It shares the memory of its chunk.
func (n *names) text(ref nameRef) string {
	if int(ref.chunk) == len(n.full) {
		n.full, n.last = append(n.full, string(n.last)), nil
	}
	return n.full[ref.chunk][ref.start : ref.start+ref.size]
}
