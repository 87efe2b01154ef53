package auditlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CursorVersion is the version of the cursor that this release writes. It reads
// this one and all before it, and refuses a later one.
const CursorVersion = 1

// The ways in which a stored cursor cannot be used. Neither is ever taken for a
// missing one: the next run would then silently start over.
var (
	ErrUnreadableCursor = errors.New("the cursor cannot be read")
	ErrNewerCursor      = errors.New("the cursor was written by a newer version")
)

// Cursor says exactly what of an organization's log is in the topic. It is
// stored as JSON under CursorKey, in the transaction that wrote the events.
type Cursor struct {
	Version int `json:"version"`
	// Organization is the name from the settings, which is in the records.
	Organization string `json:"organization"`
	// APIOrganization is the API's own name of it, from the response header
	// openai-organization; empty if the API never sent one.
	APIOrganization string `json:"api_organization,omitempty"`
	// StartAnew marks a cursor that was reset on purpose: the next run is a
	// first run, and it emits again.
	StartAnew bool `json:"start_anew,omitempty"`
	// Start is the earliest time that was ever asked for.
	Start Second `json:"start"`
	// Floor never falls. Below it only ranges of History are read; every id
	// written at or above it is remembered.
	Floor Second `json:"floor"`
	// Scopes has one entry a scope.
	Scopes map[Scope]Position `json:"scopes"`
	// Framing is how the values in the topic are framed: "single-object" or
	// "confluent".
	Framing string `json:"framing,omitempty"`
	// SchemaVersion is the version of our schema that single objects in the topic are
	// written with. Zero: the first one, or there is a schema registry.
	SchemaVersion int `json:"schema_version,omitzero"`
	// SchemaIDs are the ids of the schema registry that values in the topic carry, by
	// the version of our schema that each stands for.
	SchemaIDs map[int]int `json:"schema_ids,omitempty"`
	// Topics are the topics written to, by what they are for.
	Topics map[string]Topic `json:"topics,omitempty"`
	// SeenRecords is how many records of seen ids stand beside the cursor, so that
	// deleted ones are noticed. Zero: none, or they were not counted.
	SeenRecords int `json:"seen_records,omitzero"`
	// Seal is the Merkle tree of what was written; nil: it is not sealed. A release that
	// does not know it drops it, and the next one that does begins a new one.
	Seal *Seal `json:"seal,omitempty"`
	// WrittenAt is the local time of the write.
	WrittenAt Second `json:"written_at"`
	// Openers are the last instances that opened the organization, the latest
	// last. See OpenerLimit.
	Openers []Opener `json:"openers,omitempty"`
}

// Topic is a topic as it was when the cursor was written.
type Topic struct {
	Name string `json:"name"`
	// ID is Kafka's, which changes when a topic is deleted and made again; empty if the
	// broker did not say, which means unknown and not changed.
	ID string `json:"id,omitempty"`
}

// Same reports whether two sights of a topic can be of the same one. An id that was
// missing is unknown, and not changed.
func (t Topic) Same(o Topic) bool {
	return t.Name == o.Name && (t.ID == "" || o.ID == "" || t.ID == o.ID)
}

// OpenerLimit is how many openers a cursor remembers.
const OpenerLimit = 4

// Opener is an instance that opened an organization for writing.
type Opener struct {
	Host string `json:"host"`
	At   Second `json:"at"`
	// Closed says that it stopped by itself.
	Closed bool `json:"closed,omitempty"`
	// Process identifies instances on hosts of one name; zero: it is not known.
	Process Process `json:"process,omitzero"`
}

// Process is an instance's process, where the system shows it.
type Process struct {
	// Place stands for the machine and the container. It stays the same when the
	// process, the container or the machine is started again.
	Place string `json:"place"`
	// Boot stands for one start of the machine or the container: process ids are
	// unique in it as long as the process lives.
	Boot string `json:"boot"`
	ID   int    `json:"pid"`
	// Started separates the processes that have had one id.
	Started uint64 `json:"started"`
}

// State says whether a scope is read.
type State string

// The states of a scope.
const (
	StateOn      State = "on"
	StateOff     State = "off"
	StateRefused State = "refused" // the key has no right to it
	StateFailing State = "failing" // it could not be read for long, for another cause
)

// MarshalJSON writes the state as every release of cursor version 1 reads it: one that knows
// no StateFailing takes such a scope for refused, and reads it again when it can, as it should.
func (p Position) MarshalJSON() ([]byte, error) {
	stored := storedPosition{plainPosition: plainPosition(p)}
	if p.State == StateFailing {
		stored.State, stored.Failing = StateRefused, true
	}
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Position) UnmarshalJSON(value []byte) error {
	var stored storedPosition
	if err := json.Unmarshal(value, &stored); err != nil {
		return err
	}
	*p = Position(stored.plainPosition)
	if stored.Failing && p.State == StateRefused {
		p.State = StateFailing
	}
	return nil
}

