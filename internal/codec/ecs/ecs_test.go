package ecs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/ecs"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

const sessionActor = `{"type":"session","session":{"user":{"id":"user-1","email":"alice@example.com"},"ip_address":"203.0.113.10","user_agent":"UA","ja3":"j3","ja4":"j4","ip_address_details":{"country":"US","city":"Austin","region":"Texas","region_code":"TX","asn":"AS64500","latitude":"30.2672","longitude":"-97.7431"}}}`

var actors = []string{
	sessionActor, `null`, `{"type":"api_key","api_key":{"id":"key_1","type":"user","user":{"id":"user-1","email":"alice@example.com"}}}`,
	`{"type":"api_key","api_key":{"id":"key_1","type":"service_account","service_account":{"id":"sa-1"}}}`,
	`{"session":{"user":{"email":"nobody"},"ip_address":"fe80::1%eth0","ip_address_details":{"latitude":"91","longitude":"0","country":"Utopia","region_code":"U"}}}`,
	`{"session":{"user":{"id":""},"ip_address":"2001:db8::1","ip_address_details":{"latitude":"1","asn":"9223372036854775807"}}}`,
}

var payloads = []string{
	`{"id":"t-1","name":"N","email":"e@example.com","role":"owner","data":{"email":"bob@example.com","scopes":["all"]},"changes_requested":{"role":"r","n":9007199254740993},"principal_id":"p-1","principal_type":"user","resource_id":"r-1","resource_type":"t","error_code":"c","error_message":"m","allowed_ips":["0.0.0.0/0","198.51.100.7"],"certificate":"PEM"}`,
	`{"id":"role_assignment_r__t__x_y","principal_id":"g-1","principal_type":"group","resource_id":"r-1"}`, `{"email":"e@example.com"}`, `{"id":"t-1","name":"N"}`,
	`{"id":"t-1","metadata":{"":1,"a..b":2,".":{"x":1e400,"y":99999999999999999999,"z":[[{"k":null}]]}}}`, `{}`, `null`,
}

// field is a line of the schema's table. Source: elastic/ecs, tag v9.4.0,
// generated/ecs/ecs_flat.yml, Apache-2.0: the fields that we use, with their types.
type field struct {
	kind    string
	isArray bool
	allowed []string // empty: any
}

func readFields(t testing.TB) map[string]field {
	t.Helper()
	content, err := os.ReadFile("testdata/ecs_" + ecs.Version + ".tsv")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]field{}
	for line := range strings.Lines(string(content)) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		fields[c[0]] = field{c[1], c[2] == "array", strings.FieldsFunc(c[3], func(r rune) bool { return r == ',' })}
	}
	return fields
}

// faults returns what of the event is not of the schema.
func faults(fields map[string]field, event map[string]any) (list []string) {
	var walk func(path string, value any)
	walk = func(path string, value any) {
		f, known := fields[path]
		object, isObject := value.(map[string]any)
		switch {
		case path == "openai":
			list = append(list, ownFaults(path, value)...)
		case known:
			values := []any{value}
			if f.isArray {
				values, _ = value.([]any)
			}
			if len(values) == 0 {
				list = append(list, path+" is no array with values")
			}
			for _, v := range values {
				if !f.takes(v) {
					list = append(list, fmt.Sprintf("%s is %v, no %s of %v", path, v, f.kind, f.allowed))
				}
			}
		case isObject && len(object) > 0:
			for name, member := range object {
				walk(strings.TrimPrefix(path+"."+name, "."), member)
			}
		default:
			list = append(list, path+" is no field of the schema that has values")
		}
	}
	walk("", event)
	// The types of an event are those that the schema expects for its category.
	e := event["event"].(map[string]any)
	for _, category := range e["category"].([]any) {
		for _, allowed := range fields["event.category"].allowed {
			name, expected, _ := strings.Cut(allowed, ":")
			for _, kind := range e["type"].([]any) {
				if name == category && !slices.Contains(strings.Split(expected, "+"), kind.(string)) {
					list = append(list, fmt.Sprintf("event.type is %v for %v", kind, category))
				}
			}
		}
	}
	return list
}

