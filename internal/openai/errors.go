package openai

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what went wrong, from a closed list that can be a metric's label.
type Kind string

// The kinds of error, and how each is treated before a caller sees it.
const (
	// KindUnauthorized: the key is wrong. Permanent until the key changes.
	KindUnauthorized Kind = "unauthorized"
	// KindForbidden: the key lacks a scope, or may not do this. Permanent.
	KindForbidden Kind = "forbidden"
	// KindRefused: 401 or 403 without a reason. It passes on a valid key, so it
	// is asked again; a caller sees it only after Config.Attempts in a row.
	KindRefused Kind = "refused"
	// KindRateLimited: 429, again and again.
	KindRateLimited Kind = "rate_limited"
	// KindUnavailable: 408, 409, 5xx, no answer, a cut one, or none in time.
	KindUnavailable Kind = "unavailable"
	// KindMalformed: the answer is not a page.
	KindMalformed Kind = "malformed"
	// KindDisordered: the pages are right one by one and wrong together: not
	// newest first, nothing new, or outside the window. The walk is not complete.
	KindDisordered Kind = "disordered"
	// KindVanishedCursor: see ErrVanishedCursor.
	KindVanishedCursor Kind = "vanished_cursor"
	// KindRejected: another 4xx, or a redirect, which is not followed.
	KindRejected Kind = "rejected"
	// KindKeyUnreadable: Config.Key gave no usable key.
	KindKeyUnreadable Kind = "key_unreadable"
)

// ErrVanishedCursor says that the API no longer knows the id from which the next
// page was to go on. The walk is over; a new one, from the start, finds the way.
var ErrVanishedCursor = errors.New("the API no longer knows the event from which the next page goes on")

// errTooLarge marks a page above Config.MaxBodyBytes.
var errTooLarge = errors.New("the page is larger than the limit")

// remedies says, for each kind, what to do about it.
var remedies = map[Kind]string{
	KindUnauthorized:   "the key is wrong, revoked or no admin key: put a valid one (sk-admin-…) into OPENAI_ADMIN_KEY or its file, it is read again",
	KindForbidden:      "the key may not read this: it needs the scope api.audit_logs.read (Admin Keys, Restricted, Audit Logs: Read), and for tenant events a right to them",
	KindRefused:        "refused without a reason, several times in a row: if it stays, check that the key has the scope api.audit_logs.read",
	KindRateLimited:    "the API's rate limit: it is tried again; if it stays, lower API_CONCURRENCY, set API_REQUESTS_PER_MINUTE, or look at the account's limits and billing",
	KindUnavailable:    "it is tried again; if it stays, check the network, HTTPS_PROXY, OPENAI_BASE_URL and status.openai.com",
	KindMalformed:      "the answer is not a page of audit logs and counts for nothing; it is tried again; if it stays, check OPENAI_BASE_URL and what lies between here and the API",
	KindDisordered:     "the pages do not fit together, so the walk counts for nothing; it is tried again from its start; if it stays, the API has changed: look for a newer release",
	KindVanishedCursor: "the walk begins again",
	KindRejected:       "check OPENAI_BASE_URL, and look for a newer release if the API has changed",
	KindKeyUnreadable:  "check OPENAI_ADMIN_KEY or the file named by OPENAI_ADMIN_KEY_FILE: it must be readable and hold the key alone",
}

// Error is every error of this package but those of a context that ended.
type Error struct {
	Kind Kind
	// Status is the HTTP status, 0 if no answer came.
	Status int
	// Code is error.code of the answer, if it had one.
	Code string
	// RequestID is the header x-request-id, for OpenAI's support.
	RequestID string
	// Body is the beginning of the answer, printable, without the key, and without
	// e-mail and IP addresses. Of a JSON answer it is error.message alone, since the
	// rest may be events.
	Body string
	// RetryAfter is how long the server said to wait; 0: it did not.
	RetryAfter time.Duration
	// Tries is how often the page was asked for.
	Tries int
	// Err is the cause, if there is one apart from the answer. Its text is without
	// the key.
	Err error

	// shouldRetry is the header x-should-retry: nil, or what it says.
	shouldRetry *bool
	// keyChanged says that the key was replaced while the request was out.
	keyChanged bool
}

// Error says what happened, where, and what to do about it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("listing audit logs: ")
	if e.Status != 0 {
		fmt.Fprintf(&b, "HTTP %d", e.Status)
		for _, about := range []string{e.Code, e.RequestID} {
			if about != "" {
				fmt.Fprintf(&b, " [%s]", about)
			}
		}
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error() + ": ")
	}
	if e.Body != "" {
		fmt.Fprintf(&b, "%q: ", e.Body)
	}
	if e.Tries > 1 {
		fmt.Fprintf(&b, "after %d tries: ", e.Tries)
	}
	b.WriteString(remedies[e.Kind])
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Denied reports whether the API does not let the key read the list: the key is
// wrong, lacks the right, or was refused many times in a row.
func (e *Error) Denied() bool {
	switch e.Kind {
	case KindUnauthorized, KindForbidden, KindRefused:
		return true
	}
	return false
}

// passing reports whether the same request may well succeed later. The server's
// own word comes before the status.
func (e *Error) passing() bool {
	if e.shouldRetry != nil {
		return *e.shouldRetry
	}
	switch e.Kind {
	case KindRefused, KindRateLimited, KindUnavailable, KindKeyUnreadable:
		return true
	case KindMalformed:
		return !errors.Is(e.Err, errTooLarge)
	}
	return false
}
