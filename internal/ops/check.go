package ops

import (
	"context"
	"strings"
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
	GroupID      string // empty: none
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
	untried   bool   // the API would not be asked
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
	const once = "Every event exactly once for read_committed consumers; "
	switch {
	case !k.report.OK():
		return "Nothing is promised before what failed is mended."
	case k.untried:
		return "Nothing can be said of the API now. In Kafka: " + lower(once+k.durability())
	}
	return once + k.durability()
}

func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// durability says what is left when a broker is lost: no more than of the weakest
// topic.
func (k *checker) durability() string {
	weakest, missing := kafka.Topic{}, false
	for _, role := range roles {
		name, used := k.Topics.names()[role]
		topic, there := k.topics[name]
		switch {
		case used && !there:
			missing = true
		case used && (weakest.Name == "" || weaker(topic, weakest)):
			weakest = topic
		}
	}
	switch copies := weakest.Replication; {
	case missing:
		return "what a lost broker means depends on the replication of the topics, which are not all made yet."
	case copies == 1:
		return "a lost broker loses data, since replication is 1."
	case weakest.UncleanElection:
		return "data can be lost with a broker, since unclean.leader.election.enable is true."
	case min(weakest.MinInsyncReplicas, copies) < 2:
		return "the loss of two brokers one after the other can lose data, since min.insync.replicas is 1."
	}
	return "a broker that is lost with its disks loses nothing."
}

// weaker reports whether a loses what it holds sooner than b.
func weaker(a, b kafka.Topic) bool {
	if one := a.Replication == 1; one != (b.Replication == 1) {
		return one
	}
	if a.UncleanElection != b.UncleanElection {
		return a.UncleanElection
	}
	return a.MinInsyncReplicas < b.MinInsyncReplicas
}
