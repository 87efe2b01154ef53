package simulator

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// field is a node of a payload's shape.
type field struct {
	name  string
	array bool
	kind  string // of a leaf: string, integer, boolean, object or string{a|b}
	kids  []*field
}

// shape reads the fields of a type into a tree.
func shape(fields string) *field {
	root := &field{}
	for _, spec := range strings.Split(fields, ",") {
		path, kind, ok := strings.Cut(spec, ":")
		if !ok {
			continue // a type without fields
		}
		at := root
		for _, step := range strings.Split(path, ".") {
			at = at.child(step)
		}
		at.kind = kind
	}
	return root
}

func (f *field) child(step string) *field {
	name, array := strings.CutSuffix(step, "[]")
	for _, k := range f.kids {
		if k.name == name {
			return k
		}
	}
	k := &field{name: name, array: array}
	f.kids = append(f.kids, k)
	return k
}

// appendTo writes a value of the shape.
func (f *field) appendTo(b []byte, r *rand.Rand) []byte {
	if f.array {
		b = append(b, '[')
		for i := range 1 + r.IntN(3) {
			if i > 0 {
				b = append(b, ',')
			}
			b = f.appendOne(b, r)
		}
		return append(b, ']')
	}
	return f.appendOne(b, r)
}

func (f *field) appendOne(b []byte, r *rand.Rand) []byte {
	if len(f.kids) == 0 && f.kind != "" {
		return append(b, f.leaf(r)...)
	}
	if f.name == "provider" {
		f = f.provider(r)
	}
	b = append(b, '{')
	n := 0
	for _, k := range f.kids {
		// All fields are optional in the specification, but for a provider's; the id is
		// there.
		if k.name != "id" && f.name != "provider" && r.IntN(8) == 0 {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, k.name), ':')
		b = k.appendTo(b, r)
	}
	return append(b, '}')
}

// providers are the forms of data.provider in external_storage.registered, a oneOf in
// the specification: each has these fields, and no others.
var providers = []string{
	"type{aws},account_id,bucket,external_id,region,role_arn",
	"type{azure},account_name,container,region,resource_group,subscription_id,tenant_id",
	"type{gcp},audience,bucket,region,workload_identity_pool_id,workload_identity_project_number,workload_identity_provider_id",
	"type{oci},bucket,region,tenancy_ocid",
}

// provider returns the shape of one of the providers.
func (f *field) provider(r *rand.Rand) *field {
	one := &field{name: f.name}
	for _, spec := range strings.Split(providers[r.IntN(len(providers))], ",") {
		name, value, _ := strings.Cut(spec, "{")
		kind := "string"
		if value != "" {
			kind += "{" + value
		}
		one.kids = append(one.kids, &field{name: name, kind: kind})
	}
	return one
}

func (f *field) leaf(r *rand.Rand) string {
	kind, enum, _ := strings.Cut(f.kind, "{")
	switch {
	case enum != "":
		values := strings.Split(strings.TrimSuffix(enum, "}"), "|")
		return strconv.Quote(values[r.IntN(len(values))])
	case kind == "integer":
		return strconv.Itoa(1000 * (1 + r.IntN(1000)))
	case kind == "boolean":
		return strconv.FormatBool(r.IntN(2) == 0)
	case kind == "object":
		return fmt.Sprintf(`{"kind":"example","number":%d}`, r.IntN(1000))
	}
	return strconv.Quote(words(f.name, r))
}

// words makes up a text for a field by its name.
func words(name string, r *rand.Rand) string {
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	switch name {
	case "scopes":
		return pick("api.model.request", "api.model.read", "api.files.write", "api.audit_logs.read")
	case "permissions", "permissions_added", "permissions_removed":
		return pick("api.projects.read", "api.groups.write", "connector.use")
	case "allowed_ips":
		return fmt.Sprintf("203.0.113.%d/32", r.IntN(256))
	case "email":
		return fmt.Sprintf("user%d@example.com", r.IntN(500))
	case "role":
		return pick("owner", "reader", "member")
	case "principal_type":
		return pick("user", "group")
	case "resource_type":
		return pick("api.organization", "api.project")
	case "error_code":
		return pick("invalid_credentials", "mfa_required", "sso_failed")
	case "error_message":
		return pick("The credentials were not accepted.", "A second factor is required.")
	case "certificate":
		return "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIBszCCAVmgAwIBAgIUExample\n", 12) + "-----END CERTIFICATE-----\n"
	case "title", "name", "group_name", "role_name", "description", "connector_name":
		return pick("Research", "Werkbank Köln", "実験", "Sales \"EMEA\"", "Example") + " " + strconv.Itoa(r.IntN(100))
	}
	return fmt.Sprintf("%s-Example%06d", strings.ReplaceAll(name, "_id", ""), r.IntN(100000))
}
