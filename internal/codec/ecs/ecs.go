// Package ecs renders a record as an event of the Elastic Common Schema, version 9,
// in JSON. What the schema has no field for stands under openai.audit, with the names
// that Elastic's own integration for OpenAI uses, so that dashboards and rules made for
// it find it.
//
// Elasticsearch refuses a document whole when one field does not fit: an address that
// is none, a name with an empty part, a number too large. Such a value is left out or
// renamed here; event.original has it in any case.
package ecs

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

// Version is the version of the schema.
const Version = "9.4.0"

// object is a JSON object. encoding/json writes its names in their order.
type object = map[string]any

// Encode returns the record's event.
func Encode(r *flat.Record) ([]byte, error) { return marshal(newEvent(r)) }

// EncodeBrief returns the record's event without what repeats the source: its raw
// text and its own object. A tag says so. It is for an event too large for its topic.
func EncodeBrief(r *flat.Record) ([]byte, error) {
	brief := *r
	brief.Details, brief.RawEvent, brief.AllowedIPs, brief.ChangedFields = nil, "", nil, nil
	e := newEvent(&brief)
	e["tags"] = []string{"truncated"}
	return marshal(e)
}

func marshal(e object) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false) // it would make event.original longer, and no safer
	if err := encoder.Encode(compact(e)); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// compact leaves out what is empty.
func compact(o object) object {
	maps.DeleteFunc(o, func(_ string, value any) bool {
		switch value := value.(type) {
		case object:
			return len(compact(value)) == 0
		case *string:
			return value == nil
		case string:
			return value == ""
		case []string:
			return len(value) == 0
		default:
			return value == nil
		}
	})
	return o
}

func newEvent(r *flat.Record) object {
	kind := kindOf(r.Type)
	user := object{"id": r.ActorUserID, "email": r.ActorEmail, "name": firstOf(r.ActorEmail, r.ActorUserID), "domain": domain(r.ActorEmail)}
	e := object{
		"@timestamp": moment(r.EffectiveAt),
		"ecs":        object{"version": Version},
		"event": object{
			"kind": "event", "category": kind.category, "type": kind.types, "action": action(r.Type), "outcome": r.Outcome,
			"id": r.ID, "original": r.RawEvent, "created": moment(r.IngestedAt),
			"module": "openai", "dataset": "openai.audit", "provider": "OpenAI",
		},
		"observer":     object{"vendor": "OpenAI", "product": "OpenAI"},
		"organization": object{"name": r.Organization},
		"cloud":        object{"provider": "openai", "project": object{"id": r.ProjectID, "name": r.ProjectName}},
		"service":      object{"id": r.ActorServiceAccountID},
		"error":        object{"code": r.ErrorCode, "message": r.ErrorMessage},
		"source":       source(r),
		"user_agent":   object{"original": r.UserAgent},
		"tls":          object{"client": object{"ja3": r.JA3}},
		"user":         user,
		"openai":       object{"audit": audit(r)},
	}
	who := target(r)
	if kind.isAbout("group") || text(r.PrincipalType) == "group" {
		e["group"] = object{"id": who["id"], "name": who["name"]}
	} else if user["target"] = who; !kind.isAbout("user") {
		delete(who, "id") // an invitation's, say; of the user it has the address
		delete(who, "name")
	}
	e["related"] = related(r, kind)
	return e
}

// kind is what the schema's tables say of a type.
type kind struct{ category, types []string }

// isAbout reports whether the event is about a user or a group.
func (k kind) isAbout(what string) bool { return slices.Contains(k.types, what) }

//go:embed mapping.tsv
var table string

var kinds = sync.OnceValue(func() map[string]kind {
	all := make(map[string]kind)
	_, lines, _ := strings.Cut(table, "\n") // without the heading
	for line := range strings.Lines(lines) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		all[c[0]] = kind{[]string{c[1]}, strings.Split(c[2], ",")}
	}
	return all
})

// kindOf returns the least that can be said for a type that is not known.
func kindOf(eventType string) kind {
	if k, ok := kinds()[eventType]; ok {
		return k
	}
	return kind{[]string{"iam"}, []string{"info"}}
}

// action is the type as Elastic's integration has it: login-succeeded.
func action(eventType string) string { return strings.ReplaceAll(strings.ToLower(eventType), ".", "-") }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func domain(email *string) string {
	_, domain, _ := strings.Cut(text(email), "@")
	return domain
}

// source has the address as an IP only where it is one.
func source(r *flat.Record) object {
	geo := object{
		"city_name": r.SourceCity, "country_name": r.SourceCountry, "region_name": r.SourceRegion, "region_iso_code": r.SourceRegionCode,
	}
	if country := text(r.SourceCountry); len(country) == 2 {
		delete(geo, "country_name")
		geo["country_iso_code"] = country
		if r.SourceRegionCode != nil {
			geo["region_iso_code"] = country + "-" + *r.SourceRegionCode
		}
	}
	if lat, lon := r.SourceLatitude, r.SourceLongitude; lat != nil && lon != nil && within(*lat, 90) && within(*lon, 180) {
		geo["location"] = object{"lat": *lat, "lon": *lon}
	}
	s := object{"address": r.SourceIP, "geo": geo, "ip": ip(text(r.SourceIP))}
	if r.SourceASN != nil {
		s["as"] = object{"number": *r.SourceASN}
	}
	return s
}