func (f field) takes(value any) bool {
	text, isText := value.(string)
	if len(f.allowed) > 0 && !slices.ContainsFunc(f.allowed, func(a string) bool { name, _, _ := strings.Cut(a, ":"); return name == text }) {
		return false
	}
	switch f.kind {
	case "keyword", "match_only_text":
		return isText && text != ""
	case "date":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case "ip":
		address, err := netip.ParseAddr(text)
		return err == nil && address.Zone() == ""
	case "long":
		n, ok := value.(json.Number)
		_, err := n.Int64()
		return ok && err == nil
	case "geo_point":
		point, _ := value.(map[string]any)
		lat, err1 := point["lat"].(json.Number).Float64()
		lon, err2 := point["lon"].(json.Number).Float64()
		return len(point) == 2 && err1 == nil && err2 == nil && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180
	}
	return false
}

// ownFaults holds what is beside the schema to what Elasticsearch takes of any field.
func ownFaults(path string, value any) (list []string) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			for part := range strings.SplitSeq(name, ".") {
				if strings.TrimSpace(part) == "" {
					list = append(list, fmt.Sprintf("%s has the name %q", path, name))
				}
			}
			list = append(list, ownFaults(path+"."+name, member)...)
		}
	case []any:
		for _, item := range value {
			list = append(list, ownFaults(path, item)...)
		}
	case json.Number:
		_, err1 := value.Int64()
		f, err2 := value.Float64()
		if err1 != nil && (err2 != nil || !strings.ContainsAny(value.String(), ".eE")) {
			list = append(list, fmt.Sprintf("%s is %s, %v", path, value, f))
		}
	}
	if strings.Count(path, ".") > 18 {
		list = append(list, path+" is too deep")
	}
	return list
}

// TestFields: every type with every actor and every payload has fields of the schema
// alone, with values of their types.
func TestFields(t *testing.T) {
	fields := readFields(t)
	types := []string{"example.unknown.type", "", ".", "a..b", " "}
	for _, known := range flat.Types() {
		types = append(types, known.Name)
	}
	used := map[string]bool{}
	for _, eventType := range types {
		for i, actor := range actors {
			for j, payload := range payloads {
				record := flatten(t, eventType, actor, payload)
				for _, encode := range []func(*flat.Record) ([]byte, error){ecs.Encode, ecs.EncodeBrief} {
					event := render(t, record, encode)
					for _, fault := range faults(fields, event) {
						t.Errorf("%q, actor %d, payload %d: %s", eventType, i, j, fault)
					}
					markUsed(used, "", event)
				}
			}
		}
	}
	for name := range fields {
		if name != "field" && !used[name] {
			t.Errorf("%s is in the table and in no event", name)
		}
	}
}

func markUsed(used map[string]bool, path string, value any) {
	used[path] = true
	if object, ok := value.(map[string]any); ok {
		for name, member := range object {
			markUsed(used, strings.TrimPrefix(path+"."+name, "."), member)
		}
	}
}

// TestEveryTypeHasItsKind: a type that is new here needs a line in the table.
func TestEveryTypeHasItsKind(t *testing.T) {
	content, err := os.ReadFile("mapping.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(content), "\n") - 1; lines != len(flat.Types()) {
		t.Errorf("%d lines, %d types", lines, len(flat.Types()))
	}
	for _, known := range flat.Types() {
		if !strings.Contains(string(content), "\n"+known.Name+"\t") {
			t.Errorf("%s is not in the table", known.Name)
		}
	}
}

