package ops

import (
	"context"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// RunSettings is what Check must know beside Config of what the connector is to do.
type RunSettings struct {
	CreateTopics bool
	Partitions   int32
	Replication  int16
	Retention    time.Duration
	// Backfill is from when history is wanted; nil: none is.
	Backfill *auditlog.Second
}

// checkLimit bounds each part of a check, so that nothing that hangs hides the
// rest.
const checkLimit = 45 * time.Second

// Check tries all that the connector needs. It writes nothing and fences nobody.
// What cannot be tried, since what it needs failed, is not listed.
func Check(ctx context.Context, c Config, run RunSettings) *CheckReport {
	k := &checker{Config: c, run: run, report: &CheckReport{Organization: c.Organization}}
	for _, part := range []func(context.Context){k.checkAPI, k.checkKafka, k.checkRegistry, k.checkState} {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		part(limited)
		cancel()
	}
	k.report.Guarantee = k.guarantee()
	return k.report
}

// checker collects findings, and what one check found that another one needs.
type checker struct {
	Config
	run    RunSettings
	report *CheckReport

	apiName   string // the API's own name of the organization, if it says
	reachable bool   // the brokers answer
	sights    map[string]kafka.Sight
	topics    described // those that can be seen
}

func (k *checker) add(name string, f Finding) {
	f.Name = name
	k.report.Checks = append(k.report.Checks, f)
}

// exists reports whether the topic is there and can be seen.
func (k *checker) exists(name string) bool { _, ok := k.topics[name]; return ok }

func (k *checker) checkRegistry(ctx context.Context) {
	if k.Registry.URL == "" {
		k.add("schema registry", fine("none: values are Avro single objects"))
		return
	}
	k.add("schema registry", k.registryFinding(ctx))
}

// guarantee says what a consumer can rely on, by what was found.
func (k *checker) guarantee() string {
	if !k.report.OK() {
		return "Nothing is promised before what failed is mended."
	}
	replicas, synced := 0, 0
	for _, name := range []string{k.Topics.Events, k.Topics.Offsets} {
		topic, ok := k.topics[name]
		if !ok {
			return "Every event exactly once for read_committed consumers; what a lost broker means depends on the replication of the topics, which are not made yet."
		}
		if replicas == 0 || topic.Replication < replicas {
			replicas, synced = topic.Replication, topic.MinInsyncReplicas
		}
	}
	switch {
	case replicas == 1:
		return "Every event exactly once for read_committed consumers; a lost broker loses data, since replication is 1."
	case synced < 2:
		return "Every event exactly once for read_committed consumers; the loss of two brokers one after the other can lose data, since min.insync.replicas is 1."
	}
	return "Every event exactly once for read_committed consumers, also when a broker is lost with its disks."
}