type plainPosition Position

type storedPosition struct {
	plainPosition
	Failing bool `json:"failing,omitempty"`
}

// Position says how far one scope was read.
type Position struct {
	State State `json:"state"`
	// Since is when the scope was last switched off, first refused or given up as failing;
	// zero when on.
	Since Second `json:"since,omitzero"`
	// Frozen says that the scope does not hold the floor: it is off, or was
	// refused or failing for too long, or never allowed. When it comes back, what it missed
	// becomes history.
	Frozen bool `json:"frozen,omitempty"`
	// Live is the server time at which the last complete walk of the head began;
	// zero if there was none yet.
	Live Second `json:"live_position,omitzero"`
	// Deep is the same for the last complete walk of the deep past.
	Deep Second `json:"deep_position,omitzero"`
	// History is what is still to be read, oldest first, without overlap.
	History []Range `json:"history,omitempty"`
}

// Range is the time from From to before To, still to be read. It shrinks from
// its old end as its windows are committed.
type Range struct {
	From Second `json:"from"`
	To   Second `json:"to"`
	// HoldsFloor says that the range began at or above the floor, and so the
	// floor may not pass its From: its ids are remembered until it is read. A
	// range without it is below the floor altogether.
	//
	// Remembered says that the head may have written some of the range before its
	// scope was frozen. The ids of that time are kept, below the floor too, until
	// the range has passed them.
	HoldsFloor bool `json:"holds_floor,omitempty"`
	Remembered bool `json:"remembered,omitempty"`
}

// CursorKey is the key of the organization's cursor in the offsets topic.
func CursorKey(organization string) string { return "cursor/" + organization }

// Encode returns the cursor as it is stored.
func (c Cursor) Encode() ([]byte, error) { return json.Marshal(c) }

// DecodeCursor reads a stored cursor. The error wraps ErrNewerCursor or
// ErrUnreadableCursor.
func DecodeCursor(value []byte) (Cursor, error) {
	var c Cursor
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(value, &head); err != nil {
		return c, fmt.Errorf("%w: %w", ErrUnreadableCursor, err)
	}
	if head.Version > CursorVersion {
		return c, fmt.Errorf("%w: it has version %d, this release reads up to %d", ErrNewerCursor, head.Version, CursorVersion)
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrUnreadableCursor, err)
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrUnreadableCursor, err)
	}
	return c, nil
}

// Validate reports the first thing in the cursor that can not be so.
func (c Cursor) Validate() error {
	switch {
	case c.Version < 1:
		return fmt.Errorf("version %d", c.Version)
	case c.Organization == "":
		return errors.New("no organization")
	case c.SeenRecords < 0:
		return fmt.Errorf("%d records of seen ids", c.SeenRecords)
	case c.StartAnew:
		return nil
	case c.Start > c.Floor:
		return fmt.Errorf("start %v is after floor %v", c.Start, c.Floor)
	case len(c.Scopes) != len(Scopes()):
		return fmt.Errorf("%d scopes, not %d", len(c.Scopes), len(Scopes()))
	}
	for _, scope := range Scopes() {
		p, ok := c.Scopes[scope]
		if !ok {
			return fmt.Errorf("scope %s is missing", scope)
		}
		if err := p.validate(c.Floor); err != nil {
			return fmt.Errorf("scope %s: %w", scope, err)
		}
	}
	return nil
}

func (p Position) validate(floor Second) error {
	switch p.State {
	case StateOn, StateOff, StateRefused, StateFailing:
	default:
		return fmt.Errorf("state %q", p.State)
	}
	if p.State == StateOn && p.Frozen {
		return errors.New("on, but frozen")
	}
	last := MinSecond
	for _, r := range p.History {
		switch {
		case r.From >= r.To:
			return fmt.Errorf("history range from %v to %v", r.From, r.To)
		case r.From < last:
			return fmt.Errorf("history range from %v overlaps the one before", r.From)
		case !r.HoldsFloor && r.To > floor:
			return fmt.Errorf("history range to %v reaches above the floor %v and does not hold it", r.To, floor)
		}
		last = r.To
	}
	return nil
}

// Clone returns a cursor that shares nothing with c.
func (c Cursor) Clone() Cursor {
	scopes := make(map[Scope]Position, len(c.Scopes))
	for s, p := range c.Scopes {
		p.History = slices.Clone(p.History)
		scopes[s] = p
	}
	c.Scopes, c.Topics, c.Openers = scopes, maps.Clone(c.Topics), slices.Clone(c.Openers)
	c.SchemaIDs, c.Seal = maps.Clone(c.SchemaIDs), c.Seal.Clone()
	return c
}
