package flat

import (
	"errors"
	"slices"
	"strconv"
	"strings"
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
	t := borrowTape()
	defer t.giveBack()
	if err := t.parse(raw); err != nil {
		return nil, err
	}
	root := t.root()
	if !root.is(kindObject) {
		return nil, ErrNotAnObject
	}
	if eventType = WithoutNUL(eventType); eventType == "" {
		eventType = root.get("type").string()
	}
	f := new(flattener)
	f.Type, f.Outcome, f.RawEvent = eventType, outcome(eventType), raw
	f.project(root.get("project"))
	f.actor(root.get("actor"))
	f.target(eventType, payloadOf(root, eventType))
	return &f.Record, nil
}

// flattener fills a record. Its nullable strings live beside it in texts: one
// allocation in place of thirty.
type flattener struct {
	Record
	texts [32]string // more than there are columns to fill
	used  int
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

func (f *flattener) project(project value) {
	f.ProjectID = f.text(project.get("id").string())
	f.ProjectName = f.text(project.get("name").string())
}

// actor goes by what is there, not by actor.type, which is an open set: a
// session, a key, both or neither.
func (f *flattener) actor(actor value) {
	session, apiKey := actor.get("session"), actor.get("api_key")
	sessionUser, keyUser := session.get("user"), apiKey.get("user")

	f.ActorType = f.text(actor.get("type").string())
	f.ActorUserID = f.text(either(sessionUser.get("id").string(), keyUser.get("id").string()))
	f.ActorEmail = f.text(either(sessionUser.get("email").string(), keyUser.get("email").string()))
	f.ActorServiceAccountID = f.text(apiKey.get("service_account").get("id").string())
	f.ActorAPIKeyID = f.text(apiKey.get("id").string())
	f.ActorAPIKeyType = f.text(apiKey.get("type").string())
	f.ActorID = firstOf(f.ActorUserID, f.ActorServiceAccountID, f.ActorAPIKeyID)
	f.source(session)
}

// source reads what OpenAI's specification does not name, but live records have.
func (f *flattener) source(session value) {
	f.SourceIP = f.text(session.get("ip_address").string())
	f.UserAgent = f.text(session.get("user_agent").string())
	f.JA3 = f.text(session.get("ja3").string())
	f.JA4 = f.text(session.get("ja4").string())

	place := session.get("ip_address_details")
	f.SourceCountry = f.text(place.get("country").string())
	f.SourceRegion = f.text(place.get("region").string())
	f.SourceRegionCode = f.text(place.get("region_code").string())
	f.SourceCity = f.text(place.get("city").string())
	f.SourceASN = parseASN(place.get("asn").number())
	f.SourceLatitude = parseDegrees(place.get("latitude").number())
	f.SourceLongitude = parseDegrees(place.get("longitude").number())
}

func (f *flattener) target(eventType string, p payload) {
	targetType, _ := splitType(eventType)
	f.TargetType = f.text(targetType)
	if !p.own.is(kindObject) {
		return
	}
	f.Details = f.text(p.own.raw())
	f.TargetID = f.text(p.own.get("id").string())
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
type payload struct{ own, data, changes value }

func payloadOf(root value, eventType string) payload {
	own := root.get(eventType)
	if !own.is(kindObject) {
		own = root.get("details")
	}
	return payload{own, own.get("data"), own.get("changes_requested")}
}

// text returns the first string that is not empty under one of the names, an
// earlier name before an earlier place.
func (p payload) text(names ...string) string {
	for _, name := range names {
		for _, place := range [...]value{p.own, p.data, p.changes} {
			if s := place.get(name).string(); s != "" {
				return s
			}
		}
	}
	return ""
}

// list returns the first list of strings under the name that has any.
func (p payload) list(name string) []string {
	for _, place := range [...]value{p.own, p.data, p.changes} {
		var list []string
		for item := range place.get(name).items {
			if s := item.string(); s != "" {
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
func parseASN(s string) *int64 {
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return nil
	}
	return new(int64(n))
}

// parseDegrees reads a decimal number. It accepts only what JSON would call a
// number: strconv also reads NaN, Inf and hexadecimal.
func parseDegrees(s string) *float64 {
	if s == "" || scanNumber(s, 0) != len(s) {
		return nil
	}
	degrees, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &degrees
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
