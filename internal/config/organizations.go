package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// numbers returns the n of ORGANIZATIONS_<n>_ that are set, in order.
func (e *environment) numbers() (numbers []int) {
	for name := range e.vars {
		if m := organizationName.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1]) // at most four digits
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// variables are the names under which one organization's settings are given.
type variables struct{ name, key, baseURL, backfill, tenantEvents string }

var single = variables{"ORGANIZATION_NAME", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "BACKFILL_START_TIME", "OPENAI_TENANT_EVENTS"}

func numbered(n int) variables {
	prefix := fmt.Sprintf("ORGANIZATIONS_%d_", n)
	return variables{prefix + "NAME", prefix + "ADMIN_KEY", prefix + "BASE_URL", prefix + "BACKFILL_START_TIME", prefix + "TENANT_EVENTS"}
}

func (e *environment) organizations(opts Options) []connector.Organization {
	general := connector.DefaultOrganization()
	e.fill(&general, single, opts)
	numbers := e.numbers()
	if len(numbers) == 0 {
		general.AdminKey, general.KeySetting, general.BaseURLSetting = e.secret(single.key), single.key, single.baseURL
		return []connector.Organization{general}
	}
	var all []connector.Organization
	for _, n := range numbers {
		v, o := numbered(n), general
		o.Name = ""
		e.fill(&o, v, opts)
		o.AdminKey, o.KeySetting = e.secret(v.key), v.key
		o.BaseURLSetting = e.meant(v.baseURL, single.baseURL)
		o.BackfillSetting = e.meant(v.backfill, single.backfill)
		o.TenantEventsSetting = e.meant(v.tenantEvents, single.tenantEvents)
		all = append(all, o)
	}
	return all
}

// meant returns the variable of an organization's own, or the one for all where that alone
// is given.
func (e *environment) meant(own, forAll string) string {
	if e.isSet(forAll) && !e.isSet(own) {
		return forAll
	}
	return own
}

// fill sets what is given for an organization.
func (e *environment) fill(o *connector.Organization, v variables, opts Options) {
	if name := e.vars[v.name]; name != "" {
		o.Name = name
	}
	if base := e.vars[v.baseURL]; base != "" {
		o.BaseURL = strings.TrimRight(base, "/")
		if u, err := url.Parse(base); err == nil && u.User == nil && sentInClear(u) {
			e.warnings = append(e.warnings, v.baseURL+": the admin key is sent without TLS; write https://")
		}
	}
	if mode := connector.TenantEvents(e.vars[v.tenantEvents]); mode != "" {
		o.TenantEvents = mode
	}
	if e.isSet(v.backfill) {
		o.BackfillStart = e.backfill(v.backfill, opts.Now)
	}
}

func (e *environment) backfill(variable string, now time.Time) *connector.BackfillStart {
	if e.vars[variable] == "earliest" {
		return &connector.BackfillStart{Earliest: true}
	}
	at, err := ParseTime(e.vars[variable], now)
	switch {
	case err != nil:
		e.fault(variable, err.Error(), TimeRemedy(e.vars[variable])+", or earliest")
	case at.After(now):
		e.fault(variable, "is in the future", "give a time that has passed")
	}
	return &connector.BackfillStart{At: at}
}

func (e *environment) oneOf(variable, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		e.fault(variable, "not one of its values", "set "+strings.Join(allowed, ", "))
	}
}
