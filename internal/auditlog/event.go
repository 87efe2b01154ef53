package auditlog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// UserAgent is how servers that are asked over HTTP can know this program.
const UserAgent = "openai-audit-kafka"

// Event is one record of the audit log, with its bytes exactly as received.
type Event struct {
	// ID is the record's id. Empty when there is no string id, an empty one, or
	// one that is not valid UTF-8.
	ID string
	// Type is the record's type as sent, for example "login.succeeded". Empty
	// when there is no string type.
	Type string
	// EffectiveAt is the record's effective_at. Meaningless unless Timed.
	EffectiveAt Second
	// Timed says that effective_at was an integer that is a usable Second, and, once
	// a walk has listed it, not before 1970.
	Timed bool
	// Elsewhere says that the event is listed in a time that EffectiveAt is not in,
	// and not in its own. Then its place in the list counts.
	Elsewhere bool
	// Parsed is where the page that listed the event has its JSON parsed; only the page can
	// use it. 0: nowhere.
	Parsed int32
	// Neighbour is the second under which an event without a time of its own is
	// remembered: that of the next newer event of its walk, so that it is
	// forgotten no sooner than the API stops listing it above the floor.
	Neighbour Second
	// Scope is the list that showed the event.
	Scope Scope
	// Raw is the JSON object byte for byte as the API sent it.
	Raw []byte

	// Known is the Identity, once Identify has computed it; else zero.
	Known Identity
}

// Identity is what makes two events the same one, in 16 bytes: a hash of the id,
// or, for an event without an id, of its bytes. The scope is no part of it.
type Identity [16]byte

// Identity returns the event's identity.
func (e Event) Identity() Identity {
	if e.Known != (Identity{}) {
		return e.Known
	}
	return IdentityOf(e.Name())
}

// Identify computes the identity of an event whose ID and Raw are final, and keeps it:
// it is asked for five times until the event is written.
func (e *Event) Identify() Identity {
	e.Known = e.Identity()
	return e.Known
}

// Name is the text by which an event is remembered among the ids written: its
// id, or a hash where it has none, or one so long that a thousand of them would
// not fit into a record.
func (e Event) Name() string {
	switch {
	case e.ID == "":
		return hashName("sha256:", e.Raw)
	case len(e.ID) > longestName:
		return hashName("id-sha256:", []byte(e.ID))
	}
	return e.ID
}

// longestName is far above any id that was seen, and a thousand of them are far
// below what a topic takes.
const longestName = 256

func hashName(prefix string, of []byte) string {
	sum := sha256.Sum256(of)
	return prefix + hex.EncodeToString(sum[:])
}

// IdentityOf returns the identity of the event remembered as name.
func IdentityOf(name string) Identity {
	var text [longestName]byte // on the stack
	sum := sha256.Sum256(append(text[:0], name...))
	return Identity(sum[:16])
}

// Placed reports whether the event is listed in the time that it has.
func (e Event) Placed() bool { return e.Timed && !e.Elsewhere }

// Second is the time under which the event is sorted and remembered: its
// effective_at, or its neighbour's where it has none or is listed elsewhere.
func (e Event) Second() Second {
	if e.Placed() {
		return e.EffectiveAt
	}
	return e.Neighbour
}

// SortEvents sorts events in the order of CompareEvents.
func SortEvents(events []Event) { slices.SortStableFunc(events, CompareEvents) }

// CompareEvents compares by time, the oldest first, then by id, then by bytes: the order
// in which events are written inside one read of the API.
func CompareEvents(a, b Event) int {
	if order := cmp.Compare(a.Second(), b.Second()); order != 0 {
		return order
	}
	if order := cmp.Compare(a.ID, b.ID); order != 0 {
		return order
	}
	return bytes.Compare(a.Raw, b.Raw)
}
