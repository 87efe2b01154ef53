package target

import (
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// The roles of topics, as the cursor names them. The role of a copy is its name.
const (
	Events  = "events"
	DLQ     = "dlq"
	Offsets = "offsets"
	Seal    = "seal"
)

// Roles lists every role that a topic can have, in the order of reports.
func Roles() []string {
	roles := []string{Events, DLQ, Offsets}
	for _, c := range codec.Copies() {
		roles = append(roles, c.Name)
	}
	return append(roles, Seal)
}

// HoldsEvents reports whether a topic of that role gets every event.
func HoldsEvents(role string) bool { return role != DLQ && role != Offsets && role != Seal }

// Filled reports whether a repair finds and writes what the topic of that role lacks, or it
// holds the state. Copies and checkpoints are written beside those.
func Filled(role string) bool { return role == Events || role == DLQ || role == Offsets }

// Topics are the names of the topics in use.
type Topics struct {
	Events, DLQ, Offsets string
	// Seal gets all checkpoints; empty: none does.
	Seal string
	// Copies are those of the copies in use, by the copy's name.
	Copies map[string]string
}

// Of returns the name of the topic of a role; empty if none is in use.
func (t Topics) Of(role string) string {
	switch role {
	case Events:
		return t.Events
	case DLQ:
		return t.DLQ
	case Offsets:
		return t.Offsets
	case Seal:
		return t.Seal
	}
	return t.Copies[role]
}

// Roles lists the roles of the topics in use, in the order of reports.
func (t Topics) Roles() []string {
	return slices.DeleteFunc(Roles(), func(role string) bool { return t.Of(role) == "" })
}

// Names returns the names of the topics in use, sorted.
func (t Topics) Names() []string {
	var names []string
	for _, role := range t.Roles() {
		names = append(names, t.Of(role))
	}
	slices.Sort(names)
	return names
}

// Found are topics as the brokers have them, by role.
type Found map[string]kafka.Topic

// Found returns those of the topics in use that are among these, which are by name.
func (t Topics) Found(byName map[string]kafka.Topic) Found {
	found := Found{}
	for _, role := range t.Roles() {
		if topic, ok := byName[t.Of(role)]; ok {
			found[role] = topic
		}
	}
	return found
}

// copies returns the copies that have a topic.
func (f Found) copies() []codec.Copy {
	return slices.DeleteFunc(codec.Copies(), func(c codec.Copy) bool { return f[c.Name].Name == "" })
}

// MaxMessageBytes returns what batches the topics take, by name, where known.
func (f Found) MaxMessageBytes() map[string]int {
	out := map[string]int{}
	for _, topic := range f {
		out[topic.Name] = topic.MaxMessageBytes
	}
	return out
}

// Refs returns the topics as a cursor remembers them.
func (f Found) Refs() map[string]auditlog.Topic {
	out := map[string]auditlog.Topic{}
	for role, topic := range f {
		out[role] = auditlog.Topic{Name: topic.Name, ID: topic.ID}
	}
	return out
}
