package config

import (
	"errors"
	"reflect"
	"strings"
	"unicode"

	"github.com/caarlos0/env/v11"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// environment is what was given, and what is found wrong with it on the way.
type environment struct {
	vars   map[string]string // trimmed; empty ones are not in it
	faults Faults
	// warnings are about what is allowed and probably not meant.
	warnings []string
}

func newEnvironment(environ []string) *environment {
	e := &environment{vars: make(map[string]string, len(environ))}
	for name, value := range env.ToMap(environ) {
		if value = strings.TrimSpace(strings.TrimPrefix(value, "\ufeff")); value != "" {
			e.vars[name] = value
		}
	}
	return e
}

func (e *environment) isSet(name string) bool { return e.vars[name] != "" }

// fault notes what is wrong with a variable whose value may be shown.
func (e *environment) fault(variable, problem, remedy string) {
	value := shownAtFault(e.vars[variable])
	if strings.HasSuffix(variable, FileSuffix) {
		value = shownPath(e.vars[variable])
	}
	e.faults = append(e.faults, Fault{Variable: variable, Value: value, Problem: problem, Remedy: remedy})
}

// hiddenFault notes what is wrong with a secret.
func (e *environment) hiddenFault(variable, problem, remedy string) {
	e.faults = append(e.faults, Fault{Variable: variable, Problem: problem, Remedy: remedy})
}

// parse fills the fields of a struct whose variables are set. Fields of the
// others keep their value, so the struct comes with its defaults.
func (e *environment) parse(into any, prefix string) {
	err := env.ParseWithOptions(into, env.Options{Environment: e.vars, Prefix: prefix})
	failed, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return
	}
	for _, err := range failed.Errors {
		// The text of the library's error holds the value in places, and is
		// never used: only the name of the field, and our own error inside.
		parse, ok := errors.AsType[env.ParseError](err)
		if !ok {
			panic("config: a tag that env does not understand") // the struct is ours
		}
		field, _ := reflect.TypeOf(into).Elem().FieldByName(parse.Name)
		problem := "cannot be read"
		for _, known := range []error{errDuration, errTime, errNumber, errFlag, errOnOff, errPair} {
			if errors.Is(parse.Err, known) {
				problem = known.Error()
			}
		}
		e.fault(prefix+field.Tag.Get("env"), problem, remedyOf(parse.Err))
	}
}

// secret returns a secret from X or X_FILE.
func (e *environment) secret(variable string) connector.Secret {
	value, file := e.vars[variable], e.vars[variable+FileSuffix]
	switch {
	case value != "" && file != "":
		e.hiddenFault(variable, "given twice, also as "+variable+FileSuffix, "keep one of them")
	case value != "":
		s := connector.SecretValue(value)
		e.warnOfSecret(variable, s)
		return s
	case file != "":
		s := connector.SecretFile(file)
		e.warnOfSecret(variable+FileSuffix, s)
		return s
	}
	return connector.Secret{}
}

func (e *environment) warnOfSecret(variable string, s connector.Secret) {
	value, err := s.Read()
	switch {
	case err != nil, strings.ContainsFunc(value, unicode.IsControl): // a fault
	case strings.ContainsFunc(value, unseen):
		e.warnings = append(e.warnings, variable+": it holds an invisible character, or a blank that is not a space; write it again by hand")
	case isQuoted(value):
		e.warnings = append(e.warnings, variable+": it is in quotes, which count as a part of it; leave them out")
	}
}

// unseen finds characters that are in no secret which somebody typed: those of no
// width, and all blanks but the usual one.
func unseen(r rune) bool {
	return unicode.Is(unicode.Cf, r) || r != ' ' && unicode.IsSpace(r) || unicode.Is(unicode.Co, r)
}

func isQuoted(value string) bool {
	first, last := value[:1], value[len(value)-1:]
	return len(value) > 1 && first == last && strings.ContainsAny(first, "\"'`")
}
