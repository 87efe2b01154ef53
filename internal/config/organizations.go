package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

var nameSyntax = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

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
		general.AdminKey, general.KeySetting, general.BaseURLSetting = e.key(single, opts), single.key, single.baseURL
		return []connector.Organization{general}
	}
	var all []connector.Organization
	for _, n := range numbers {
		v, o := numbered(n), general
		o.Name = ""
		e.fill(&o, v, opts)
		if o.Name == "" {
			e.fault(v.name, "not set", "every organization needs a name")
		}
		o.AdminKey, o.KeySetting, o.BaseURLSetting = e.key(v, opts), v.key, v.baseURL
		if e.isSet(single.baseURL) && !e.isSet(v.baseURL) {
			o.BaseURLSetting = single.baseURL // the one for all is the one that is meant
		}
		e.checkTwice(all, o, v)
		all = append(all, o)
	}
	return all
}

func (e *environment) key(v variables, opts Options) connector.Secret {
	given := e.isSet(v.key) || e.isSet(v.key+FileSuffix)
	if !given && !opts.WithoutKey {
		e.hiddenFault(v.key, "not set", "give an admin key with Audit Logs: Read, or the path of a file with it in "+v.key+FileSuffix)
	}
	return e.secret(v.key)
}

// fill sets what is given for an organization.
func (e *environment) fill(o *connector.Organization, v variables, opts Options) {
	if name := e.vars[v.name]; name != "" {
		o.Name = name
		if !nameSyntax.MatchString(name) {
			e.fault(v.name, "not a name", "use at most 63 of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit")
		}
	}
	if base := e.vars[v.baseURL]; base != "" {
		o.BaseURL = strings.TrimRight(base, "/")
		switch u := e.checkURL(v.baseURL); {
		case u == nil:
		case u.User != nil:
			e.fault(v.baseURL, "there is a user name in the URL", "leave it out; the admin key says who we are")
		case strings.HasSuffix("."+u.Hostname(), ".api.openai.com") && strings.Trim(u.Path, "/") != "v1":
			e.fault(v.baseURL, "not where OpenAI's API is", "did you mean https://"+u.Host+"/v1?")
		case sentInClear(u):
			e.warnings = append(e.warnings, v.baseURL+": the admin key is sent without TLS; write https://")
		}
	}
	if mode := connector.TenantEvents(e.vars[v.tenantEvents]); mode != "" {
		o.TenantEvents = mode
		e.oneOf(v.tenantEvents, string(mode), string(connector.TenantAuto), string(connector.TenantOn), string(connector.TenantOff))
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
		e.fault(variable, "lies in the future", "give a time that has passed")
	}
	return &connector.BackfillStart{At: at}
}

// checkTwice refuses one organization given as two: its events would be written
// twice, under two names.
func (e *environment) checkTwice(others []connector.Organization, o connector.Organization, v variables) {
	key, _ := o.AdminKey.Read() // unreadable is a fault already
	for _, other := range others {
		if o.Name != "" && other.Name == o.Name {
			e.fault(v.name, "given to two organizations", "give each a name of its own")
		}
		if theirs, _ := other.AdminKey.Read(); key != "" && theirs == key {
			e.hiddenFault(v.key, "the same key as that of "+shown(other.Name), "give each organization once")
		}
	}
}

// checkURL returns nil if the variable's value is no URL of a server.
func (e *environment) checkURL(variable string) *url.URL {
	return e.checkServer(variable, e.vars[variable])
}

// checkServer is checkURL for one of several URLs.
func (e *environment) checkServer(variable, text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		e.fault(variable, "not the URL of a server", "write it like https://host/path")
		return nil
	}
	return u
}

func (e *environment) oneOf(variable, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		e.fault(variable, "not one of its values", "set "+strings.Join(allowed, ", "))
	}
}
