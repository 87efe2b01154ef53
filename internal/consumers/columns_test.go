package consumers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// row is an event, column by column: nil, a string, a number as float64, a time in
// milliseconds as float64, or a list.
type row map[string]any

// wantRow returns the columns of an event after docs/consuming.md, from encoding/json:
// nothing of what writes them is in it.
func wantRow(t *testing.T, ev auditlog.Event, ingestedAt time.Time) row {
	t.Helper()
	var raws map[string]json.RawMessage
	decode(t, ev.Raw, &raws)
	var root object
	decode(t, ev.Raw, &root)

	actor, key := root.in("actor", "session"), root.in("actor", "api_key")
	place := actor.in("ip_address_details")
	details := ev.Type
	if _, ok := root[ev.Type].(map[string]any); !ok {
		details = "details"
	}
	own := root.in(details)
	from := places{own, own.in("data"), own.in("changes_requested")}
	user := or(actor.in("user").text("id"), key.in("user").text("id"))
	service := key.in("service_account").text("id")
	kind, _ := cutLast(ev.Type)

	want := row{
		"id": ev.ID, "type": ev.Type, "event_scope": string(ev.Scope), "organization": organization,
		"effective_at": float64(ev.EffectiveAt.Time().UnixMilli()), "ingested_at": float64(ingestedAt.UnixMilli()),
		"outcome":    outcome(ev.Type),
		"project_id": root.in("project").text("id"), "project_name": root.in("project").text("name"),
		"actor_type": root.in("actor").text("type"), "actor_id": or(user, service, key.text("id")),
		"actor_email":   or(actor.in("user").text("email"), key.in("user").text("email")),
		"actor_user_id": user, "actor_service_account_id": service,
		"actor_api_key_id": key.text("id"), "actor_api_key_type": key.text("type"),
		"source_ip": actor.text("ip_address"), "user_agent": actor.text("user_agent"), "ja3": actor.text("ja3"), "ja4": actor.text("ja4"),
		"source_country": place.text("country"), "source_region": place.text("region"),
		"source_region_code": place.text("region_code"), "source_city": place.text("city"),
		"source_asn": place.number("asn"), "source_latitude": place.number("latitude"), "source_longitude": place.number("longitude"),
		"target_type": text(kind), "target_id": own.text("id"), "target_email": from.text("email"),
		"target_name":  from.text("name", "role_name", "group_name", "title", "connector_name"),
		"principal_id": from.text("principal_id"), "principal_type": from.text("principal_type"),
		"resource_id": from.text("resource_id"), "resource_type": from.text("resource_type"),
		"role":       or(from.text("role"), assigned(own.text("id"))),
		"error_code": from.text("error_code"), "error_message": from.text("error_message"),
		"changed_fields": list(own.in("changes_requested").paths("")),
		"details":        nil, "raw_event": string(ev.Raw),
	}
	for _, name := range []string{"scopes", "permissions", "permissions_added", "permissions_removed", "allowed_ips"} {
		want[name] = from.list(name)
	}
	if own != nil {
		want["details"] = string(raws[details])
	}
	return want
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

type object map[string]any

// in returns the object at the path; nil where there is none.
func (o object) in(path ...string) object {
	for _, name := range path {
		o, _ = o[name].(map[string]any)
	}
	return o
}

// text returns the string under the name; nil for an empty one too. No column holds a
// NUL, which PostgreSQL refuses.
func (o object) text(name string) any {
	s, _ := o[name].(string)
	return text(s)
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

func (o object) number(name string) any {
	n, err := strconv.ParseFloat(fmt.Sprint(o[name]), 64)
	if err != nil {
		return nil
	}
	return n
}

// paths returns the paths to what is in o.
func (o object) paths(prefix string) (paths []string) {
	for name, v := range o {
		if inner, ok := v.(map[string]any); ok && len(inner) > 0 {
			paths = append(paths, object(inner).paths(prefix+name+".")...)
		} else {
			paths = append(paths, prefix+name)
		}
	}
	slices.Sort(paths)
	return paths
}

// places are where a column of the event's own object may be, the first before the next.
type places []object

func (p places) text(names ...string) any {
	for _, name := range names {
		for _, o := range p {
			if v := o.text(name); v != nil {
				return v
			}
		}
	}
	return nil
}

func (p places) list(name string) any {
	for _, o := range p {
		var found []string
		all, _ := o[name].([]any)
		for _, v := range all {
			if s, ok := v.(string); ok && s != "" {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return list(found)
		}
	}
	return []any{}
}

func list(items []string) any {
	all := []any{}
	for _, s := range items {
		all = append(all, s)
	}
	return all
}

func or(values ...any) any {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

func outcome(kind string) string {
	switch {
	case strings.HasSuffix(kind, ".failed"):
		return "failure"
	case slices.ContainsFunc(simulator.Types(), func(t simulator.Type) bool { return t.Name == kind }):
		return "success"
	}
	return "unknown"
}

// assigned returns the role in the id of a role assignment.
func assigned(id any) any {
	s, _ := id.(string)
	parts := strings.Split(strings.TrimPrefix(s, "role_assignment_"), "__")
	if !strings.HasPrefix(s, "role_assignment_") || len(parts) < 3 {
		return nil
	}
	return parts[0]
}

func cutLast(kind string) (before, last string) {
	i := strings.LastIndex(kind, ".")
	return kind[:max(i, 0)], kind[i+1:]
}
