package openai

import (
	"cmp"
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
	// KindRefused: 401 or 403 because rights are missing, without a word on which. It
	// has been seen to pass on a valid key, so it is asked again; a caller sees it only
	// after Config.Attempts in a row.
	KindRefused Kind = "refused"
	// KindAddressRefused: the organization's list of IP addresses lacks ours.
	KindAddressRefused Kind = "address_refused"
	// KindOtherHost: the organization's data is at another host, Error.Host.
	KindOtherHost Kind = "other_host"
	// KindCountryRefused: our address is in a country that is not served.
	KindCountryRefused Kind = "country_refused"
	// KindBarred: 401 or 403 that names neither the key nor a right: a proxy's page,
	// or a code that is not known here. It is asked again.
	KindBarred Kind = "barred"
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
	KindUnauthorized:   "the key is wrong, revoked or no admin key: put a valid one (sk-admin-…) into the file of OPENAI_ADMIN_KEY_FILE, which is read again, or into OPENAI_ADMIN_KEY and start again",
	KindForbidden:      "the key may not read this: give one that has the scope api.audit_logs.read (Admin Keys, Restricted, Audit Logs: Read); tenant events need a right of their own",
	KindRefused:        "refused without a reason, several times in a row: if it stays, check that the key has the scope api.audit_logs.read",
	KindAddressRefused: "the organization takes requests from some IP addresses only, and ours is not among them; the key is not at fault: add the address that leaves this network to the organization's IP allow list (it counts within a quarter of an hour), or go out another way with HTTPS_PROXY",
	KindOtherHost:      "the organization's data is kept in another region; the key is not at fault: set OPENAI_BASE_URL=https://<host>/v1, with the host that the API names",
	KindCountryRefused: "OpenAI does not serve the country from which the request comes; the key is not at fault: use a proxy in another one (HTTPS_PROXY), or fix the route out of this network",
	KindBarred:         "neither the key nor a right is named: a proxy or firewall may answer in place of the API (check HTTPS_PROXY, NO_PROXY and OPENAI_BASE_URL); otherwise do what the answer says; it is tried again",
	KindRateLimited:    "the API's rate limit: it is tried again; if it stays, lower API_CONCURRENCY, set API_REQUESTS_PER_MINUTE, or look at the account's limits and billing",
	KindUnavailable:    "it is tried again; if it stays, check the network, HTTPS_PROXY, OPENAI_BASE_URL and status.openai.com",
	KindMalformed:      "the answer is not a page of audit logs and counts for nothing; it is tried again; if it stays, check OPENAI_BASE_URL and what is between here and the API",
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
	// Host is where the organization is, of KindOtherHost and if the API named it.
	Host string
	// FromAPI says that the answer has the form of the API's errors. A proxy's has not.
	FromAPI bool
	// RetryAfter is how long the server said to wait; 0: it did not.
	RetryAfter time.Duration
	// Tries is how often the page was asked for.
	Tries int
	// Err is the cause, if there is one apart from the answer. Its text is without
	// the key.
	Err error

	// keySetting and baseURLSetting are those of Config.
	keySetting, baseURLSetting string
	// shouldRetry is the header x-should-retry: nil, or what it says.
	shouldRetry *bool
	// keyChanged says that the key was replaced while the request was out.
	keyChanged bool
	// wait is how long the page waits after a 429, whether or not the server said so.
	wait time.Duration
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
	b.WriteString(e.Remedy())
	return b.String()
}

// Remedy says what to do.
func (e *Error) Remedy() string {
	do := remedies[e.Kind]
	if e.Host != "" {
		do = strings.Replace(do, "<host>", e.Host, 1)
	}
	return strings.NewReplacer(
		"OPENAI_ADMIN_KEY", cmp.Or(e.keySetting, "OPENAI_ADMIN_KEY"),
		"OPENAI_BASE_URL", cmp.Or(e.baseURLSetting, "OPENAI_BASE_URL"),
	).Replace(do)
}

// Said returns status, code and message of the answer.
func (e *Error) Said() string {
	said := fmt.Sprintf("HTTP %d", e.Status)
	if e.Code != "" {
		said += ", " + e.Code
	}
	if e.Body != "" {
		said += fmt.Sprintf(", %q", e.Body)
	}
	return said
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Denied reports whether the API does not let the key read the list: the key is
// wrong, or LacksRight.
func (e *Error) Denied() bool { return e.Kind == KindUnauthorized || e.LacksRight() }

// LacksRight reports whether the API says that the key may not read the list. A
// request that comes from the wrong place, or that a proxy refuses, says nothing about
// the key, nor of one list more than of another.
func (e *Error) LacksRight() bool { return e.Kind == KindForbidden || e.Kind == KindRefused }

// passing reports whether the same request may well succeed later. The server's
// own word comes before the status.
func (e *Error) passing() bool {
	if e.shouldRetry != nil {
		return *e.shouldRetry
	}
	switch e.Kind {
	case KindRefused, KindBarred, KindRateLimited, KindUnavailable, KindKeyUnreadable:
		return true
	case KindMalformed:
		return !errors.Is(e.Err, errTooLarge)
	}
	return false
}
