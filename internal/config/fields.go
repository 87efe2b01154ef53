package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// What a value must be, package connector says, by field. Which variable a field is filled
// from, the table says.

// fieldVariable returns the variable of a field.
func fieldVariable(field string) string {
	for _, c := range codec.Copies() {
		if c.Field() == field {
			return c.Setting()
		}
	}
	for _, s := range table {
		if s.field == field {
			return s.Name
		}
	}
	return ""
}

// variable returns the variable of a field of an organization.
func (v variables) variable(field string) string {
	return map[string]string{
		"Name": v.name, "AdminKey": v.key, "BaseURL": v.baseURL, "BackfillStart": v.backfill, "TenantEvents": v.tenantEvents,
	}[field]
}

// variable returns the variable that a field was filled from: of several organizations
// the general one, where one has none of its own.
func (e *environment) variable(field string) string {
	var n int
	var of string
	if _, err := fmt.Sscanf(field, "Organizations[%d].%s", &n, &of); err != nil {
		return fieldVariable(field)
	}
	numbers := e.numbers()
	if len(numbers) == 0 {
		return single.variable(of)
	}
	name := numbered(numbers[n]).variable(of)
	if of != "Name" && of != "AdminKey" && !e.isSet(name) {
		return single.variable(of)
	}
	return name
}

// check notes what package connector finds wrong with the settings.
func (e *environment) check(c connector.Config, opts Options) {
	if len(e.numbers()) > 0 { // what is given for all is checked, though none may use it
		general := connector.DefaultOrganization()
		e.fill(&general, single, opts)
		e.note(general.Validate(), single.variable, func(field string) bool { return field != "AdminKey" })
	}
	c.Logger = slog.New(slog.DiscardHandler) // the caller's comes later
	e.note(c.Validate(), e.variable, func(field string) bool {
		return !opts.WithoutKey || !strings.HasSuffix(field, ".AdminKey") || e.isGiven(e.variable(field))
	})
}

// isGiven reports whether a secret is set, as it is or by its file.
func (e *environment) isGiven(variable string) bool {
	return e.isSet(variable) || e.isSet(variable+FileSuffix)
}

// note takes over the errors of the fields that matter, under the names of their
// variables.
func (e *environment) note(err error, variable func(field string) string, matters func(field string) bool) {
	wrong, _ := errors.AsType[connector.ConfigError](err)
	known := e.faults
	for _, field := range wrong {
		name := variable(field.Field)
		if field.File != "" && isSecretName(name) {
			name += FileSuffix
		}
		// A value that could not be read is a fault already, and the field has its default.
		if !matters(field.Field) || e.isSet(name) && known.has(name) {
			continue
		}
		fault := field.Rename(func(other string) string {
			of := variable(other)
			if isSecretName(of) && !e.isSet(of) && e.isSet(of+FileSuffix) {
				return of + FileSuffix
			}
			return of
		})
		remedy := e.remedy(name, fault)
		if isSecretName(strings.TrimSuffix(name, FileSuffix)) && field.Err == nil {
			e.hiddenFault(name, fault.Problem, remedy)
			continue
		}
		e.fault(name, fault.Problem, remedy)
		e.faults[len(e.faults)-1].absent = errors.Is(field.Err, fs.ErrNotExist) || errors.Is(field.Err, connector.ErrEmptySecret)
	}
}

// remedy adds to that of an error what only the text of a variable shows.
func (e *environment) remedy(name string, field *connector.FieldError) string {
	meant := ""
	if name == "KAFKA_BROKERS" {
		meant = meantBrokers(e.vars[name])
	}
	switch {
	case meant != "":
		return "did you mean " + meant + "? TLS and signing in are KAFKA_TLS and KAFKA_SASL_MECHANISM"
	case strings.HasSuffix(name, "ADMIN_KEY") && !e.isGiven(name):
		return field.Remedy + ", or the path of a file with it in " + name + FileSuffix
	}
	return field.Remedy
}