func within(degrees, limit float64) bool { return -limit <= degrees && degrees <= limit }

// ip returns the address, "" if it is none that Elasticsearch takes.
func ip(s string) string {
	if address, err := netip.ParseAddr(s); err != nil || address.Zone() != "" {
		return ""
	}
	return s
}

// target is the user or the group that the event is about: for a role, who gets it.
func target(r *flat.Record) object {
	who := object{"id": r.TargetID, "name": r.TargetName, "email": r.TargetEmail}
	if r.PrincipalID != nil {
		who["id"], who["name"] = r.PrincipalID, ""
	}
	if r.Role != nil && text(r.PrincipalType) != "group" {
		who["roles"] = []string{*r.Role}
	}
	return who
}

// related gathers what is searched for across events.
func related(r *flat.Record, k kind) object {
	users := []string{text(r.ActorEmail), text(r.ActorUserID), text(r.ActorServiceAccountID), text(r.TargetEmail)}
	if k.isAbout("user") && text(r.PrincipalType) != "group" {
		users = append(users, text(firstOf(r.PrincipalID, r.TargetID)))
	}
	addresses := []string{ip(text(r.SourceIP))}
	for _, allowed := range r.AllowedIPs {
		addresses = append(addresses, ip(allowed))
	}
	return object{"user": distinct(users), "ip": distinct(addresses), "hash": distinct([]string{text(r.JA3), text(r.JA4)})}
}

// distinct returns the texts that are not empty, each once.
func distinct(texts []string) (once []string) {
	for _, s := range texts {
		if s != "" && !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// audit is the event in Elastic's layout, with the columns that it has no field for.
func audit(r *flat.Record) object {
	user := object{"id": r.ActorUserID, "email": r.ActorEmail}
	key := object{"id": r.ActorAPIKeyID, "type": r.ActorAPIKeyType, "service_account": object{"id": r.ActorServiceAccountID}}
	session := object{"ip_address": ip(text(r.SourceIP)), "ja3": r.JA3, "ja4": r.JA4, "user_agent": r.UserAgent}
	if text(r.ActorType) == "api_key" || r.ActorAPIKeyID != nil {
		key["user"] = user
	} else {
		session["user"] = user
	}
	a := object{
		"id": r.ID, "type": r.Type, "effective_at": moment(r.EffectiveAt), "event_scope": r.EventScope,
		"actor":   object{"type": r.ActorType, "api_key": key, "session": session},
		"project": object{"id": r.ProjectID, "name": r.ProjectName},
		"target":  object{"id": r.TargetID, "type": r.TargetType, "name": r.TargetName, "email": r.TargetEmail},
		"role":    object{"name": r.Role}, "principal": object{"id": r.PrincipalID, "type": r.PrincipalType},
		"resource":       object{"id": r.ResourceID, "type": r.ResourceType},
		"changed_fields": r.ChangedFields,
	}
	if own := detailsOf(r); own != nil {
		a[place(r.Type)] = own
	}
	return a
}

// place is where the event's own object stands: under its type, as in Elastic's
// layout. A type that is not known may be no name for a field.
func place(eventType string) string {
	if flat.KnownType(eventType) {
		return eventType
	}
	return "details"
}

// maxDepth is how deep the event's own object is laid out; Elasticsearch takes 20.
const maxDepth = 8

// detailsOf returns the event's own object, without the text of a certificate, which
// can be long. It is nil for one that encoding/json finds too deep.
func detailsOf(r *flat.Record) any {
	if r.Details == nil {
		return nil
	}
	var own object
	d := json.NewDecoder(strings.NewReader(*r.Details))
	d.UseNumber()
	if d.Decode(&own) != nil {
		return nil
	}
	delete(own, "certificate")
	return fitting(own, maxDepth)
}

// fitting returns the value with names and numbers that Elasticsearch takes: a dot in a
// name would begin an object, and a number beyond a long or a double has no type.
func fitting(value any, depth int) any {
	switch value := value.(type) {
	case json.Number:
		if _, err := value.Int64(); err == nil {
			return value
		}
		if _, err := value.Float64(); err != nil || !strings.ContainsAny(value.String(), ".eE") {
			return value.String()
		}
	case []any:
		if depth == 0 {
			return asText(value)
		}
		for i := range value {
			value[i] = fitting(value[i], depth-1)
		}
	case object:
		if depth == 0 {
			return asText(value)
		}
		fits := object{}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			fits[fittingName(name)] = fitting(value[name], depth-1)
		}
		return fits
	}
	return value
}

func asText(value any) string {
	text, _ := json.Marshal(value) // it was read as JSON
	return string(text)
}

func fittingName(name string) string {
	if name = strings.ReplaceAll(name, ".", "_"); strings.TrimSpace(name) == "" {
		return "_"
	}
	return name
}

func firstOf(columns ...*string) *string {
	for _, c := range columns {
		if c != nil {
			return c
		}
	}
	return nil
}

func text(column *string) string {
	if column == nil {
		return ""
	}
	return *column
}
