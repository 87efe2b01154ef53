package codec

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// The kinds of a RegistryError, for errors.Is.
var (
	// ErrRegistryUnavailable: the registry could not be reached, was busy or did
	// not answer like a registry. Time or another hand can mend it: try again.
	ErrRegistryUnavailable = errors.New("the schema registry is unavailable")
	// ErrRegistryUnauthorized: the registry refused who we are or what we may.
	// Try again, for the credentials are read anew.
	ErrRegistryUnauthorized = errors.New("the schema registry refused access")
	// ErrSchemaIncompatible: the registry refused the schema. It needs a decision.
	ErrSchemaIncompatible = errors.New("the schema registry refused the schema")
	// ErrSchemaMissing: no version of ours is registered and none may be. It
	// needs a decision.
	ErrSchemaMissing = errors.New("the schema is not registered")
)

// RegistryError is an error of the schema registry.
type RegistryError struct {
	// Kind is one of the errors above.
	Kind error
	// Doing says what was tried, for example "registering the schema".
	Doing string
	// Status is the registry's HTTP status; 0 if there was no answer.
	Status int
	// Difference is in what the schemas differ, if that is the matter.
	Difference string
	// Cause is the registry's answer or the failure to get one.
	Cause error
}

// remedies says, for each kind, what to do about it.
var remedies = map[error]string{
	ErrRegistryUnavailable:  "check SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_TLS_CA_FILE and the network",
	ErrRegistryUnauthorized: "check SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, and what the user may do",
	ErrSchemaIncompatible:   "give the connector a topic of its own, or see with `schema check` what is registered under the subject",
	ErrSchemaMissing:        "register it with `schema register`, or set SCHEMA_REGISTRY_AUTO_REGISTER=true",
}

// Remedy says what to do about it.
func (e *RegistryError) Remedy() string { return remedies[e.Kind] }

// Error says what was tried, what came of it, the registry's own words, the
// difference and the remedy. Those words are for people: each registry has others.
func (e *RegistryError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Doing, e.Kind)
	if e.Status != 0 {
		text += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Cause != nil {
		text += ": " + shorten(causeText(e.Cause))
	}
	if e.Difference != "" {
		text += ": " + e.Difference
	}
	return text + ": " + e.Remedy()
}

// causeText leaves out what the client says twice: the request that failed.
func causeText(err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Error()
	}
	return err.Error()
}

// shorten keeps a proxy's page of HTML out of the log.
func shorten(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// Unwrap returns the kind and the cause.
func (e *RegistryError) Unwrap() []error { return []error{e.Kind, e.Cause} }

// registryError tells what an error of the client means, by its status alone:
// error codes and texts differ from registry to registry, and an answer may have
// neither. A context that ended is no fault of the registry.
func registryError(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	status := statusOf(err)
	e := &RegistryError{Kind: ErrRegistryUnavailable, Doing: doing, Status: status, Cause: err}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Kind = ErrRegistryUnauthorized
	case http.StatusConflict, http.StatusUnprocessableEntity:
		e.Kind = ErrSchemaIncompatible
	}
	return e
}

// statusOf returns the HTTP status of the registry's answer, 0 if none came.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok {
		return answer.StatusCode
	}
	return 0
}

func isNotFound(err error) bool { return statusOf(err) == http.StatusNotFound }
