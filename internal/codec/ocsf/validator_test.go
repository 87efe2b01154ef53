package ocsf_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// schema is the resolved schema of the classes used and all objects they reach,
// as in testdata. Source: ocsf/ocsf-schema, tag 1.8.0, Apache-2.0.
type schema struct {
	Version string           `json:"version"`
	Classes map[string]class `json:"classes"`
	Objects map[string]class `json:"objects"`
}

type class struct {
	UID         int                  `json:"uid"`
	Attributes  map[string]attribute `json:"attributes"`
	Constraints struct {
		AtLeastOne []string `json:"at_least_one"`
	} `json:"constraints"`
}

type attribute struct {
	Type        string   `json:"type"`
	Requirement string   `json:"requirement"`
	IsArray     bool     `json:"is_array"`
	Enum        []string `json:"enum"`
	Profile     string   `json:"profile"`
	Deprecated  string   `json:"deprecated"`
}

func readSchema(t testing.TB) *schema {
	t.Helper()
	content, err := os.ReadFile("testdata/ocsf_subset_1.8.0.json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(schema)
	if err := json.Unmarshal(content, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// validate returns what is wrong with the event.
func (s *schema) validate(event map[string]any) []string {
	v := validation{schema: s}
	metadata, _ := event["metadata"].(map[string]any)
	for _, p := range asList(metadata["profiles"]) {
		v.profiles = append(v.profiles, fmt.Sprint(p))
	}
	if metadata["version"] != s.Version {
		v.fault("metadata.version", "is %v, want %s", metadata["version"], s.Version)
	}
	uid, activity, typeUID := asInt(event["class_uid"]), asInt(event["activity_id"]), asInt(event["type_uid"])
	if typeUID != uid*100+activity {
		v.fault("type_uid", "is %d", typeUID)
	}
	for _, c := range s.Classes {
		if c.UID == uid {
			v.object("", c, event)
			return v.faults
		}
	}
	return append(v.faults, fmt.Sprintf("no class %d", uid))
}

type validation struct {
	schema   *schema
	profiles []string
	faults   []string
}

func (v *validation) fault(path, format string, args ...any) {
	v.faults = append(v.faults, path+" "+fmt.Sprintf(format, args...))
}

func (v *validation) object(path string, c class, object map[string]any) {
	for name, a := range c.Attributes {
		if _, present := object[name]; !present && a.Requirement == "required" && (a.Profile == "" || slices.Contains(v.profiles, a.Profile)) {
			v.fault(path+name, "is required")
		}
	}
	for name, value := range object {
		a, known := c.Attributes[name]
		switch {
		case !known:
			v.fault(path+name, "is not known")
		case a.Deprecated != "":
			v.fault(path+name, "is deprecated since %s", a.Deprecated)
		case a.IsArray:
			list, ok := value.([]any)
			if !ok || len(list) == 0 {
				v.fault(path+name, "is not a list with items")
			}
			for i, item := range list {
				v.value(fmt.Sprintf("%s%s[%d]", path, name, i), a, item)
			}
		default:
			v.value(path+name, a, value)
		}
	}
	if one := c.Constraints.AtLeastOne; len(one) > 0 && !slices.ContainsFunc(one, func(name string) bool { _, ok := object[name]; return ok }) {
		v.fault(path, "has none of %v", one)
	}
}

func (v *validation) value(path string, a attribute, value any) {
	ok := true
	switch a.Type {
	case "timestamp_t", "integer_t", "long_t", "port_t":
		var n json.Number
		n, ok = value.(json.Number)
		ok = ok && !strings.ContainsAny(n.String(), ".eE")
		if ok && len(a.Enum) > 0 && !slices.Contains(a.Enum, n.String()) {
			v.fault(path, "is %s, not of %v", n, a.Enum)
		}
	case "float_t":
		_, ok = value.(json.Number)
	case "boolean_t":
		_, ok = value.(bool)
	case "json_t":
	case "object":
		_, ok = value.(map[string]any)
	default:
		if strings.HasSuffix(a.Type, "_t") {
			var s string
			s, ok = value.(string)
			ok = ok && s != ""
			break
		}
		var object map[string]any
		if object, ok = value.(map[string]any); ok {
			v.object(path+".", v.schema.Objects[a.Type], object)
		}
	}
	if !ok {
		v.fault(path, "is %v, no %s", value, a.Type)
	}
}

func asList(v any) []any { list, _ := v.([]any); return list }

func asInt(v any) int {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return int(i)
}
