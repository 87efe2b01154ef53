package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// longestWait bounds what a server can make us wait, against a Retry-After that
// is a mistake. To ask once a day costs nobody anything.
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
	code, message := errorBody(body)
	e.Code = excerpt([]byte(code), key)
	e.Kind = kindOf(res.StatusCode, code, message, paging)
	switch {
	case e.Kind == KindVanishedCursor:
		e.Err = ErrVanishedCursor
	case res.StatusCode >= 300 && res.StatusCode < 400:
		// Not followed: the key would go to whatever host the answer names.
		e.Err = fmt.Errorf("a redirect to the host %q, which is not followed", scrub(redirectHost(res), key))
	}
	return e
}

// kindOf maps a status, with the code and message of the body, to a kind.
// Source of the distinctions among 401 and 403: bodies seen in public, where both
// statuses carry each of the three cases.
func kindOf(status int, code, message string, paging bool) Kind {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return denial(status, code, message)
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status >= 500:
		return KindUnavailable
	case paging && (status == http.StatusBadRequest || status == http.StatusNotFound):
		return KindVanishedCursor
	case status < 300:
		// Another success than 200: no page, whatever it is.
		return KindMalformed
	}
	return KindRejected
}

func denial(status int, code, message string) Kind {
	switch {
	case code == "insufficient_scope" || strings.Contains(message, "Missing scopes"):
		return KindForbidden
	case code == "" && !strings.Contains(message, "Incorrect API key"):
		return KindRefused
	case status == http.StatusForbidden:
		return KindForbidden
	}
	return KindUnauthorized
}

// errorBody reads {"error": {"message", "code"}} as far as it is there.
func errorBody(body []byte) (code, message string) {
	var v struct {
		Error struct {
			Code    any `json:"code"`
			Message any `json:"message"`
		} `json:"error"`
	}
	// An error body may as well be HTML or nothing; then there is no code.
	_ = json.Unmarshal(body, &v)
	code, _ = v.Error.Code.(string)
	message, _ = v.Error.Message.(string)
	return code, message
}

// retryAfter reads how long to wait: Retry-After-Ms, then Retry-After in seconds
// or as an HTTP date. A date is compared with the server's own clock where the
// answer tells it, so that a clock off by hours is not a wait of hours. 0: the
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
