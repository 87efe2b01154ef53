package simulator

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// badParam is a 400 about one parameter.
type badParam struct{ param, message string }

func (e badParam) Error() string { return e.message }

// params are the parameters of the endpoint, read as the specification has them.
type params struct {
	from, to                                  int64 // of effective_at: [from, to)
	projects, types, actors, emails, resource []string
	tenantOnly                                bool
	limit                                     int
	after, before                             string
}

// parseParams reads a query. What is not in openapi-audit-logs.yaml is an error,
// unless lax.
func parseParams(query url.Values, lax bool) (params, error) {
	p := params{from: math.MinInt64 / 2, to: math.MaxInt64 / 2, limit: 20}
	for name, given := range query {
		if err := p.set(name, given, lax); err != nil {
			return p, err
		}
	}
	if p.after != "" && p.before != "" {
		return p, badParam{"before", "Only one of after and before can be given."}
	}
	return p, p.checkTypes()
}

func (p *params) set(name string, given []string, lax bool) (err error) {
	switch name {
	case "project_ids[]":
		p.projects = given
		return nil
	case "event_types[]":
		p.types = given
		return nil
	case "actor_ids[]":
		p.actors = given
		return nil
	case "actor_emails[]":
		p.emails = given
		return nil
	case "resource_ids[]":
		p.resource = given
		return nil
	}
	if len(given) != 1 {
		return badParam{name, fmt.Sprintf("%s was given %d times.", name, len(given))}
	}
	value := given[0]
	switch name {
	case "effective_at[gt]", "effective_at[gte]", "effective_at[lt]", "effective_at[lte]":
		err = p.setTime(name, value)
	case "tenant_only":
		if value != "true" && value != "false" {
			return badParam{name, "tenant_only must be a boolean."}
		}
		p.tenantOnly = value == "true"
	case "limit":
		p.limit, err = strconv.Atoi(value)
		if err != nil || p.limit < 1 || p.limit > 100 {
			return badParam{name, "limit must be an integer between 1 and 100."}
		}
	case "after":
		p.after = value
	case "before":
		p.before = value
	default:
		if !lax {
			return badParam{name, "Unknown parameter: " + strconv.Quote(name) + "."}
		}
	}
	return err
}

func (p *params) setTime(name, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < -1<<60 || n > 1<<60 {
		return badParam{name, name + " must be an integer."}
	}
	switch name {
	case "effective_at[gt]":
		p.from = max(p.from, n+1)
	case "effective_at[gte]":
		p.from = max(p.from, n)
	case "effective_at[lt]":
		p.to = min(p.to, n)
	case "effective_at[lte]":
		p.to = min(p.to, n+1)
	}
	return nil
}

// checkTypes holds event_types[] against the list of types, and, with
// tenant_only, against those of the tenant scope.
func (p *params) checkTypes() error {
	for _, t := range p.types {
		scope, ok := typeScopes()[t]
		switch {
		case !ok:
			return badParam{"event_types[]", "Unknown event type: " + strconv.Quote(t) + "."}
		case p.tenantOnly && scope != auditlog.ScopeTenant:
			return badParam{"event_types[]", "With tenant_only, all event types must be tenant-scoped: " + strconv.Quote(t) + " is not."}
		}
	}
	return nil
}

// match returns the filter for everything but time; nil if there is none.
func (p *params) match() func(Event) bool {
	if len(p.projects)+len(p.types)+len(p.actors)+len(p.emails)+len(p.resource) == 0 {
		return nil
	}
	return func(e Event) bool {
		var v map[string]json.RawMessage
		_ = json.Unmarshal(e.Raw, &v) // what cannot be read matches no filter
		var project struct{ ID string }
		_ = json.Unmarshal(v["project"], &project)
		var payload struct{ ID string }
		_ = json.Unmarshal(v[e.Type], &payload)
		actors, emails := actorOf(v["actor"])
		return accepts(p.types, e.Type) && accepts(p.projects, project.ID) &&
			accepts(p.resource, payload.ID) && accepts(p.actors, actors...) && accepts(p.emails, emails...)
	}
}

// actorOf returns the ids and e-mails of an actor: a user's, a service account's
// or a key's.
func actorOf(raw json.RawMessage) (ids, emails []string) {
	type user struct{ ID, Email string }
	var actor struct {
		Session struct{ User user }
		APIKey  struct {
			ID             string
			User           user
			ServiceAccount user `json:"service_account"`
		} `json:"api_key"`
	}
	_ = json.Unmarshal(raw, &actor)
	for _, u := range []user{actor.Session.User, actor.APIKey.User, actor.APIKey.ServiceAccount} {
		ids, emails = append(ids, u.ID), append(emails, u.Email)
	}
	return append(ids, actor.APIKey.ID), emails
}

// accepts reports whether a filter wants one of the values; an empty one wants
// everything.
func accepts(wanted []string, values ...string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(values, func(v string) bool {
		return v != "" && slices.Contains(wanted, v)
	})
}
