package auditlog

// Scope is one of the two lists the API keeps: the events of the organization,
// and, with tenant_only=true, those of the tenant above it.
// Source: openapi-audit-logs.yaml, parameter tenant_only.
type Scope string

// The scopes, in the order in which they are preferred: an id that both list is
// written as ScopeOrganization.
const (
	ScopeOrganization Scope = "organization"
	ScopeTenant       Scope = "tenant"
)

// Scopes lists every scope, the preferred one first.
func Scopes() []Scope { return []Scope{ScopeOrganization, ScopeTenant} }

// Other returns the scope that s is not.
func (s Scope) Other() Scope {
	if s == ScopeTenant {
		return ScopeOrganization
	}
	return ScopeTenant
}
