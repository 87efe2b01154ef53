package openai

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// errorBodyBytes is how much of an answer that is no page is read, or looked at.
const errorBodyBytes = 64 << 10

// answer is a page with what its HTTP response says of it.
type answer struct {
	listing
	body         []byte        // after decompression
	asked        time.Time     // when the request began, on the local clock
	took         time.Duration // from then to the header of the response
	date         time.Time     // the server's clock; zero if it did not say
	organization string
}

// exchange sends one request and reads its answer. The error is an *Error.
func (c *Client) exchange(ctx context.Context, r request, key string) (answer, error) {
	// The bound covers the body too: a connection that dies in the middle of a body
	// stays silent.
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTimeout)
	defer cancel()
	begin := c.cfg.Now()
	code := 0
	defer func() { c.cfg.OnRequest(code, c.cfg.Now().Sub(begin)) }()

	req, err := c.newRequest(ctx, r, key)
	if err != nil {
		return answer{}, &Error{Kind: KindRejected, Err: err}
	}
	// Not http.Client: it follows redirects, and puts the URL into its errors.
	res, err := c.cfg.Transport.RoundTrip(req)
	if err != nil {
		return answer{}, unavailable(ctx, err, key)
	}
	defer res.Body.Close()
	code = res.StatusCode
	a := answer{asked: begin, took: c.cfg.Now().Sub(begin), organization: res.Header.Get("Openai-Organization")}
	a.date, _ = http.ParseTime(res.Header.Get("Date")) // zero if it cannot be read

	large := c.cfg.Limiter.largeBody(r.Class)
	defer large.release()
	if code != http.StatusOK {
		// For an error, any part of the body is good enough.
		body, _ := readBody(ctx, res, errorBodyBytes, &large)
		e := classify(res, body, key, r.after != "", c.cfg.Now())
		if denies(code) {
			c.cfg.OnRefused(e.Kind)
		}
		return answer{}, e
	}
	body, err := readBody(ctx, res, c.cfg.MaxBodyBytes, &large)
	if err == nil {
		a.body = body
		if a.listing, err = parsePage(body, r.Scope, r.Parsed); err == nil {
			return a, nil
		}
	}
	e := brokenPage(ctx, err, key)
	e.Status, e.RequestID = code, excerpt([]byte(res.Header.Get("X-Request-Id")), key)
	e.Body = quotable(body, key)
	return answer{}, e
}

var errTimeout = errors.New("no complete answer in time")

// unavailable is the error of an answer that did not come, or not all of it.
func unavailable(ctx context.Context, err error, key string) *Error {
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		err = cause
	}
	return &Error{Kind: KindUnavailable, Err: scrubError(err, key)}
}

// brokenPage is the error of an answer 200 that is no page.
func brokenPage(ctx context.Context, err error, key string) *Error {
	var read *readError
	if errors.As(err, &read) {
		return unavailable(ctx, err, key)
	}
	return &Error{Kind: KindMalformed, Err: scrubError(err, key)}
}

func (c *Client) newRequest(ctx context.Context, r request, key string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoint+"?"+r.params().Encode(), nil)
	if err != nil {
		return nil, errors.New("the request cannot be built from the base URL")
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", auditlog.UserAgent)
	return req, nil
}

// quotable returns what an error may quote of an answer that is no page. Of what looks
// like JSON, which may be events, that is only the message of an error.
func quotable(body []byte, key string) string {
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		return excerpt([]byte(errorBody(body).message), key)
	}
	return excerpt(body, key)
}
