package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// apiError is the error of an error answer.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func coded(kind, code, message string) apiError {
	return apiError{Message: message, Type: kind, Code: &code}
}

// Bodies seen in public, or made after the specification.
var (
	missingScope = coded("invalid_request_error", "insufficient_scope",
		"You have insufficient permissions for this operation. Missing scopes: api.audit_logs.read.")
	refused        = apiError{Type: "invalid_request_error", Message: "You have insufficient permissions for this operation."}
	addressRefused = coded("invalid_request_error", "ip_not_authorized",
		"Your IP address 203.0.113.7 is not authorized to access this organization.")
	otherHost = coded("invalid_request_error", "incorrect_hostname",
		"You are trying to access the API with an incorrect hostname. Use https://eu.api.openai.com instead.")
	countryRefused = coded("request_forbidden", "unsupported_country_region_territory",
		"Country, region, or territory not supported")
	rateLimited = coded("requests", "rate_limit_exceeded", "Rate limit reached.")
	userAction  = coded("insufficient_quota", "insufficient_quota", "Action is required on the account.")
	serverError = apiError{Type: "server_error", Message: "The server had an error while processing your request."}
)

func wrongKey(key string) apiError {
	return coded("invalid_request_error", "invalid_api_key", "Incorrect API key provided: "+key+".")
}

// fail answers with an error.
func (an *answer) fail(status int, e apiError) {
	an.api.stats.status(status)
	body, err := json.Marshal(map[string]apiError{"error": e})
	if err != nil {
		panic("simulator: an error cannot be encoded: " + err.Error())
	}
	an.w.WriteHeader(status)
	_, _ = an.w.Write(body) // the client may be gone
}

// fails answers if the fault is an answer that is no page.
func (an *answer) fails() bool {
	a := an.api
	after := func(value string) { an.w.Header().Set("Retry-After", value) }
	switch an.fault {
	case RateLimitSeconds:
		after(strconv.Itoa(int(a.cfg.RetryAfter.Seconds())))
		an.fail(http.StatusTooManyRequests, rateLimited)
	case RateLimitDate:
		after(a.cfg.Now().Add(a.cfg.DateOffset + a.cfg.RetryAfter).UTC().Format(http.TimeFormat))
		an.fail(http.StatusTooManyRequests, rateLimited)
	case RateLimitMillis:
		an.w.Header().Set("Retry-After-Ms", strconv.FormatInt(a.cfg.RetryAfter.Milliseconds(), 10))
		an.fail(http.StatusTooManyRequests, rateLimited)
	case RateLimitBare:
		an.fail(http.StatusTooManyRequests, rateLimited)
	case RateLimitUserAction:
		an.fail(http.StatusTooManyRequests, userAction)
	case RequestTimeout:
		an.fail(http.StatusRequestTimeout, serverError)
	case Conflict:
		an.fail(http.StatusConflict, serverError)
	case ServerError:
		an.fail(http.StatusInternalServerError, serverError)
	case Unavailable:
		an.fail(http.StatusServiceUnavailable, serverError)
	case BadGateway:
		an.html(http.StatusBadGateway)
	case HTML:
		an.html(http.StatusOK)
	case WrongKey:
		an.fail(http.StatusUnauthorized, wrongKey("sk-admin-****"))
	case MissingScope401:
		an.fail(http.StatusUnauthorized, missingScope)
	case MissingScope403:
		an.fail(http.StatusForbidden, missingScope)
	case Refused401:
		an.fail(http.StatusUnauthorized, refused)
	case Refused403:
		an.fail(http.StatusForbidden, refused)
	case AddressRefused:
		an.fail(http.StatusUnauthorized, addressRefused)
	case OtherHost:
		an.fail(http.StatusUnauthorized, otherHost)
	case CountryRefused:
		an.fail(http.StatusForbidden, countryRefused)
	case ProxyRefuses:
		an.html(http.StatusForbidden)
	case Redirect:
		an.w.Header().Set("Location", "https://elsewhere.example.com"+an.r.URL.RequestURI())
		an.fail(http.StatusFound, serverError)
	default:
		return false
	}
	return true
}

func (an *answer) html(status int) {
	an.api.stats.status(status)
	an.w.Header().Set("Content-Type", "text/html")
	an.w.WriteHeader(status)
	_, _ = an.w.Write([]byte("<html><head><title>Bad gateway</title></head><body>\n<h1>Bad gateway</h1></body></html>\n"))
}

// twist makes a page wrong that is right in form.
func (an *answer) twist(p page) page {
	switch an.fault {
	case HasMoreFalse:
		p.hasMore = false
	case HasMoreTrue:
		p.hasMore = true
	case EmptyWithMore:
		p = page{hasMore: true}
	case Duplicated:
		doubled := make([]number, 0, 2*len(p.events))
		for _, n := range p.events {
			doubled = append(doubled, n, n)
		}
		p.events = doubled
	case Shuffled:
		p.events = slices.Clone(p.events)
		for i := range p.events {
			j := an.api.intN(i + 1)
			p.events[i], p.events[j] = p.events[j], p.events[i]
		}
	}
	return p
}

// reset cuts the connection.
func reset(w http.ResponseWriter) {
	h, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0) // RST instead of FIN, as far as it can be had
	}
	_ = conn.Close()
}

// partly writes the first part of a body and flushes it.
func partly(w http.ResponseWriter, part []byte) {
	_, _ = w.Write(part)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
