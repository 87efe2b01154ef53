package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

const (
	schemaFile  = "docs/schema.md"
	schemaBegin = "<!-- columns: generated, see internal/docs -->\n"
	schemaEnd   = "<!-- /columns -->"
)

// column says where a column comes from. Each path in backticks is tried: an event that
// has the example there, and nothing else, gives the column that example.
type column struct {
	from    string
	example string // as JSON
	caller  bool   // filled by the caller of Flatten, so no path is tried
}

var columns = map[string]column{
	"id":           {"`id`; of an event without one, a hash of its bytes", `"audit_log-25bf005e"`, true},
	"type":         {"`type`", `"api_key.created"`, false},
	"event_scope":  {"the list that showed it", `"organization"`, true},
	"effective_at": {"`effective_at`", `1753089116000`, true},
	"ingested_at":  {"the connector's clock", `1753089121000`, true},
	"organization": {"`ORGANIZATION_NAME`", `"default"`, true},

	"project_id":    {"`project.id`", `"proj_abc"`, false},
	"project_name":  {"`project.name`", `"Search"`, false},
	"outcome":       {"the type", `"success"`, true},
	"error_code":    {"`own.error_code`", `"invalid_credentials"`, false},
	"error_message": {"`own.error_message`", `"Not accepted."`, false},

	"actor_type":               {"`actor.type`", `"session"`, false},
	"actor_id":                 {"`actor.session.user.id`, `actor.api_key.user.id`, `actor.api_key.service_account.id`, `actor.api_key.id`", `"user-abc"`, false},
	"actor_email":              {"`actor.session.user.email`, `actor.api_key.user.email`", `"ada@example.com"`, false},
	"actor_user_id":            {"`actor.session.user.id`, `actor.api_key.user.id`", `"user-abc"`, false},
	"actor_service_account_id": {"`actor.api_key.service_account.id`", `"svc_acct_abc"`, false},
	"actor_api_key_id":         {"`actor.api_key.id`", `"key_abc"`, false},
	"actor_api_key_type":       {"`actor.api_key.type`", `"user"`, false},

	"source_ip":          {"`actor.session.ip_address`", `"203.0.113.7"`, false},
	"source_country":     {"`actor.session.ip_address_details.country`", `"US"`, false},
	"source_region":      {"`actor.session.ip_address_details.region`", `"Texas"`, false},
	"source_region_code": {"`actor.session.ip_address_details.region_code`", `"TX"`, false},
	"source_city":        {"`actor.session.ip_address_details.city`", `"Austin"`, false},
	"source_asn":         {"`actor.session.ip_address_details.asn`", `64500`, false},
	"source_latitude":    {"`actor.session.ip_address_details.latitude`", `30.2672`, false},
	"source_longitude":   {"`actor.session.ip_address_details.longitude`", `-97.7431`, false},
	"user_agent":         {"`actor.session.user_agent`", `"Mozilla/5.0"`, false},
	"ja3":                {"`actor.session.ja3`", `"ea2b6f8c"`, false},
	"ja4":                {"`actor.session.ja4`", `"t13d1516h2"`, false},

	"target_type": {"the type", `"api_key"`, true},
	"target_id":   {"`own.id`", `"key_abc"`, false},
	"target_name": {"`own.name`, `own.role_name`, `own.group_name`, `own.title`, `own.connector_name`", `"CI"`, false},

	"target_email":   {"`own.email`", `"bob@example.com"`, false},
	"principal_id":   {"`own.principal_id`", `"user-abc"`, false},
	"principal_type": {"`own.principal_type`", `"user"`, false},
	"role":           {"`own.role`; of a role assignment, its id", `"owner"`, false},
	"resource_id":    {"`own.resource_id`", `"proj_abc"`, false},
	"resource_type":  {"`own.resource_type`", `"api.project"`, false},

	"scopes":              {"`own.scopes`", `["model.read"]`, false},
	"permissions":         {"`own.permissions`", `["api.keys.read"]`, false},
	"permissions_added":   {"`own.permissions_added`", `["api.keys.write"]`, false},
	"permissions_removed": {"`own.permissions_removed`", `["api.keys.read"]`, false},
	"allowed_ips":         {"`own.allowed_ips`", `["203.0.113.0/24"]`, false},
	"changed_fields":      {"the names in `own.changes_requested`", `["description","title"]`, true},

	"details":   {"`own`, as it was sent", `"{\"id\":\"key_abc\"}"`, true},
	"raw_event": {"the event, as it was sent", `"{\"id\":\"audit_log-25bf005e\", ..."`, true},
}

