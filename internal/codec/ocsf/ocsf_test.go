package ocsf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/ocsf"
)

const sessionActor = `{"type":"session","session":{"user":{"id":"user-1","email":"alice@example.com"},"ip_address":"203.0.113.10","user_agent":"UA","ja3":"j3","ja4":"j4","ip_address_details":{"country":"US","city":"Austin","region":"Texas","region_code":"TX","asn":"AS64500","latitude":"30.2672","longitude":"-97.7431"}}}`

var actors = map[string]string{
	"session":         sessionActor,
	"key of a user":   `{"type":"api_key","api_key":{"id":"key_1","type":"user","user":{"id":"user-1","email":"alice@example.com"}}}`,
	"service account": `{"type":"api_key","api_key":{"id":"key_1","type":"service_account","service_account":{"id":"sa-1"}}}`,
	"key alone":       `{"type":"api_key","api_key":{"id":"key_1"}}`,
	"e-mail alone":    `{"session":{"user":{"email":"alice@example.com"},"ip_address_details":{"latitude":"1"}}}`,
	"empty strings":   `{"session":{"user":{"id":"","email":""},"ip_address":"","ip_address_details":{"asn":"","city":""}}}`,
	"address alone":   `{"session":{"ip_address":"203.0.113.10","ip_address_details":{"latitude":"1"}}}`,
	"null":            `null`,
}

var payloads = map[string]string{
	"full":       `{"id":"t-1","name":"N","email":"e@example.com","role":"owner","data":{"email":"bob@example.com","role":"owner","scopes":["all"]},"changes_requested":{"role":"r","n":9007199254740993},"principal_id":"p-1","principal_type":"user","resource_id":"r-1","resource_type":"t","error_code":"c","error_message":"m","allowed_ips":["0.0.0.0/0"],"certificate":"PEM","certificates":[{"id":"c"}]}`,
	"id":         `{"id":"t-1"}`,
	"name":       `{"name":"N"}`,
	"to a group": `{"id":"role_assignment_r__t__x_y","principal_id":"g-1","principal_type":"group","resource_id":"r-1"}`,
	"assignment": `{"id":"role_assignment_r__t__x_y","principal_id":"u-1","principal_type":"user"}`,
	"odd":        `{"id":"","role":"r","principal_type":"user","resource_type":"x"}`,
	"empty":      `{}`,
	"null":       `null`,
}

// TestValid: every type with every actor and every payload is valid by the
// schema, unknown types too.
func TestValid(t *testing.T) {
	s := readSchema(t)
	types := []string{"example.unknown.type", "nodots", "", "x.", "@", ".", " ", "a. "}
	for _, known := range flat.Types() {
		types = append(types, known.Name)
	}
	events := 0
	for _, eventType := range types {
		for actorName, actor := range actors {
			for payloadName, payload := range payloads {
				record := flatten(t, eventType, actor, payload)
				events++
				for encoding, encode := range map[string]func(*flat.Record) ([]byte, error){"whole": ocsf.Encode, "brief": ocsf.EncodeBrief} {
					event := render(t, record, encode)
					for _, fault := range s.validate(event) {
						t.Errorf("%s, actor %s, payload %s, %s: %s", eventType, actorName, payloadName, encoding, fault)
					}
					if event["activity_id"] == json.Number("99") && event["activity_name"] == nil {
						t.Errorf("%s, actor %s, payload %s, %s: Other without a name", eventType, actorName, payloadName, encoding)
					}
					if eventCode := event["metadata"].(map[string]any)["event_code"]; eventCode != eventType && eventType != "" {
						t.Errorf("%s: event_code %v", eventType, eventCode)
					}
				}
			}
		}
	}
	docs, err := os.ReadFile("../../../docs/consuming.md")
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("%d known types and %d odd ones, each with %d forms of actor and %d of its own object: %d,%03d events",
		len(flat.Types()), len(types)-len(flat.Types()), len(actors), len(payloads), events/1000, events%1000)
	if !strings.Contains(string(docs), said) {
		t.Errorf("docs/consuming.md does not say: %s", said)
	}
}

