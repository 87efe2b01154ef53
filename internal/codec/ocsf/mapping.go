package ocsf

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

const categoryIAM = 3

// The classes.
const (
	classAccountChange    = 3001
	classAuthentication   = 3002
	classEntityManagement = 3004
	classUserAccess       = 3005
	classGroupManagement  = 3006
)

var classNames = map[int]string{
	classAccountChange:    "Account Change",
	classAuthentication:   "Authentication",
	classEntityManagement: "Entity Management",
	classUserAccess:       "User Access Management",
	classGroupManagement:  "Group Management",
}

const activityOther = 99

// The severities.
const (
	severityInformational = 1
	severityHigh          = 4
	severityCritical      = 5
)

var severities = map[int]string{1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}

// mapping is a line of the table.
type mapping struct {
	classUID     int
	activityID   int
	activityName string
	severityID   int
	entityTypeID int
	entityType   string
}

//go:embed mapping.tsv
var table string

var mappings = sync.OnceValue(func() map[string]mapping {
	all := make(map[string]mapping)
	_, lines, _ := strings.Cut(table, "\n") // without the heading
	for line := range strings.Lines(lines) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		all[c[0]] = mapping{number(c[1]), number(c[2]), c[3], number(c[4]), number(c[5]), c[6]}
	}
	return all
})

// number reads a number of the table, 0 where there is none.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func mappingOf(eventType string) mapping {
	if m, ok := mappings()[eventType]; ok {
		return m
	}
	// OCSF wants a name for the activity Other, from the source where it has one.
	last := strings.TrimSpace(eventType[strings.LastIndexByte(eventType, '.')+1:])
	return mapping{classEntityManagement, activityOther, or(last, or(strings.TrimSpace(eventType), "Other")), severityInformational, entityTypeOther, ""}
}

// raisedSeverity is the severity that the content of the event calls for; 0 if it calls
// for none.
func raisedSeverity(r *flat.Record) int {
	role := strings.ToLower(text(r.Role))
	switch r.Type {
	case "api_key.created", "api_key.updated":
		return severityIf(severityHigh, slices.Contains(r.Scopes, "all") || slices.Contains(r.Scopes, "admin"))
	case "invite.sent", "user.added":
		return severityIf(severityHigh, role == "owner")
	case "organization.updated":
		return severityIf(severityHigh, slices.Contains(r.ChangedFields, "api_call_logging") || slices.Contains(r.ChangedFields, "api_call_logging_project_ids"))
	case "ip_allowlist.updated":
		return severityIf(severityCritical, slices.Contains(r.AllowedIPs, "0.0.0.0/0") || slices.Contains(r.AllowedIPs, "::/0"))
	case "role.assignment.created":
		if strings.Contains(role, "owner") && strings.Contains(text(r.ResourceType), "organization") {
			return severityCritical
		}
		return severityIf(severityHigh, strings.Contains(role, "admin"))
	}
	return 0
}

func severityIf(severity int, so bool) int {
	if so {
		return severity
	}
	return 0
}