// The dictionary of columns is what the schema and the code say. "go test
// ./internal/docs -run TestSchemaTable -update" writes it.
func TestSchemaTable(t *testing.T) {
	got, want := between(t, schemaFile, schemaBegin, schemaEnd), schemaTable(t)
	if got == want {
		return
	}
	if !*update {
		t.Fatal("the columns in " + schemaFile + " are not those of the schema: go test ./internal/docs -run TestSchemaTable -update")
	}
	text := strings.Replace(read(t, schemaFile), schemaBegin+got+schemaEnd, schemaBegin+want+schemaEnd, 1)
	if err := os.WriteFile(filepath.Join(root, schemaFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

type field struct {
	Name string
	Type json.RawMessage
	Doc  string
}

func fields(t *testing.T) []field {
	t.Helper()
	var schema struct{ Fields []field }
	if err := json.Unmarshal([]byte(schemas.Latest().Text), &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Fields) != len(columns) {
		t.Errorf("%d columns in the schema, %d in the table of this test", len(schema.Fields), len(columns))
	}
	return schema.Fields
}

func schemaTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| column | type | meaning | example | from | personal |\n|---|---|---|---|---|---|\n")
	for _, f := range fields(t) {
		c, ok := columns[f.Name]
		if !ok {
			t.Errorf("the column %s has no line in the table of this test", f.Name)
		}
		meaning, marked := strings.CutSuffix(f.Doc, " Personal data.")
		personal := ""
		if marked {
			personal = "yes"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | `%s` | %s | %s |\n", f.Name, typeName(t, f), meaning, c.example, c.from, personal)
	}
	return out.String()
}

// typeName is the type of a column in words.
func typeName(t *testing.T, f field) string {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.Type); err != nil {
		t.Fatal(err)
	}
	name, ok := map[string]string{
		`"string"`:          "string",
		`["null","string"]`: "string or null",
		`["null","long"]`:   "long or null",
		`["null","double"]`: "double or null",
		`{"type":"long","logicalType":"timestamp-millis"}`: "timestamp-millis",
		`{"type":"array","items":"string"}`:                "list of strings",
	}[compact.String()]
	if !ok {
		t.Errorf("the column %s has a type without words: %s", f.Name, compact.String())
	}
	return name
}

var pathInDocs = regexp.MustCompile("`([a-z_0-9.]+)`")

// Each path in the dictionary is where the column comes from.
func TestColumnsComeFromThere(t *testing.T) {
	for name, c := range columns {
		if c.caller {
			continue
		}
		for _, m := range pathInDocs.FindAllStringSubmatch(c.from, -1) {
			for _, path := range places(m[1], name) {
				if got := columnOf(t, path, c.example, name); !reflect.DeepEqual(got, unmarshal(t, c.example)) {
					t.Errorf("%s of an event with %s at %s: %v", name, c.example, path, got)
				}
			}
		}
	}
}

// places are the paths that one in the dictionary stands for.
func places(path, column string) []string {
	own, isOwn := strings.CutPrefix(path, "own.")
	switch {
	case !isOwn:
		return []string{path}
	case column == "target_id":
		return []string{"details." + own}
	default:
		return []string{"details." + own, "details.data." + own, "details.changes_requested." + own}
	}
}

// columnOf returns a column of the event that has a value at the path and nothing else.
func columnOf(t *testing.T, path, value, column string) any {
	t.Helper()
	raw := value
	names := strings.Split(path, ".")
	for i := len(names) - 1; i >= 0; i-- {
		raw = fmt.Sprintf("{%q:%s}", names[i], raw)
	}
	record, err := flat.Flatten("", raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, string(text)).(map[string]any)[column]
}

func unmarshal(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}
