package ops

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// RunSettings is what Check must know beside Config of what the connector is to do.
type RunSettings struct {
	GroupID string // empty: none
	// Verifies and Repairs say that the connector compares the topic with the API by itself,
	// and writes what is missing.
	Verifies, Repairs bool
	// Backfill is from when history is wanted; nil: none is.
	Backfill *auditlog.Second
	// BackfillSetting and TenantSetting are the names of the settings of history and of
	// tenant events; empty: BACKFILL_START_TIME and OPENAI_TENANT_EVENTS.
	BackfillSetting, TenantSetting string
	// Tenants compares the tenant events of the organizations that are checked one
	// after the other; nil: this one is checked alone.
	Tenants *Tenants
	// Sources is what those that are checked one after the other know of the events topic, from
	// the function Sources; nil: this one is checked alone.
	Sources *txlog.Search
	// Consumers are those of the function Consumers that read the topic.
	Consumers []string
}

// Tenants notices when two organizations list the same tenant events.
type Tenants = window.Tenants

// Sources returns what is known of an events topic of which nothing was read.
func Sources() *txlog.Search { return target.Sources() }

// checkLimit bounds each part of a check, so that nothing that hangs hides the
// rest.
const checkLimit = 45 * time.Second

// Check tries all that the connector needs. It writes nothing and fences no instance.
// What cannot be tried, since what it needs failed, is not listed.
func Check(ctx context.Context, c Config, run RunSettings) *CheckReport {
	if run.Sources == nil {
		run.Sources = target.Sources()
	}
	k := &checker{cfg: c, run: run, report: &CheckReport{Organization: c.Organization}}
	for _, part := range []func(context.Context){k.checkAPI, k.checkKafka, k.checkRegistry, k.checkState} {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		part(limited)
		cancel()
	}
	k.checkConsumers()
	k.report.Guarantee = k.guarantee()
	return k.report
}

// checker collects findings, and what one check found that another one needs.
type checker struct {
	cfg    Config
	run    RunSettings
	report *CheckReport

	apiName   string // the API's own name of the organization, if it says
	untried   bool   // the API would not be asked
	reachable bool   // the brokers answer
	sights    map[string]kafka.Sight
	topics    target.Found // those that can be seen
}

func (k *checker) add(name string, f Finding) {
	f.Name = name
	own := k.ownSettings()
	f.Cause, f.Remedy = own.Replace(f.Cause), own.Replace(f.Remedy)
	k.report.Checks = append(k.report.Checks, f)
}

// ownSettings puts the names of the organization's own settings in place of the general
// ones.
func (k *checker) ownSettings() *strings.Replacer {
	return strings.NewReplacer(
		"OPENAI_BASE_URL", cmp.Or(k.cfg.API.BaseURLSetting, "OPENAI_BASE_URL"),
		"BACKFILL_START_TIME", cmp.Or(k.run.BackfillSetting, "BACKFILL_START_TIME"),
		"OPENAI_TENANT_EVENTS", cmp.Or(k.run.TenantSetting, "OPENAI_TENANT_EVENTS"),
	)
}

// exists reports whether the topic of a role is there and can be seen.
func (k *checker) exists(role string) bool { _, ok := k.topics[role]; return ok }
