package flat_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

// columns returns the columns that Flatten fills and that are not null, as a
// reader of the topic's JSON would see them. type, outcome, target_type and
// raw_event are checked apart.
func columns(t *testing.T, eventType, raw string) map[string]any {
	t.Helper()
	record, err := flat.Flatten(eventType, raw)
	if err != nil {
		t.Fatalf("Flatten: %v", err)
	}
	if record.RawEvent != raw || record.Type != eventType {
		t.Errorf("type %q, raw_event %q", record.Type, record.RawEvent)
	}
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name, column := range all {
		if column == nil {
			delete(all, name)
		}
	}
	for _, name := range []string{"id", "type", "event_scope", "effective_at", "ingested_at", "organization", "raw_event", "outcome", "target_type"} {
		delete(all, name)
	}
	return all
}

// families has a hand-written expectation for the payload of every type with a
// payload in OpenAI's specification. {} stands for the payload in details.
var families = []struct {
	types   string
	payload string
	want    string
}{
	{
		`api_key.deleted certificate.created checkpoint.permission.deleted external_key.removed external_storage.removed
		group.deleted scim.enabled scim.disabled invite.accepted invite.deleted project.archived project.deleted
		rate_limit.deleted role.deleted service_account.deleted user.deleted`,
		`{"id":"x-1"}`,
		`{"target_id":"x-1","details":{}}`,
	},
	{`login.succeeded logout.succeeded`, `{}`, `{"details":{}}`},
	{
		`login.failed logout.failed`,
		`{"error_code":"invalid_credentials","error_message":"Not accepted."}`,
		`{"error_code":"invalid_credentials","error_message":"Not accepted.","details":{}}`,
	},
	{
		`api_key.created api_key.updated`,
		`{"id":"key_1","data":{"scopes":["model.read","all"],"name":"CI"}}`,
		`{"target_id":"key_1","target_name":"CI","scopes":["model.read","all"],"details":{}}`,
	},
	{
		`api_key.updated`,
		`{"id":"key_1","changes_requested":{"scopes":["model.read"]}}`,
		`{"target_id":"key_1","scopes":["model.read"],"changed_fields":["scopes"],"details":{}}`,
	},
	{
		`checkpoint.permission.created`,
		`{"id":"cp_1","data":{"project_id":"proj_2","fine_tuned_model_checkpoint":"ftckpt_1"}}`,
		`{"target_id":"cp_1","details":{}}`,
	},
	{`external_key.registered`, `{"id":"ek_1","data":{"name":"kms","kind":1}}`, `{"target_id":"ek_1","target_name":"kms","details":{}}`},
	{
		`external_storage.registered`,
		`{"id":"es_1","data":{"geography":"eu","provider":{"type":"aws","bucket":"b"}}}`,
		`{"target_id":"es_1","details":{}}`,
	},
	{`group.created`, `{"id":"group_1","data":{"group_name":"Ops"}}`, `{"target_id":"group_1","target_name":"Ops","details":{}}`},
	{
		`group.updated`,
		`{"id":"group_1","changes_requested":{"group_name":"Ops 2"}}`,
		`{"target_id":"group_1","target_name":"Ops 2","changed_fields":["group_name"],"details":{}}`,
	},
	{
		`invite.sent`,
		`{"id":"invite-1","data":{"email":"bob@example.com","role":"owner"}}`,
		`{"target_id":"invite-1","target_email":"bob@example.com","role":"owner","details":{}}`,
	},
	{
		`ip_allowlist.created ip_allowlist.deleted`,
		`{"id":"ip_1","name":"Office","allowed_ips":["203.0.113.0/24","2001:db8::/32"]}`,
		`{"target_id":"ip_1","target_name":"Office","allowed_ips":["203.0.113.0/24","2001:db8::/32"],"details":{}}`,
	},
	{`ip_allowlist.updated`, `{"id":"ip_1","allowed_ips":["0.0.0.0/0"]}`, `{"target_id":"ip_1","allowed_ips":["0.0.0.0/0"],"details":{}}`},
	{`ip_allowlist.config.activated ip_allowlist.config.deactivated`, `{"configs":[{"id":"c1","name":"Office"}]}`, `{"details":{}}`},
	{`certificates.activated certificates.deactivated`, `{"certificates":[{"id":"c1","name":"Root"}]}`, `{"details":{}}`},
	{`certificate.created certificate.updated`, `{"id":"cert_1","name":"Root"}`, `{"target_id":"cert_1","target_name":"Root","details":{}}`},
	{
		`certificate.deleted`,
		`{"id":"cert_1","name":"Root","certificate":"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}`,
		`{"target_id":"cert_1","target_name":"Root","details":{}}`,
	},
	{
		`organization.updated`,
		`{"id":"org-1","changes_requested":{"title":"T","description":"D","name":"N","threads_ui_visibility":"NONE","api_call_logging":"disabled","api_call_logging_project_ids":["proj_1"]}}`,
		`{"target_id":"org-1","target_name":"N","changed_fields":["api_call_logging","api_call_logging_project_ids","description","name","threads_ui_visibility","title"],"details":{}}`,
	},
	{ // as it was before 2026-05-13, and the list as a string
		`organization.updated`,
		`{"id":"org-1","changes_requested":{"settings":{"threads_ui_visibility":"NONE"},"api_call_logging_project_ids":"proj_1"}}`,
		`{"target_id":"org-1","changed_fields":["api_call_logging_project_ids","settings.threads_ui_visibility"],"details":{}}`,
	},
	{`project.created`, `{"id":"proj_1","data":{"name":"n","title":"Title"}}`, `{"target_id":"proj_1","target_name":"n","details":{}}`},
	{`project.created`, `{"id":"proj_1","data":{"title":"Title"}}`, `{"target_id":"proj_1","target_name":"Title","details":{}}`},
	{
		`project.updated`,
		`{"id":"proj_1","changes_requested":{"title":"New"}}`,
		`{"target_id":"proj_1","target_name":"New","changed_fields":["title"],"details":{}}`,
	},
	{
		`rate_limit.updated`,
		`{"id":"rl_1","changes_requested":{"max_requests_per_1_minute":5,"batch_1_day_max_input_tokens":9007199254740993}}`,
		`{"target_id":"rl_1","changed_fields":["batch_1_day_max_input_tokens","max_requests_per_1_minute"],"details":{}}`,
	},
	{
		`role.created`,
		`{"id":"role_1","role_name":"Auditor","permissions":["a.read","b.read"],"resource_type":"api.project","resource_id":"proj_1"}`,
		`{"target_id":"role_1","target_name":"Auditor","permissions":["a.read","b.read"],"resource_type":"api.project","resource_id":"proj_1","details":{}}`,
	},
	{
		`role.updated`,
		`{"id":"role_1","changes_requested":{"role_name":"Auditor 2","resource_id":"proj_1","resource_type":"api.project","permissions_added":["c.read"],"permissions_removed":["a.read"],"description":"d","metadata":{"k":"v"}}}`,
		`{"target_id":"role_1","target_name":"Auditor 2","resource_id":"proj_1","resource_type":"api.project","permissions_added":["c.read"],"permissions_removed":["a.read"],
		"changed_fields":["description","metadata.k","permissions_added","permissions_removed","resource_id","resource_type","role_name"],"details":{}}`,
	},
	{
		`role.assignment.created role.assignment.deleted`,
		`{"id":"role_assignment_role-api-organization-owner__api-organization__org-1_user-1","principal_id":"user-1","principal_type":"user","resource_id":"org-1","resource_type":"api.organization"}`,
		`{"target_id":"role_assignment_role-api-organization-owner__api-organization__org-1_user-1","role":"role-api-organization-owner",
		"principal_id":"user-1","principal_type":"user","resource_id":"org-1","resource_type":"api.organization","details":{}}`,
	},
	{ // an id of another form has no role to read
		`role.assignment.created`,
		`{"id":"role_assignment_x__y","principal_id":"group-1","principal_type":"group"}`,
		`{"target_id":"role_assignment_x__y","principal_id":"group-1","principal_type":"group","details":{}}`,
	},
	{
		`role.bound_to_resource role.unbound_from_resource`,
		`{"id":"ws-1__connector-1","role_id":"role-1","resource_id":"ws-1__connector-1","resource_type":"chatgpt.workspace_connector","permissions":["connector.use"],"workspace_id":"ws-1","connector_id":"connector-1","connector_name":"Drive","enabled":true,"source":"role_toggle"}`,
		`{"target_id":"ws-1__connector-1","target_name":"Drive","resource_id":"ws-1__connector-1","resource_type":"chatgpt.workspace_connector","permissions":["connector.use"],"details":{}}`,
	},
	{`service_account.created user.added`, `{"id":"u-1","data":{"role":"member"}}`, `{"target_id":"u-1","role":"member","details":{}}`},
	{
		`service_account.updated user.updated`,
		`{"id":"u-1","changes_requested":{"role":"owner"}}`,
		`{"target_id":"u-1","role":"owner","changed_fields":["role"],"details":{}}`,
	},
	{`workload_identity_provider.created`, `{"id":"wip_1","data":{"name":"GitHub"}}`, `{"target_id":"wip_1","target_name":"GitHub","details":{}}`},
	{
		`workload_identity_provider.updated`,
		`{"id":"wip_1","changes_requested":{"enabled":false}}`,
		`{"target_id":"wip_1","changed_fields":["enabled"],"details":{}}`,
	},
	{`workload_identity_provider.deleted`, `{"id":"wip_1","name":"GitHub"}`, `{"target_id":"wip_1","target_name":"GitHub","details":{}}`},
	{
		`workload_identity_provider_mapping.created`,
		`{"id":"wim_1","identity_provider_id":"wip_1","data":{"subject":"s"}}`,
		`{"target_id":"wim_1","details":{}}`,
	},
	{
		`workload_identity_provider_mapping.updated`,
		`{"id":"wim_1","identity_provider_id":"wip_1","changes_requested":{"subject":"s"}}`,
		`{"target_id":"wim_1","changed_fields":["subject"],"details":{}}`,
	},
	{
		`workload_identity_provider_mapping.deleted`,
		`{"id":"wim_1","identity_provider_id":"wip_1","project_id":"proj_1","service_account_id":"sa-1"}`,
		`{"target_id":"wim_1","details":{}}`,
	},
}

