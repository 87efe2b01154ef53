package flat

import (
	_ "embed"
	"strings"
	"sync"
)

// eventTypes has a line for each type: its name, a tab and its scope. Source:
// OpenAI's specification and openai-go v3.96.0, as of 2026-11-05.
//
//go:embed event_types.tsv
var eventTypes string

// EventType is a type that this release knows.
type EventType struct {
	Name string
	// Scope is the list that shows it: organization or tenant.
	Scope string
}

var types = sync.OnceValue(func() []EventType {
	_, lines, _ := strings.Cut(strings.TrimSpace(eventTypes), "\n") // without the heading
	var all []EventType
	for line := range strings.Lines(lines) {
		name, scope, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all = append(all, EventType{name, scope})
	}
	return all
})

var typeNames = sync.OnceValue(func() map[string]bool {
	names := make(map[string]bool)
	for _, t := range types() {
		names[t.Name] = true
	}
	return names
})

// Types returns the types that this release knows. The log may hold others.
func Types() []EventType { return append([]EventType(nil), types()...) }

// KnownType reports whether the type is one of Types.
func KnownType(name string) bool { return typeNames()[name] }

// The values of the column outcome.
const (
	OutcomeSuccess = "success"
	OutcomeFailure = "failure"
	OutcomeUnknown = "unknown"
)

// outcome says how the action ended: the log records what was done, so all but
// the types that say otherwise are successes. Of a type that is not known we do
// not know even that.
func outcome(eventType string) string {
	switch _, last := splitType(eventType); {
	case last == "failed":
		return OutcomeFailure
	case KnownType(eventType):
		return OutcomeSuccess
	default:
		return OutcomeUnknown
	}
}

// splitType returns the type without its last segment, and that segment.
func splitType(eventType string) (target, last string) {
	dot := strings.LastIndexByte(eventType, '.')
	if dot < 0 {
		return "", eventType
	}
	return eventType[:dot], eventType[dot+1:]
}
