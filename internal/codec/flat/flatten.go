package flat

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// ErrNotAnObject is the error of an event that is JSON, but no object.
var ErrNotAnObject = errors.New("not a JSON object")

// Flatten returns the columns that come from the event's own JSON, raw, which
// must be valid UTF-8. The rules:
//
//   - Names are matched exactly; of a repeated name the last counts.
//   - A value of the wrong kind and an empty string are null. Inside a list they
//     are left out.
//   - A NUL and half of a surrogate pair are U+FFFD.
//   - A number may be sent as a number or as a string; what does not parse is
//     null.
//   - The event's own object is the value under its type, if that is an object,
//     else the one under "details". A column is looked for in it, then in its
//     "data", then in its "changes_requested".
//
// An eventType that is empty is read from the event: the reader of pages takes no
// text that is not Unicode, and a column does, with U+FFFD.
//
// ID, EventScope, the times and Organization are left to the caller.
func Flatten(eventType, raw string) (*Record, error) {
	return new(Flattener).Flatten(eventType, raw)
}

// Flattener flattens one event after the other in the same memory.
type Flattener struct{ filled flattener }

// Flatten is what the function of that name is. The record is valid until the next call.
func (fl *Flattener) Flatten(eventType, raw string) (*Record, error) {
	tape := rawjson.Borrow()
	defer tape.GiveBack()
	root, err := tape.Parse(raw)
	if err != nil {
		return nil, err
	}
	return fl.FlattenParsed(eventType, raw, root)
}

// FlattenParsed is Flatten of what is parsed already: root is the value of raw.
func (fl *Flattener) FlattenParsed(eventType, raw string, root rawjson.Value) (*Record, error) {
	if !root.Is(rawjson.Object) {
		return nil, ErrNotAnObject
	}
	if eventType = WithoutNUL(eventType); eventType == "" {
		eventType = root.Get("type").Text()
	}
	f := &fl.filled
	*f = flattener{}
	f.Type, f.Outcome, f.RawEvent = eventType, outcome(eventType), raw
	f.project(root.Get("project"))
	f.actor(root.Get("actor"))
	f.target(eventType, payloadOf(root, eventType))
	return &f.Record, nil
}

// WithoutNUL returns the text as it stands in a column, with U+FFFD for each NUL.
func WithoutNUL(text string) string { return rawjson.WithoutNUL(text) }

// flattener fills a record. Its nullable strings live beside it in texts, and its
// numbers: one allocation in place of thirty.
type flattener struct {
	Record
	texts [32]string // more than there are columns to fill
	used  int
	// Likewise.
	asn                 int64
	latitude, longitude float64
}

// text returns the column for s: null if it is empty.
func (f *flattener) text(s string) *string {
	if s == "" {
		return nil
	}
	if f.used == len(f.texts) {
		return new(s)
	}
	f.texts[f.used] = s
	f.used++
	return &f.texts[f.used-1]
}

func (f *flattener) project(project rawjson.Value) {
	f.ProjectID = f.text(project.Get("id").Text())
	f.ProjectName = f.text(project.Get("name").Text())
}

// actor goes by what is there, not by actor.type, which is an open set: a
// session, a key, both or neither.
func (f *flattener) actor(actor rawjson.Value) {
	session, apiKey := actor.Get("session"), actor.Get("api_key")
	sessionUser, keyUser := session.Get("user"), apiKey.Get("user")

	f.ActorType = f.text(actor.Get("type").Text())
	f.ActorUserID = f.text(either(sessionUser.Get("id").Text(), keyUser.Get("id").Text()))
	f.ActorEmail = f.text(either(sessionUser.Get("email").Text(), keyUser.Get("email").Text()))
	f.ActorServiceAccountID = f.text(apiKey.Get("service_account").Get("id").Text())
	f.ActorAPIKeyID = f.text(apiKey.Get("id").Text())
	f.ActorAPIKeyType = f.text(apiKey.Get("type").Text())
	f.ActorID = firstOf(f.ActorUserID, f.ActorServiceAccountID, f.ActorAPIKeyID)
	f.source(session)
}

