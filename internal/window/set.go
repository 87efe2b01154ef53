package window

import (
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"
)

// identitySet is a set of events.
type identitySet = map[auditlog.Identity]struct{}

// identitySets are empty ones that have the room of earlier ones: one that grows is copied
// again and again.
var identitySets = spare.List[identitySet]{Most: 16}

// keptIdentities is up to how many events a set keeps its room: a larger one would hold
// memory for ever.
const keptIdentities = 8192

func takeSet() identitySet {
	set := identitySets.Take()
	if *set == nil {
		return identitySet{}
	}
	return *set
}

// giveSet gives a set back, which nobody may use from then on.
func giveSet(set identitySet) {
	if set != nil && len(set) <= keptIdentities {
		clear(set)
		identitySets.Give(&set)
	}
}

// emptied returns the set without what was in it.
func emptied(set identitySet) identitySet {
	if len(set) > keptIdentities {
		return identitySet{} // or it would be kept later, with its room
	}
	clear(set)
	return set
}
