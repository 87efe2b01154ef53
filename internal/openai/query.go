package openai

import (
	"net/url"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// pageLimit is the most events the API gives in one page, and what is asked for.
// Source: openapi-audit-logs.yaml, parameter limit.
const pageLimit = 100

// Query is what a walk asks for.
type Query struct {
	// Scope is the list to read.
	Scope auditlog.Scope
	// AlsoRead is the other list, if that is read too. An event outside its time is left
	// to that list if the event is in its own time there. Empty: it is not read.
	AlsoRead auditlog.Scope
	// From is the first second asked for (effective_at[gte]).
	From auditlog.Second
	// To is the end of the time asked for, and not part of it; only if Bounded.
	To auditlog.Second
	// Bounded says that To counts. A walk without it reads the head of the log.
	Bounded bool
	// ToEnd says that the walk is read to its end and counts for nothing before. So it
	// is complete in any order of the list. Without it the newest must come first, since
	// the walk may be left early.
	ToEnd bool
	// Parsed says that the pages keep their events parsed. It costs more than to find them,
	// and less than to parse all of them afterwards. See Page.Parsed.
	Parsed bool
	// Class is how the walk's requests wait for each other at the limiter.
	Class Class
}

// last is the last second asked for, where that is bounded: the API takes it, and not the end, as
// effective_at[lte].
func (q Query) last() auditlog.Second { return q.To - 1 }

// request is one page asked for: parameters that stay the same through a walk,
// and those that do not.
type request struct {
	Query
	unfiltered bool // without effective_at
	limit      int
	after      string
}

// params returns the request's parameters, documented ones only: what the API does with
// others is not known.
func (r request) params() url.Values {
	v := url.Values{"limit": {strconv.Itoa(r.limit)}}
	if !r.unfiltered {
		v.Set("effective_at[gte]", second(r.From))
		if r.Bounded {
			v.Set("effective_at[lte]", second(r.last()))
		}
	}
	if r.Scope == auditlog.ScopeTenant {
		v.Set("tenant_only", "true")
	}
	if r.after != "" {
		v.Set("after", r.after)
	}
	return v
}

func second(s auditlog.Second) string { return strconv.FormatInt(int64(s), 10) }
