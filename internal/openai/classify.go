package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// longestWait bounds what a server can make us wait, against a Retry-After that
// is a mistake. One request a day costs next to nothing.
const longestWait = 24 * time.Hour

// classify turns an answer other than 200 into its error. paging says that the
// request had the parameter after.
func classify(res *http.Response, body []byte, key string, paging bool, now time.Time) *Error {
	e := &Error{
		Status:     res.StatusCode,
		RequestID:  excerpt([]byte(res.Header.Get("X-Request-Id")), key),
		Body:       quotable(body, key),
		RetryAfter: retryAfter(res.Header, now),
	}
	if retry, err := strconv.ParseBool(res.Header.Get("X-Should-Retry")); err == nil {
		e.shouldRetry = &retry
	}
	said := errorBody(body)
	e.Code, e.FromAPI = excerpt([]byte(said.code), key), said.present
	e.Kind = kindOf(res.StatusCode, said, paging)
	switch {
	case e.Kind == KindOtherHost:
		e.Host = apiHost.FindString(strings.ToLower(said.message))
	case e.Kind == KindVanishedCursor:
		e.Err = ErrVanishedCursor
	case res.StatusCode >= 300 && res.StatusCode < 400:
		// Not followed: the key would go to any host that the answer names.
		e.Err = fmt.Errorf("a redirect to the host %q, which is not followed", scrub(redirectHost(res), key))
	}
	return e
}

// apiHost finds a host of the API in a message.
var apiHost = regexp.MustCompile(`\b([a-z0-9-]+\.)*api\.openai\.com\b`)

// kindOf maps a status, with what the body says, to a kind.
func kindOf(status int, said errorText, paging bool) Kind {
	switch {
	case denies(status):
		return denial(said)
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status >= 500:
		return KindUnavailable
	case paging && (status == http.StatusBadRequest || status == http.StatusNotFound):
		return KindVanishedCursor
	case status < 300:
		// A success other than 200 is no page.
		return KindMalformed
	}
	return KindRejected
}

func denies(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// denial says which case a 401 or 403 is. Source: bodies seen in public, where both
// statuses carry the same cases. An answer that names neither the key nor a right must
// not be taken for a wrong key: people would replace a key that is right.
func denial(said errorText) Kind {
	switch said.code {
	case "insufficient_scope":
		return KindForbidden
	case "ip_not_authorized":
		return KindAddressRefused
	case "incorrect_hostname":
		return KindOtherHost
	case "unsupported_country_region_territory":
		return KindCountryRefused
	case "invalid_api_key":
		return KindUnauthorized
	}
	switch {
	case strings.Contains(said.message, "Missing scopes"):
		return KindForbidden
	case strings.Contains(said.message, "API key"):
		return KindUnauthorized
	case strings.Contains(said.code+said.message, "permission") && said.code != "":
		return KindForbidden
	case strings.Contains(said.message, "permission"):
		return KindRefused
	}
	return KindBarred
}

// errorText is what {"error": {"message", "code"}} says, as far as it is there.
type errorText struct {
	code, message string
	present       bool // there is such an object
}

func errorBody(body []byte) (said errorText) {
	var v struct {
		Error map[string]any `json:"error"`
	}
	// An error body may as well be HTML or nothing; then there is no code.
	_ = json.Unmarshal(body, &v)
	said.code, _ = v.Error["code"].(string)
	said.message, _ = v.Error["message"].(string)
	said.present = v.Error != nil
	return said
}

// retryAfter reads how long to wait: Retry-After-Ms, then Retry-After in seconds
// or as an HTTP date. A date is compared with the server's own clock where the
// answer has it, so that a clock off by hours is not a wait of hours. 0: the
// server did not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d, ok := parseDelay(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	text := h.Get("Retry-After")
	if d, ok := parseDelay(text, time.Second); ok {
		return d
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), longestWait)
}

func parseDelay(text string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(n) {
		return 0, false
	}
	n = min(max(n, 0), float64(longestWait/unit))
	return time.Duration(n * float64(unit)), true
}

// redirectHost names the host alone: the rest of a location may hold a secret.
func redirectHost(res *http.Response) string {
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil || u.Host == "" {
		return "of this address"
	}
	return u.Host
}

// checkKey reports whether the key can be sent at all. net/http would refuse a
// line break too, but without saying whose fault it is.
func checkKey(key string) error {
	if key == "" {
		return errors.New("the key is empty")
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return errors.New("the key holds a space, a line break or another character that no key has")
		}
	}
	return nil
}