func TestPayloads(t *testing.T) {
	tested := make(map[string]bool)
	for _, family := range families {
		for _, eventType := range strings.Fields(family.types) {
			tested[eventType] = true
			want := make(map[string]any)
			if err := json.Unmarshal([]byte(family.want), &want); err != nil {
				t.Fatalf("%s: %v", family.want, err)
			}
			want["details"] = family.payload
			raw := `{"id":"a","type":"` + eventType + `","effective_at":1,"` + eventType + `":` + family.payload + `}`
			if diff := cmp.Diff(want, columns(t, eventType, raw)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", eventType, family.payload, diff)
			}
		}
	}
	for _, known := range flat.Types() {
		if !tested[known.Name] && !slices.Contains(untyped, known.Name) && !strings.HasPrefix(known.Name, "tenant.") {
			t.Errorf("no payload of %s is tested", known.Name)
		}
	}
}

// untyped have no payload in the specification, nor have the types tenant.*.
var untyped = []string{"resource.deleted", "tunnel.created", "tunnel.updated", "tunnel.deleted"}

// TestUntypedPayloads: where the payload of a tenant's event is, nobody has
// published. Under its type or under details, it is read the same way.
func TestUntypedPayloads(t *testing.T) {
	const payload = `{"id":"t-1","name":"N","data":{"email":"bob@example.com"},"changes_requested":{"a":{"b":1}}}`
	want := map[string]any{
		"target_id": "t-1", "target_name": "N", "target_email": "bob@example.com",
		"changed_fields": []any{"a.b"}, "details": payload,
	}
	for _, known := range flat.Types() {
		for _, under := range []string{known.Name, "details"} {
			if !slices.Contains(untyped, known.Name) && !strings.HasPrefix(known.Name, "tenant.") {
				continue
			}
			raw := `{"` + under + `":` + payload + `}`
			if diff := cmp.Diff(want, columns(t, known.Name, raw)); diff != "" {
				t.Errorf("%s under %s (-want +got):\n%s", known.Name, under, diff)
			}
		}
		if got := columns(t, known.Name, `{"id":"a"}`); len(got) != 0 {
			t.Errorf("%s without a payload has columns %v", known.Name, got)
		}
	}
}

