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
	// not answer like a registry. It may pass, or be fixed at the registry: try again.
	ErrRegistryUnavailable = errors.New("the schema registry is unavailable")
	// ErrRegistryUnauthorized: the registry refused who we are or what we may.
	// Try again, since the credentials are read again.
	ErrRegistryUnauthorized = errors.New("the schema registry refused access")
	// ErrRegistryReadOnly: the registry takes nothing for the subject at present, from
	// any user. It can be fixed at the registry: try again.
	ErrRegistryReadOnly = errors.New("the schema registry is read-only")
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
	// Proxy is the host of the proxy through which it was asked; empty: none.
	Proxy string
	// Status is the registry's HTTP status; 0 if there was no answer.
	Status int
	// Difference is in what the schemas differ, if that is the cause.
	Difference string
	// Cause is the registry's answer or the failure to get one.
	Cause error
}

// remedies says, for each kind, what to do about it.
var remedies = map[error]string{
	ErrRegistryUnavailable:  "check SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_TLS_CA_FILE, the network, and what answers in place of the registry",
	ErrRegistryUnauthorized: "check SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, and what the user may do",
	ErrRegistryReadOnly:     "set its mode to READWRITE until the schema is registered, or have it registered where that may be done; it is tried again",
	ErrSchemaIncompatible:   "give the connector a topic of its own, or remove what is under the subject, which `schema check` describes",
	ErrSchemaMissing:        "register it with `schema register`, or set SCHEMA_REGISTRY_AUTO_REGISTER=true",
}

// Remedy says what to do about it.
func (e *RegistryError) Remedy() string {
	remedy := remedies[e.Kind]
	if e.Proxy != "" {
		remedy += "; it is asked through the proxy " + e.Proxy + ", since HTTPS_PROXY or HTTP_PROXY says so: if that is not meant, put the registry's host into NO_PROXY"
	}
	return remedy
}

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

// codeNotPermitted is the error_code of a registry, or a subject, that is read-only.
const codeNotPermitted = 42205

// failed says what an error of the client means. The status alone does not say: an
// ingress or a proxy that answers in place of the registry has the same ones. What
// needs a decision is believed only with an error_code, which registries alone have.
// A context that ended is no fault of the registry.
func (r registry) failed(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	status, code := answerOf(err)
	e := &RegistryError{Kind: ErrRegistryUnavailable, Doing: doing, Proxy: r.proxy, Status: status, Cause: err}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind = ErrRegistryUnauthorized
	case code == codeNotPermitted:
		e.Kind = ErrRegistryReadOnly
	case code != 0 && (status == http.StatusConflict || status == http.StatusUnprocessableEntity):
		e.Kind = ErrSchemaIncompatible
	}
	return e
}

// answerOf returns the HTTP status of an answer, and the error_code in it; 0 if there
// is none.
func answerOf(err error) (status, code int) {
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok {
		return answer.StatusCode, answer.ErrorCode
	}
	return 0, 0
}

// isNotFound reports whether the registry itself says that something is not there:
// 40401 and the like. A path that it does not know is 404, with no such code.
func isNotFound(err error) bool {
	status, code := answerOf(err)
	return status == http.StatusNotFound && code/100 == http.StatusNotFound
}
