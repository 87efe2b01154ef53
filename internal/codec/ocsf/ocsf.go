// Package ocsf renders a record as an event of the Open Cybersecurity Schema
// Framework, version 1.8.0, in JSON.
//
// Which class and activity a type becomes is a table, mapping.tsv. A type that is
// not in it, and an event that lacks what its class requires, become Entity
// Management with the activity Other: an event that readers can place is better
// than one that a validator refuses.
package ocsf

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

// Version is the version of the schema.
const Version = "1.8.0"

// Encode returns the record's event.
func Encode(r *flat.Record) ([]byte, error) { return marshal(newEvent(r)) }

// EncodeBrief returns the record's event without what repeats the source: its
// raw text and its own object. The event says that it was cut, and how long the
// raw text was. It is for an event too large for its topic.
func EncodeBrief(r *flat.Record) ([]byte, error) {
	brief := *r
	brief.Details = nil
	e := newEvent(&brief)
	e.RawData = ""
	e.Metadata.IsTruncated, e.Metadata.UntruncatedSize = true, len(r.RawEvent)
	return marshal(e)
}

func marshal(e *event) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false) // it would make raw_data longer, and no safer
	if err := encoder.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// newEvent fills what all classes have, then what its own has.
func newEvent(r *flat.Record) *event {
	e := &event{
		CategoryUID:  categoryIAM,
		CategoryName: "Identity & Access Management",
		Time:         r.EffectiveAt.UnixMilli(),
		Metadata:     metadataOf(r),
		Cloud:        cloudOf(r),
		Actor:        actorOf(r),
		SrcEndpoint:  endpointOf(r),
		StatusID:     statusIDs[r.Outcome],
		Status:       statuses[statusIDs[r.Outcome]],
		StatusCode:   text(r.ErrorCode),
		StatusDetail: text(r.ErrorMessage),
		RawData:      r.RawEvent,
		Unmapped:     map[string]any{"event_scope": r.EventScope},
	}
	if r.UserAgent != nil {
		e.HTTPRequest = &httpRequest{UserAgent: *r.UserAgent}
	}
	m := mappingOf(r.Type)
	e.fill(m, r)
	e.name(max(m.severityID, raisedSeverity(r)))
	return e
}

var (
	statusIDs = map[string]int{flat.OutcomeSuccess: 1, flat.OutcomeFailure: 2, flat.OutcomeUnknown: 0}
	statuses  = map[int]string{0: "Unknown", 1: "Success", 2: "Failure"}
)

// name fills what follows from the class, the activity and the severity.
func (e *event) name(severityID int) {
	e.TypeUID = e.ClassUID*100 + e.ActivityID
	e.ClassName = classNames[e.ClassUID]
	e.TypeName = e.ClassName + ": " + e.ActivityName
	e.SeverityID, e.Severity = severityID, severities[severityID]
}

func metadataOf(r *flat.Record) metadata {
	return metadata{
		Version:          Version,
		Product:          product{Name: "OpenAI API Platform", VendorName: "OpenAI"},
		Profiles:         []string{"cloud"},
		UID:              r.ID,
		OriginalEventUID: r.ID,
		EventCode:        r.Type,
		TenantUID:        r.Organization,
		OriginalTime:     strconv.FormatInt(r.EffectiveAt.Unix(), 10),
		LogName:          "audit_logs",
	}
}

func cloudOf(r *flat.Record) cloud {
	c := cloud{Provider: "OpenAI", Org: organization{UID: r.Organization}}
	if r.ProjectID != nil || r.ProjectName != nil {
		c.Account = &account{UID: text(r.ProjectID), Name: text(r.ProjectName)}
	}
	return c
}

// actorOf returns nil if it is not known who acted.
func actorOf(r *flat.Record) *actor {
	var a actor
	if u := actingUser(r); u != nil {
		a.User = u
	}
	if r.ActorAPIKeyID != nil {
		a.Session = &session{CredentialUID: *r.ActorAPIKeyID}
	}
	if a.User == nil && a.Session == nil {
		return nil
	}
	return &a
}

// actingUser returns nil if there is none. An e-mail address alone makes no valid
// user, so it is the name as well.
func actingUser(r *flat.Record) *user {
	u := &user{UID: text(r.ActorUserID), EmailAddr: text(r.ActorEmail), TypeID: userTypeUser}
	if r.ActorUserID == nil && r.ActorServiceAccountID != nil {
		u.UID, u.TypeID = *r.ActorServiceAccountID, userTypeService
	}
	if u.Name = u.EmailAddr; u.Name == "" {
		u.Name = u.UID
	}
	if u.Name == "" {
		return nil
	}
	if r.ActorAPIKeyID != nil {
		u.Credentials = []credential{{UID: *r.ActorAPIKeyID, Type: text(r.ActorAPIKeyType)}}
	}
	return u
}

// endpointOf returns nil without an address: an endpoint has to have a name, and
// the rest is no name.
func endpointOf(r *flat.Record) *endpoint {
	if r.SourceIP == nil {
		return nil
	}
	e := &endpoint{IP: *r.SourceIP}
	if r.SourceCountry != nil || r.SourceRegion != nil || r.SourceRegionCode != nil || r.SourceCity != nil {
		e.Location = &location{
			Country: text(r.SourceCountry), Region: region(r), City: text(r.SourceCity),
			Lat: r.SourceLatitude, Long: r.SourceLongitude,
		}
	}
	if r.SourceASN != nil {
		e.AutonomousSystem = &autonomousSystem{Number: *r.SourceASN}
	}
	if r.JA3 != nil {
		e.Fingerprints = append(e.Fingerprints, fingerprint{AlgorithmID: 1, Algorithm: "MD5", Value: *r.JA3})
	}
	if r.JA4 != nil {
		e.Fingerprints = append(e.Fingerprints, fingerprint{AlgorithmID: 99, Algorithm: "JA4", Value: *r.JA4})
	}
	return e
}

// region is the ISO 3166-2 code, country and region, where both are known.
func region(r *flat.Record) string {
	switch {
	case r.SourceCountry != nil && r.SourceRegionCode != nil:
		return *r.SourceCountry + "-" + *r.SourceRegionCode
	case r.SourceRegion != nil:
		return *r.SourceRegion
	default:
		return text(r.SourceRegionCode)
	}
}

func text(column *string) string {
	if column == nil {
		return ""
	}
	return *column
}