// TestValidatorRefuses: a validator that finds nothing shows nothing.
func TestValidatorRefuses(t *testing.T) {
	s := readSchema(t)
	for name, change := range map[string]func(map[string]any){
		"no user":        func(e map[string]any) { delete(e, "user") },
		"no service":     func(e map[string]any) { delete(e, "service") },
		"e-mail alone":   func(e map[string]any) { e["user"] = map[string]any{"email_addr": "a@example.com"} },
		"unknown":        func(e map[string]any) { e["nonsense"] = "x" },
		"time is text":   func(e map[string]any) { e["time"] = "1" },
		"deprecated":     func(e map[string]any) { e["cloud"].(map[string]any)["project_uid"] = "proj_1" },
		"no cloud":       func(e map[string]any) { delete(e, "cloud") },
		"other activity": func(e map[string]any) { e["activity_id"] = json.Number("77") },
		"no privileges":  func(e map[string]any) { e["class_uid"], e["type_uid"] = json.Number("3005"), json.Number("300501") },
		"empty location": func(e map[string]any) { e["src_endpoint"].(map[string]any)["location"] = map[string]any{} },
	} {
		event := render(t, flatten(t, "login.succeeded", sessionActor, "{}"), ocsf.Encode)
		if faults := s.validate(event); len(faults) > 0 {
			t.Fatal(faults)
		}
		change(event)
		if len(s.validate(event)) == 0 {
			t.Errorf("%s: no fault is found", name)
		}
	}
}

