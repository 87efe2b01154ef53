package ops

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
)

// checkAPI tries the key, each scope, and what the answers look like.
func (k *checker) checkAPI(ctx context.Context) {
	if k.cfg.API.Key == nil {
		k.add("api key", failed("give one with Audit Logs: Read in "+k.cfg.API.keySetting()+" or its file", "there is no admin key"))
		return
	}
	api, err := client(k.cfg, 2)
	if err != nil {
		k.add("api key", failed("correct OPENAI_BASE_URL", "%v", err))
		return
	}
	page, err := api.Newest(ctx, auditlog.ScopeOrganization, 100)
	if disordered(err) {
		k.add("page direction", directionFailed(err))
		return
	}
	if err != nil {
		k.add("api key", k.apiFinding(err))
		return
	}
	k.apiName = page.Organization
	k.add("api key", fine("it may read organization events"))
	k.add("api clock", clockFinding(page.Skew))
	k.add("page direction", directionFinding(page.Events))
	tenant, err := k.checkTenant(ctx, api)
	k.add("audit logging", loggingFinding(len(page.Events), len(tenant.Events), err == nil))
}

func (k *checker) checkTenant(ctx context.Context, client *openai.Client) (openai.Page, error) {
	if k.cfg.API.Tenant == TenantOff {
		k.add("tenant events", fine("turned off"))
		return openai.Page{}, nil
	}
	page, err := client.Newest(ctx, auditlog.ScopeTenant, 100)
	e, answered := errors.AsType[*openai.Error](err)
	switch {
	case err == nil:
		k.add("tenant events", k.tenantFinding(page.Events))
	case answered && e.Denied() && k.cfg.API.Tenant == TenantAuto:
		k.add("tenant events", warning("grant the key the right to tenant events, or set OPENAI_TENANT_EVENTS=off",
			"the key may read organization events and not tenant events, which are left out (%s)", e.Said()))
	case answered && e.Denied():
		k.add("tenant events", failed("grant the key the right to tenant events, or set OPENAI_TENANT_EVENTS=auto",
			"the key may read organization events and not tenant events, and OPENAI_TENANT_EVENTS=on (%s)", e.Said()))
	default:
		k.add("tenant events", k.apiFinding(err))
	}
	return page, err
}

// tenantFinding compares the newest tenant events with those of the organizations that
// were checked before.
func (k *checker) tenantFinding(newest []auditlog.Event) Finding {
	if k.run.Tenants != nil {
		if other := k.run.Tenants.Note(k.cfg.Organization, newest); other != "" {
			return warning("to have each once, set ORGANIZATIONS_<n>_TENANT_EVENTS=off for all organizations of the tenant but one",
				"the key may read them, and %s lists the same ones: each is written once for each of the two", other)
		}
	}
	return fine("the key may read them")
}

func loggingFinding(organization, tenant int, tenantAsked bool) Finding {
	switch {
	case organization > 0:
		return fine("it lists events")
	case tenant > 0:
		return warning("if the organization's own events are missed, turn audit logging on in its data controls settings", "it lists tenant events only")
	}
	cause := "the API lists nothing, in no scope and at no time: audit logging is probably not turned on"
	if !tenantAsked {
		cause = "the API lists nothing at any time, and tenant events could not be asked for: audit logging is probably not turned on"
	}
	return failed("turn it on in the organization's settings (Data controls, Audit logging), which an owner must do; events from before are not logged", "%s", cause)
}

func clockFinding(skew time.Duration) Finding {
	const notable = 5 * time.Minute
	if skew.Abs() < notable {
		return fine("%v apart from this host's", skew.Abs().Round(time.Second))
	}
	skew = skew.Round(time.Minute) // it is not known better than to a second
	return warning("set this host's clock; until then the earlier of both counts, and new events are read again for longer",
		"the API's clock and this host's are %s apart", span(skew.Abs()))
}

func disordered(err error) bool {
	e, ok := errors.AsType[*openai.Error](err)
	return ok && e.Kind == openai.KindDisordered
}

func directionFailed(err error) Finding {
	return failed("look for a newer release: the API has changed, or something between changes its answers", "the pages are not newest first, as documented: %v", err)
}

func directionFinding(events []auditlog.Event) Finding {
	if len(events) < 2 {
		return fine("there are too few events to tell")
	}
	if first, last := events[0].Second(), events[len(events)-1].Second(); first < last {
		return directionFailed(fmt.Errorf("from %v to %v", first, last))
	}
	return fine("newest first")
}