// TestFieldsOfAnyEvent: whatever the event's own object is, Elasticsearch takes it.
func TestFieldsOfAnyEvent(t *testing.T) {
	fields := readFields(t)
	rapid.Check(t, func(rt *rapid.T) {
		var own any
		text := rapid.SampledFrom([]string{"", ".", "a", "a.b", " ", "\x00", "changes_requested", "data", "email"})
		var draw func(depth int) any
		draw = func(depth int) any {
			kind := rapid.IntRange(0, 5).Draw(rt, "kind")
			switch {
			case kind == 0:
				return json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,25}(\.[0-9])?(e[0-9]{1,3})?`).Draw(rt, "number"))
			case kind == 1 || depth == 0:
				return text.Draw(rt, "text")
			case kind == 2:
				return []any{draw(depth - 1), draw(depth - 1)}
			default:
				object := map[string]any{}
				for range kind {
					object[text.Draw(rt, "name")] = draw(depth - 1)
				}
				return object
			}
		}
		own = draw(3)
		for range rapid.IntRange(0, 20).Draw(rt, "depth") {
			own = map[string]any{text.Draw(rt, "name"): []any{own}}
		}
		payload, _ := json.Marshal(own)
		event := render(t, flatten(t, "api_key.created", string(payload), string(payload)), ecs.Encode)
		if list := faults(fields, event); len(list) > 0 {
			rt.Fatalf("%s: %v", payload, list)
		}
	})
}

// TestRefuses: a check that finds nothing shows nothing.
func TestRefuses(t *testing.T) {
	fields := readFields(t)
	for name, change := range map[string]func(map[string]any){
		"unknown":     func(e map[string]any) { e["nonsense"] = "x" },
		"no array":    func(e map[string]any) { e["event"].(map[string]any)["type"] = []any{} },
		"other kind":  func(e map[string]any) { e["event"].(map[string]any)["kind"] = "thing" },
		"wrong type":  func(e map[string]any) { e["event"].(map[string]any)["type"] = []any{"user"} },
		"address":     func(e map[string]any) { e["source"].(map[string]any)["ip"] = "203.0.113.0/24" },
		"text number": func(e map[string]any) { e["source"].(map[string]any)["as"] = map[string]any{"number": "1"} },
		"latitude": func(e map[string]any) {
			e["source"].(map[string]any)["geo"] = map[string]any{"location": map[string]any{"lat": json.Number("91"), "lon": json.Number("0")}}
		},
		"empty text": func(e map[string]any) { e["user"].(map[string]any)["id"] = "" },
		"time":       func(e map[string]any) { e["@timestamp"] = "1770979893" },
		"own name":   func(e map[string]any) { e["openai"].(map[string]any)["a..b"] = "x" },
	} {
		event := render(t, flatten(t, "login.succeeded", sessionActor, "{}"), ecs.Encode)
		if list := faults(fields, event); len(list) > 0 {
			t.Fatal(list)
		}
		change(event)
		if len(faults(fields, event)) == 0 {
			t.Errorf("%s: no fault is found", name)
		}
	}
}

// TestLogin is a whole event, written by hand.
func TestLogin(t *testing.T) {
	record := flatten(t, "login.failed", sessionActor, `{"error_code":"invalid_credentials","error_message":"No."}`)
	want := `{
		"@timestamp": "2026-02-13T10:51:33.000Z", "ecs": {"version": "9.4.0"},
		"event": {"kind": "event", "category": ["authentication"], "type": ["start"], "action": "login-failed", "outcome": "failure", "id": "audit_log-1",
			"created": "2026-02-13T10:51:40.250Z", "module": "openai", "dataset": "openai.audit", "provider": "OpenAI"},
		"observer": {"vendor": "OpenAI", "product": "OpenAI"}, "organization": {"name": "acme"},
		"cloud": {"provider": "openai", "project": {"id": "proj_1", "name": "P"}},
		"error": {"code": "invalid_credentials", "message": "No."},
		"source": {"address": "203.0.113.10", "ip": "203.0.113.10", "as": {"number": 64500}, "geo": {"city_name": "Austin", "country_iso_code": "US",
			"region_name": "Texas", "region_iso_code": "US-TX", "location": {"lat": 30.2672, "lon": -97.7431}}},
		"user_agent": {"original": "UA"}, "tls": {"client": {"ja3": "j3"}},
		"user": {"id": "user-1", "email": "alice@example.com", "name": "alice@example.com", "domain": "example.com"},
		"related": {"user": ["alice@example.com", "user-1"], "ip": ["203.0.113.10"], "hash": ["j3", "j4"]},
		"openai": {"audit": {"id": "audit_log-1", "type": "login.failed", "effective_at": "2026-02-13T10:51:33.000Z", "event_scope": "organization",
			"actor": {"type": "session", "session": {"user": {"id": "user-1", "email": "alice@example.com"}, "ip_address": "203.0.113.10", "ja3": "j3", "ja4": "j4", "user_agent": "UA"}},
			"project": {"id": "proj_1", "name": "P"}, "target": {"type": "login"},
			"login.failed": {"error_code": "invalid_credentials", "error_message": "No."}}}
	}`
	got := render(t, record, ecs.Encode)
	if original := got["event"].(map[string]any)["original"]; original != record.RawEvent {
		t.Errorf("event.original %v", original)
	}
	delete(got["event"].(map[string]any), "original")
	if diff := cmp.Diff(parse(t, []byte(want)), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTargets holds whom an event is about to what was written by hand.
func TestTargets(t *testing.T) {
	const assignment = `"id":"role_assignment_owner__api-organization__org-1_user-2"`
	for name, test := range map[string]struct{ eventType, payload, user, group, related string }{
		"role given to a user":  {"role.assignment.created", `{` + assignment + `,"principal_id":"user-2","principal_type":"user"}`, `{"target":{"id":"user-2","roles":["owner"]}}`, `null`, `["user-2"]`},
		"role given to a group": {"role.assignment.created", `{` + assignment + `,"principal_id":"group-2","principal_type":"group"}`, `null`, `{"id":"group-2"}`, `null`},
		"user added":            {"user.added", `{"id":"user-2","data":{"role":"owner"}}`, `{"target":{"id":"user-2","roles":["owner"]}}`, `null`, `["user-2"]`},
		"group":                 {"group.updated", `{"id":"g-1","changes_requested":{"group_name":"Ops"}}`, `null`, `{"id":"g-1","name":"Ops"}`, `null`},
		"invitation":            {"invite.sent", `{"id":"invite-1","data":{"email":"bob@example.com","role":"reader"}}`, `{"target":{"email":"bob@example.com","roles":["reader"]}}`, `null`, `["bob@example.com"]`},
		"key":                   {"api_key.created", `{"id":"key_1"}`, `null`, `null`, `null`},
	} {
		event := render(t, flatten(t, test.eventType, "null", test.payload), ecs.Encode)
		related, _ := event["related"].(map[string]any)
		got := fmt.Sprint(event["user"], event["group"], related["user"])
		var want []any
		for _, text := range []string{test.user, test.group, test.related} {
			want = append(want, parse(t, []byte(`{"v":`+text+`}`))["v"])
		}
		if got != fmt.Sprint(want...) {
			t.Errorf("%s: %s, want %v", name, got, want)
		}
	}
}

func TestBrief(t *testing.T) {
	record := flatten(t, "api_key.created", "null", `{"id":"key_1","data":{"scopes":["`+strings.Repeat("x", 10_000)+`"]}}`)
	value, err := ecs.EncodeBrief(record)
	if err != nil || len(value) > 1500 || fmt.Sprint(parse(t, value)["tags"]) != "[truncated]" {
		t.Fatalf("%d bytes, %v: %s", len(value), err, value)
	}
}

// TestOddOwnObject: what Elasticsearch would refuse the document for is renamed or is
// text, and what encoding/json does not read costs the object, not the event.
func TestOddOwnObject(t *testing.T) {
	const own = `{"id":"k","certificate":"PEM","m":{"a.b":1,"":2,"big":99999999999999999999,"far":1e400,"n":9007199254740993,"f":1.5}}`
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	audit := func(eventType, payload string) map[string]any {
		event := render(t, flatten(t, eventType, "null", payload), ecs.Encode)
		return event["openai"].(map[string]any)["audit"].(map[string]any)
	}
	want := parse(t, []byte(`{"id":"k","m":{"a_b":1,"_":2,"big":"99999999999999999999","far":"1e400","n":9007199254740993,"f":1.5}}`))
	if diff := cmp.Diff(any(want), audit("example.unknown", own)["details"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a := audit("api_key.created", `{"id":"k","deep":`+deep+`}`); a["api_key.created"] != nil || a["id"] != "audit_log-1" {
		t.Errorf("%v", a)
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
	record.EffectiveAt, record.IngestedAt = time.Unix(1_770_979_893, 0), time.UnixMilli(1_770_979_900_250)
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