// TestLogin is a whole event, written by hand.
func TestLogin(t *testing.T) {
	record := flatten(t, "login.failed", sessionActor, `{"error_code":"invalid_credentials","error_message":"No."}`)
	want := `{
		"activity_id": 1, "activity_name": "Logon", "category_uid": 3, "category_name": "Identity & Access Management",
		"class_uid": 3002, "class_name": "Authentication", "type_uid": 300201, "type_name": "Authentication: Logon",
		"time": 1770979893000, "severity_id": 2, "severity": "Low", "status_id": 2, "status": "Failure",
		"status_code": "invalid_credentials", "status_detail": "No.",
		"metadata": {"version": "1.8.0", "product": {"name": "OpenAI API Platform", "vendor_name": "OpenAI"}, "profiles": ["cloud"],
			"uid": "audit_log-1", "original_event_uid": "audit_log-1", "event_code": "login.failed", "tenant_uid": "acme",
			"original_time": "1770979893", "log_name": "audit_logs"},
		"cloud": {"provider": "OpenAI", "org": {"uid": "acme"}, "account": {"uid": "proj_1", "name": "P"}},
		"actor": {"user": {"uid": "user-1", "name": "alice@example.com", "email_addr": "alice@example.com", "type_id": 1}},
		"src_endpoint": {"ip": "203.0.113.10", "location": {"country": "US", "region": "US-TX", "city": "Austin", "lat": 30.2672, "long": -97.7431},
			"autonomous_system": {"number": 64500},
			"fingerprints": [{"algorithm_id": 1, "algorithm": "MD5", "value": "j3"}, {"algorithm_id": 99, "algorithm": "JA4", "value": "j4"}]},
		"http_request": {"user_agent": "UA"},
		"user": {"uid": "user-1", "name": "alice@example.com", "email_addr": "alice@example.com", "type_id": 1},
		"service": {"name": "OpenAI API Platform"},
		"unmapped": {"event_scope": "organization", "details": {"error_code": "invalid_credentials", "error_message": "No."}}
	}`
	got := render(t, record, ocsf.Encode)
	if got["raw_data"] != record.RawEvent {
		t.Errorf("raw_data %v", got["raw_data"])
	}
	delete(got, "raw_data")
	if diff := cmp.Diff(parse(t, []byte(want)), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestClasses holds what is special of each class to what was written by hand
// from the mapping's notes.
func TestClasses(t *testing.T) {
	const assignment = `"id":"role_assignment_role-api-organization-owner__api-organization__org-1_user-2"`
	for name, test := range map[string]struct{ eventType, payload, want string }{
		"role given to a user": {
			"role.assignment.created", `{` + assignment + `,"principal_id":"user-2","principal_type":"user","resource_id":"org-1","resource_type":"api.organization"}`,
			`{"type_uid":300501,"severity_id":5,"user":{"uid":"user-2","type_id":1},"privileges":["role-api-organization-owner"],"resources":[{"uid":"org-1","type":"api.organization"}]}`,
		},
		"role taken from a group": {
			"role.assignment.deleted", `{` + assignment + `,"principal_id":"group-2","principal_type":"group","resource_id":"org-1"}`,
			`{"type_uid":300602,"severity_id":2,"group":{"uid":"group-2"},"privileges":["role-api-organization-owner"],"resource":{"uid":"org-1"}}`,
		},
		"role that cannot be read": {
			"role.assignment.created", `{"id":"ra-1","principal_id":"user-2"}`,
			`{"type_uid":300501,"severity_id":3,"user":{"uid":"user-2","type_id":1},"privileges":["ra-1"]}`,
		},
		"role for nobody": {
			"role.assignment.created", `{"id":"ra-1"}`,
			`{"type_uid":300499,"severity_id":3,"entity":{"uid":"ra-1","type_id":99,"type":"role.assignment"}}`,
		},
		"user gets a role": {
			"user.updated", `{"id":"user-2","changes_requested":{"role":"owner"}}`,
			`{"type_uid":300501,"severity_id":3,"user":{"uid":"user-2","type_id":1},"privileges":["owner"]}`,
		},
		"user without a role": {
			"user.updated", `{"id":"user-2"}`,
			`{"type_uid":300199,"activity_name":"Update","severity_id":3,"user":{"uid":"user-2","type_id":1}}`,
		},
		"owner added":     {"user.added", `{"id":"user-2","data":{"role":"owner"}}`, `{"type_uid":300101,"severity_id":4,"user":{"uid":"user-2","type_id":1}}`},
		"service account": {"service_account.deleted", `{"id":"sa-2"}`, `{"type_uid":300106,"severity_id":2,"user":{"uid":"sa-2","type_id":4}}`},
		"tenant's user without a payload": {
			"tenant.user.removed", `null`,
			`{"type_uid":300499,"severity_id":1,"entity":{"name":"tenant.user","type_id":99,"type":"tenant.user"}}`,
		},
		"group": {"group.updated", `{"id":"g-1","changes_requested":{"group_name":"Ops"}}`, `{"type_uid":300699,"activity_name":"Update","severity_id":1,"group":{"uid":"g-1","name":"Ops"}}`},
		"key for all": {
			"api_key.created", `{"id":"key_2","data":{"scopes":["all"]}}`,
			`{"type_uid":300401,"severity_id":4,"entity":{"uid":"key_2","type_id":99,"type":"API Key","data":{"data":{"scopes":["all"]}}}}`,
		},
		"invitation": {
			"invite.sent", `{"id":"invite-1","data":{"email":"bob@example.com","role":"reader"}}`,
			`{"type_uid":300401,"severity_id":2,"entity":{"uid":"invite-1","type_id":99,"type":"Invite","user":{"name":"bob@example.com","email_addr":"bob@example.com","type_id":1},"data":{"data":{"email":"bob@example.com","role":"reader"}}}}`,
		},
		"logging turned off": {
			"organization.updated", `{"id":"org-1","changes_requested":{"api_call_logging":"disabled"}}`,
			`{"type_uid":300403,"severity_id":4,"entity":{"uid":"org-1","type_id":4,"type":"Organization","org":{"uid":"org-1"}},"entity_result":{"uid":"org-1","type_id":4,"type":"Organization","org":{"uid":"org-1"},"data":{"api_call_logging":"disabled"}}}`,
		},
		"open to all": {
			"ip_allowlist.updated", `{"id":"ip-1","allowed_ips":["0.0.0.0/0"]}`,
			`{"type_uid":300403,"severity_id":5,"entity":{"uid":"ip-1","type_id":7,"type":"IP Allowlist","data":{"allowed_ips":["0.0.0.0/0"]}},"entity_result":{"uid":"ip-1","type_id":7,"type":"IP Allowlist","data":{"allowed_ips":["0.0.0.0/0"]}}}`,
		},
		"list": {
			"certificates.activated", `{"certificates":[{"id":"c-1","name":"Root"}]}`,
			`{"type_uid":300410,"severity_id":2,"entity":{"name":"certificates","type_id":99,"type":"Certificate","data":{"certificates":[{"id":"c-1","name":"Root"}]}}}`,
		},
		"certificate": {
			"certificate.deleted", `{"id":"c-1","name":"Root","certificate":"-----BEGIN"}`,
			`{"type_uid":300404,"severity_id":3,"entity":{"uid":"c-1","name":"Root","type_id":99,"type":"Certificate","data":{"name":"Root"}}}`,
		},
		"role on a resource": {
			"role.bound_to_resource", `{"id":"ws-1__c-1","role_id":"role-1","enabled":true}`,
			`{"type_uid":300403,"severity_id":3,"entity":{"uid":"role-1","type_id":99,"type":"Role","data":{"role_id":"role-1","enabled":true}}}`,
		},
		"unknown type": {
			"example.unknown.type", `{"id":"x-1","count":9007199254740993}`,
			`{"type_uid":300499,"activity_name":"type","severity_id":1,"status_id":0,"entity":{"uid":"x-1","type_id":99,"type":"example.unknown","data":{"count":9007199254740993}}}`,
		},
		"no type":              {"", `null`, `{"type_uid":300499,"activity_name":"Other","type_name":"Entity Management: Other","severity_id":1,"entity":{"name":"unknown","type_id":99,"type":"unknown"}}`},
		"type that ends early": {"x.", `null`, `{"type_uid":300499,"activity_name":"x.","severity_id":1,"entity":{"name":"x","type_id":99,"type":"x"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, flatten(t, test.eventType, "null", test.payload), ocsf.Encode)
			want := parse(t, []byte(test.want))
			for _, common := range []string{"user", "group", "entity", "entity_result", "privileges", "resource", "resources", "service", "actor", "src_endpoint"} {
				if _, ok := want[common]; !ok && got[common] != nil {
					t.Errorf("%s is %v", common, got[common])
				}
			}
			for attribute, value := range want {
				if diff := cmp.Diff(value, got[attribute]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", attribute, diff)
				}
			}
		})
	}
}

func TestLoginOfNobody(t *testing.T) {
	got := render(t, flatten(t, "login.failed", "null", "{}"), ocsf.Encode)
	want := map[string]any{"name": "Unknown", "type_id": json.Number("0")}
	if diff := cmp.Diff(want, got["user"]); diff != "" || got["actor"] != nil {
		t.Errorf("actor %v, user (-want +got):\n%s", got["actor"], diff)
	}
}

func TestBrief(t *testing.T) {
	record := flatten(t, "api_key.created", "null", `{"id":"key_1","data":{"scopes":["`+strings.Repeat("x", 10_000)+`"]}}`)
	record.Scopes = nil
	value, err := ocsf.EncodeBrief(record)
	if err != nil || len(value) > 2000 {
		t.Fatalf("%d bytes, %v", len(value), err)
	}
	metadata := parse(t, value)["metadata"].(map[string]any)
	if metadata["is_truncated"] != true || metadata["untruncated_size"] != json.Number(fmt.Sprint(len(record.RawEvent))) {
		t.Errorf("metadata %v", metadata)
	}
}

// TestTooDeepForJSON: what encoding/json does not read costs the data, not the
// event.
func TestTooDeepForJSON(t *testing.T) {
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	event := render(t, flatten(t, "api_key.created", "null", `{"id":"key_1","deep":`+deep+`}`), ocsf.Encode)
	if faults := readSchema(t).validate(event); len(faults) > 0 {
		t.Error(faults)
	}
}

func flatten(t testing.TB, eventType, actor, payload string) *flat.Record {
	t.Helper()
	raw := fmt.Sprintf(`{"id":"audit_log-1","type":%q,"actor":%s,"project":{"id":"proj_1","name":"P"},%q:%s}`, eventType, actor, eventType, payload)
	record, err := flat.Flatten(eventType, raw)
	if err != nil {
		t.Fatal(err)
	}
	record.ID, record.EventScope, record.Organization = "audit_log-1", "organization", "acme"
	record.EffectiveAt = time.Unix(1_770_979_893, 0)
	return record
}

func render(t testing.TB, record *flat.Record, encode func(*flat.Record) ([]byte, error)) map[string]any {
	t.Helper()
	value, err := encode(record)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, value)
}

func parse(t testing.TB, value []byte) (object map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	return object
}