// apiFinding says why the API cannot be read.
func (k *checker) apiFinding(err error) Finding {
	e, ok := errors.AsType[*openai.Error](err)
	if !ok {
		return failed("check the network, and OPENAI_BASE_URL", "the API did not answer: %v", err)
	}
	setting := k.cfg.API.keySetting()
	newKey := "make an admin key (Admin Keys, Restricted, Audit Logs: Read) and put it into " + setting + " or its file"
	switch e.Kind {
	case openai.KindKeyUnreadable:
		return failed("check "+setting+", or the file named by "+setting+"_FILE: it must be readable and hold the key alone", "there is no key that could be sent: %v", e.Err)
	case openai.KindUnauthorized:
		if !k.cfg.API.isAdminKey() {
			return failed(newKey, "it is no admin key (those begin with sk-admin-), but a project's or a person's (%s)", e.Said())
		}
		return failed(newKey, "the API does not know the key: it is mistyped, or was revoked (%s)", e.Said())
	case openai.KindForbidden:
		if !k.cfg.API.isAdminKey() {
			return failed(newKey, "it is no admin key (those begin with sk-admin-), and may not read audit logs (%s)", e.Said())
		}
		return failed("give the key the scope api.audit_logs.read (Admin Keys, Restricted, Audit Logs: Read)", "the key may not read audit logs (%s)", e.Said())
	case openai.KindRefused:
		return failed("check that the key has the scope api.audit_logs.read", "the API refused and named no right that is missing, %d times (%s)", e.Tries, e.Said())
	case openai.KindAddressRefused:
		return failed("add the address that leaves this network to the organization's IP allow list, which counts within a quarter of an hour, or go out another way with HTTPS_PROXY",
			"the organization takes requests from some IP addresses only, and ours is not among them; the key is not at fault (%s)", e.Said())
	case openai.KindOtherHost:
		return failed("set OPENAI_BASE_URL=https://"+cmp.Or(e.Host, "<host>")+"/v1, with the host that the API names",
			"the organization's data is kept in another region, at another host; the key is not at fault (%s)", e.Said())
	case openai.KindCountryRefused:
		return failed("use a proxy in another country (HTTPS_PROXY), or fix the route out of this network",
			"OpenAI does not serve the country from which the request comes; the key is not at fault (%s)", e.Said())
	case openai.KindBarred:
		return failed("if a proxy or firewall answers in place of the API, fix that (HTTPS_PROXY, NO_PROXY, OPENAI_BASE_URL); otherwise do what the answer says",
			"it is refused, and neither the key nor a right is named (%s)", e.Said())
	case openai.KindRateLimited:
		k.untried = true
		return warning("set API_REQUESTS_PER_MINUTE, or look at the account's limits and billing", "the API's rate limit is used up (HTTP 429), so nothing more could be tried")
	case openai.KindMalformed, openai.KindRejected:
		if e.Status == http.StatusProxyAuthRequired {
			return failed(proxyRemedy, "the proxy between here and the API wants a user and a password (HTTP 407)")
		}
		return failed("check OPENAI_BASE_URL, which ends in /v1, and what is between here and the API", "what answers there is not the API of audit logs (HTTP %d): %v", e.Status, cause(e))
	}
	return unreachable(e)
}

const proxyRemedy = "check HTTPS_PROXY (http://user:password@host:port where it wants those) and NO_PROXY"

func (a API) isAdminKey() bool {
	key, err := a.Key()
	return err == nil && strings.HasPrefix(key, "sk-admin-")
}

func cause(e *openai.Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Body
}

// unreachable says why there was no answer, by the types of errors.
func unreachable(e *openai.Error) Finding {
	if op, ok := errors.AsType[*net.OpError](e.Err); ok && op.Op == "proxyconnect" {
		return failed(proxyRemedy, "the proxy does not let us through: %v", e.Err)
	}
	if dns, ok := errors.AsType[*net.DNSError](e.Err); ok && !dns.IsNotFound {
		return failed("check the name servers of this host", "no name server knows the address of the API's host %q: %v", dns.Name, dns)
	} else if ok {
		return failed("check OPENAI_BASE_URL, and the name servers of this host", "the API's host name %q cannot be looked up", dns.Name)
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](e.Err)
	_, hostname := errors.AsType[x509.HostnameError](e.Err)
	_, invalid := errors.AsType[*tls.CertificateVerificationError](e.Err)
	_, plain := errors.AsType[tls.RecordHeaderError](e.Err)
	if unknown || hostname || invalid || plain {
		return failed("a proxy that opens TLS needs its CA in the system's store (SSL_CERT_FILE); otherwise check OPENAI_BASE_URL and the clock", "TLS to the API failed: %v", e.Err)
	}
	if e.Status != 0 {
		return failed("it may pass: look at status.openai.com, and try again", "the API answers HTTP %d", e.Status)
	}
	return failed("check the network, the firewall, HTTPS_PROXY and OPENAI_BASE_URL", "the API cannot be reached: %v", e.Err)
}
