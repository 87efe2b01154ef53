package ops

import (
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// guarantee says what a consumer can rely on, by what was found.
func (k *checker) guarantee() string {
	const once = "Every event exactly once for read_committed consumers; "
	switch {
	case !k.report.OK():
		return "Fix what failed first: until then no guarantee holds."
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
	for _, role := range k.cfg.Topics.Roles() {
		topic, there := k.topics[role]
		switch {
		case !there:
			missing = true
		case weakest.Name == "" || weaker(topic, weakest):
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