// source reads what OpenAI's specification does not name, but live records have.
func (f *flattener) source(session rawjson.Value) {
	f.SourceIP = f.text(session.Get("ip_address").Text())
	f.UserAgent = f.text(session.Get("user_agent").Text())
	f.JA3 = f.text(session.Get("ja3").Text())
	f.JA4 = f.text(session.Get("ja4").Text())

	place := session.Get("ip_address_details")
	f.SourceCountry = f.text(place.Get("country").Text())
	f.SourceRegion = f.text(place.Get("region").Text())
	f.SourceRegionCode = f.text(place.Get("region_code").Text())
	f.SourceCity = f.text(place.Get("city").Text())
	f.SourceASN = parseASN(place.Get("asn").Number(), &f.asn)
	f.SourceLatitude = parseDegrees(place.Get("latitude").Number(), &f.latitude)
	f.SourceLongitude = parseDegrees(place.Get("longitude").Number(), &f.longitude)
}

func (f *flattener) target(eventType string, p payload) {
	targetType, _ := splitType(eventType)
	f.TargetType = f.text(targetType)
	if !p.own.Is(rawjson.Object) {
		return
	}
	f.Details = f.text(p.own.Raw())
	f.TargetID = f.text(p.own.Get("id").Text())
	f.TargetName = f.text(p.text("name", "role_name", "group_name", "title", "connector_name"))
	f.TargetEmail = f.text(p.text("email"))
	f.PrincipalID = f.text(p.text("principal_id"))
	f.PrincipalType = f.text(p.text("principal_type"))
	f.ResourceID = f.text(p.text("resource_id"))
	f.ResourceType = f.text(p.text("resource_type"))
	f.Role = f.text(p.text("role"))
	if f.Role == nil && f.TargetID != nil {
		f.Role = f.text(roleOfAssignment(*f.TargetID))
	}
	f.ErrorCode = f.text(p.text("error_code"))
	f.ErrorMessage = f.text(p.text("error_message"))

	f.Scopes = p.list("scopes")
	f.Permissions = p.list("permissions")
	f.PermissionsAdded = p.list("permissions_added")
	f.PermissionsRemoved = p.list("permissions_removed")
	f.AllowedIPs = p.list("allowed_ips")
	f.ChangedFields = changedFields(p.changes)
}

// payload is the event's own object and where in it a column may be.
type payload struct{ own, data, changes rawjson.Value }

func payloadOf(root rawjson.Value, eventType string) payload {
	own := root.Get(eventType)
	if !own.Is(rawjson.Object) {
		own = root.Get("details")
	}
	return payload{own, own.Get("data"), own.Get("changes_requested")}
}

// text returns the first string that is not empty under one of the names, an
// earlier name before an earlier place.
func (p payload) text(names ...string) string {
	for _, name := range names {
		for _, place := range [...]rawjson.Value{p.own, p.data, p.changes} {
			if s := place.Get(name).Text(); s != "" {
				return s
			}
		}
	}
	return ""
}

// list returns the first list of strings under the name that has any.
func (p payload) list(name string) []string {
	for _, place := range [...]rawjson.Value{p.own, p.data, p.changes} {
		var list []string
		for item := range place.Get(name).Items {
			if s := item.Text(); s != "" {
				list = append(list, s)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// roleOfAssignment returns the role in the id of a role assignment, which has
// the form role_assignment_<role>__<resource type>__<resource>_<principal>; ""
// if it has another. No field of the event names the role.
func roleOfAssignment(id string) string {
	rest, ok := strings.CutPrefix(id, "role_assignment_")
	if !ok {
		return ""
	}
	role, rest, _ := strings.Cut(rest, "__")
	if !strings.Contains(rest, "__") {
		return ""
	}
	return role
}

// parseASN reads the number of an autonomous system, "64500" or "AS64500".
func parseASN(s string, at *int64) *int64 {
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		s = s[2:]
	}
	if s == "" {
		return nil // without the allocations of an error, for most events have none
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return nil
	}
	*at = int64(n)
	return at
}

// parseDegrees reads a decimal number, in JSON's form alone.
func parseDegrees(s string, at *float64) *float64 {
	if s == "" || !rawjson.IsNumber(s) { // most events have none: without the allocations of an error
		return nil
	}
	degrees, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	*at = degrees
	return at
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func firstOf(columns ...*string) *string {
	if i := slices.IndexFunc(columns, func(c *string) bool { return c != nil }); i >= 0 {
		return columns[i]
	}
	return nil
}
