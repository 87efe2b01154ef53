package ocsf

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

const entityTypeOther = 99

// fill makes the event one of the class that the mapping names, or, where the
// record lacks what that requires, one of Entity Management.
func (e *event) fill(m mapping, r *flat.Record) {
	e.ClassUID, e.ActivityID, e.ActivityName = m.classUID, m.activityID, m.activityName
	own := detailsOf(r)
	ok := false
	switch m.classUID {
	case classEntityManagement:
		e.entity(m, r, own)
		return
	case classAuthentication:
		e.authentication(r)
		ok = true
	case classAccountChange:
		ok = e.accountChange(r)
	case classUserAccess:
		ok = e.userAccess(r)
	case classGroupManagement:
		ok = e.group(r)
	}
	if !ok {
		e.ClassUID, e.ActivityID = classEntityManagement, activityOther
		e.entity(m, r, own)
		return
	}
	if len(own) > 0 {
		e.Unmapped["details"] = own
	}
}

// authentication always has a user: a failed login may have no actor.
func (e *event) authentication(r *flat.Record) {
	e.Service = &service{Name: "OpenAI API Platform"}
	if e.User = actingUser(r); e.User == nil {
		e.User = &user{Name: "Unknown", TypeID: userTypeUnknown}
	}
}

func (e *event) accountChange(r *flat.Record) bool {
	if r.TargetID == nil {
		return false
	}
	e.User = targetUser(r, *r.TargetID)
	return true
}

// targetUser returns the user or service account that the event is about.
func targetUser(r *flat.Record, id string) *user {
	u := &user{UID: id, TypeID: userTypeUser}
	if strings.Contains(text(r.TargetType), "service_account") || strings.Contains(text(r.PrincipalType), "service_account") {
		u.TypeID = userTypeService
	}
	if r.PrincipalID == nil {
		u.Name, u.EmailAddr = text(r.TargetName), text(r.TargetEmail)
	}
	return u
}

// userAccess has a role given or taken. Where the event names none, its id stands
// for it; a change of a user that gives no role is a change of the account.
func (e *event) userAccess(r *flat.Record) bool {
	isAssignment := strings.HasSuffix(text(r.TargetType), "assignment")
	if !isAssignment && r.Role == nil {
		e.ClassUID, e.ActivityID, e.ActivityName = classAccountChange, activityOther, "Update"
		return e.accountChange(r)
	}
	who, privilege := r.TargetID, r.Role
	if isAssignment {
		who = r.PrincipalID
	}
	if privilege == nil {
		privilege = r.TargetID
	}
	if who == nil || privilege == nil {
		return false
	}
	e.Privileges = []string{*privilege}
	var on *resource
	if r.ResourceID != nil {
		on = &resource{UID: *r.ResourceID, Type: text(r.ResourceType)}
	}
	if text(r.PrincipalType) == "group" {
		// The activities have the same numbers there.
		e.ClassUID = classGroupManagement
		e.Group, e.Resource = &group{UID: *who}, on
		return true
	}
	e.User = targetUser(r, *who)
	if on != nil {
		e.Resources = []resource{*on}
	}
	return true
}

func (e *event) group(r *flat.Record) bool {
	if r.TargetID == nil && r.TargetName == nil {
		return false
	}
	e.Group = &group{UID: text(r.TargetID), Name: text(r.TargetName)}
	return true
}

// entity is what was acted on, with the event's own object as its data. What an
// update asks for is the data of the entity as it results.
func (e *event) entity(m mapping, r *flat.Record, own map[string]json.RawMessage) {
	if m.entityTypeID == 0 {
		m.entityTypeID = entityTypeOther
	}
	target := entity{UID: text(r.TargetID), Name: text(r.TargetName), TypeID: m.entityTypeID, Type: m.entityType}
	if strings.HasPrefix(r.Type, "role.") && strings.HasSuffix(r.Type, "_resource") {
		target.UID = or(stringOf(own["role_id"]), target.UID) // the id is the resource's
	}
	if target.UID == "" && target.Name == "" {
		target.Name = or(text(r.TargetType), or(r.Type, "unknown"))
	}
	target.Type = or(target.Type, or(text(r.TargetType), "unknown"))
	switch {
	case r.Type == "organization.updated" && r.TargetID != nil:
		target.Org = &organization{UID: *r.TargetID, Name: text(r.TargetName)}
	case r.TargetEmail != nil:
		target.User = &user{Name: *r.TargetEmail, EmailAddr: *r.TargetEmail, TypeID: userTypeUser}
	}
	if changes, ok := resultOf(r, own); ok {
		result := target
		result.Data = changes
		e.EntityResult = &result
	}
	if len(own) > 0 {
		target.Data = own
	}
	e.Entity = &target
}

// resultOf takes from the event's own object what the entity becomes.
func resultOf(r *flat.Record, own map[string]json.RawMessage) (result any, ok bool) {
	if changes, ok := own["changes_requested"]; ok {
		delete(own, "changes_requested")
		return changes, true
	}
	if ips, ok := own["allowed_ips"]; ok && r.Type == "ip_allowlist.updated" {
		return map[string]json.RawMessage{"allowed_ips": ips}, true
	}
	return nil, false
}

// detailsOf returns the event's own object without its id, which has a place, and
// the text of a certificate, which can be long. It is nil for one that
// encoding/json finds too deep.
func detailsOf(r *flat.Record) map[string]json.RawMessage {
	var own map[string]json.RawMessage
	if r.Details == nil || json.Unmarshal([]byte(*r.Details), &own) != nil {
		return nil
	}
	maps.DeleteFunc(own, func(name string, _ json.RawMessage) bool { return name == "id" || name == "certificate" })
	return own
}

func stringOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