func TestTypes(t *testing.T) {
	scopes := make(map[string]int)
	for _, known := range flat.Types() {
		scopes[known.Scope]++
		record, err := flat.Flatten(known.Name, "{}")
		if err != nil {
			t.Fatal(err)
		}
		wantTarget := known.Name[:strings.LastIndex(known.Name, ".")]
		if record.TargetType == nil || *record.TargetType != wantTarget {
			t.Errorf("%s: target_type %v, want %s", known.Name, record.TargetType, wantTarget)
		}
		wantOutcome := "success"
		if known.Name == "login.failed" || known.Name == "logout.failed" {
			wantOutcome = "failure"
		}
		if record.Outcome != wantOutcome || !flat.KnownType(known.Name) {
			t.Errorf("%s: outcome %s, want %s", known.Name, record.Outcome, wantOutcome)
		}
	}
	if want := map[string]int{"organization": 59, "tenant": 90}; !cmp.Equal(scopes, want) {
		t.Errorf("types by scope: %v, want %v", scopes, want)
	}
}

func TestUnknownTypes(t *testing.T) {
	for eventType, want := range map[string][2]string{
		"example.unknown.type":          {"unknown", "example.unknown"},
		"checkpoint_permission.created": {"unknown", "checkpoint_permission"},
		"brand.new.failed":              {"failure", "brand.new"},
		"failed":                        {"failure", ""},
		"nodots":                        {"unknown", ""},
		"":                              {"unknown", ""},
		".":                             {"unknown", ""},
		"Login.Succeeded":               {"unknown", "Login"},
		"type":                          {"unknown", ""},
	} {
		record, err := flat.Flatten(eventType, `{"type":"`+eventType+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		target := ""
		if record.TargetType != nil {
			target = *record.TargetType
		}
		if record.Outcome != want[0] || target != want[1] || flat.KnownType(eventType) {
			t.Errorf("%q: outcome %s, target_type %q; want %v", eventType, record.Outcome, target, want)
		}
	}
}
