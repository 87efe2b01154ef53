package simulator

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Type is one row of event_types.tsv: a type that the API documents.
type Type struct {
	Name  string
	Scope auditlog.Scope
	// Fields are the fields of its payload, as "path:type" with commas between;
	// a path has dots, and [] behind what is an array.
	Fields string
	// Payload says that the record has a field named as the type.
	Payload bool
}

//go:embed event_types.tsv
var typesTSV string

// Types returns the documented types, in the order of the table.
var Types = sync.OnceValue(func() []Type {
	lines := strings.Split(strings.TrimRight(typesTSV, "\n"), "\n")[1:] // below the head
	types := make([]Type, 0, len(lines))
	for _, line := range lines {
		column := strings.Split(line, "\t")
		types = append(types, Type{
			Name:    column[0],
			Scope:   auditlog.Scope(column[1]),
			Payload: column[2] == "yes",
			Fields:  column[3],
		})
	}
	return types
})

// typeScopes is the scope of each documented type by name.
var typeScopes = sync.OnceValue(func() map[string]auditlog.Scope {
	scopes := make(map[string]auditlog.Scope)
	for _, t := range Types() {
		scopes[t.Name] = t.Scope
	}
	return scopes
})
