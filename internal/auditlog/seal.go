package auditlog

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Seal is the Merkle tree of what was written, in the cursor and so in the transaction
// of the records: how many leaves it has, and its right edge.
type Seal struct {
	Size uint64 `json:"size"`
	// Range is the compact range: the roots of the largest whole subtrees, left to right.
	Range [][]byte `json:"range,omitempty"`
	// BeganAt is when the seal began, and Began where, by topic role and partition. What
	// was written before is not sealed.
	BeganAt Second             `json:"began_at"`
	Began   map[string][]int64 `json:"began"`
	// Topics are those whose records are leaves, by role.
	Topics map[string]Topic `json:"topics"`
	// CheckpointAt is when the newest checkpoint was written; zero: there is none yet.
	CheckpointAt Second `json:"checkpoint_at,omitzero"`
}

// Clone returns a seal that shares nothing with s that changes.
func (s *Seal) Clone() *Seal {
	if s == nil {
		return nil
	}
	c := *s
	c.Range, c.Began, c.Topics = slices.Clone(s.Range), maps.Clone(s.Began), maps.Clone(s.Topics)
	return &c
}

// Of reports whether the seal is of these topics, which are by role. One of a topic that
// was moved, or made again, says nothing about what is in the new one.
func (s *Seal) Of(topics map[string]Topic) bool {
	for role, was := range s.Topics {
		if !was.Same(topics[role]) {
			return false
		}
	}
	return true
}

// CheckpointPrefix begins the keys of checkpoints in the offsets topic.
const CheckpointPrefix = "checkpoint/"

// CheckpointKey is the key of an organization's newest checkpoint.
func CheckpointKey(organization string) string { return CheckpointPrefix + organization }

// RepairCheckpointKey is that of the newest one of its repairs.
func RepairCheckpointKey(organization string) string { return CheckpointKey(organization) + "/repair" }

// DayCheckpointKey is the key of the last checkpoint of a day, given the key of the
// newest one.
func DayCheckpointKey(newest string, at Second) string {
	return newest + "/" + at.Time().Format(time.DateOnly)
}

// CheckpointOf reports whether the key is of a checkpoint of the organization: of its
// repairs, or of the connector; and its day, empty for the newest one.
func CheckpointOf(organization, key string) (repair bool, day string, ok bool) {
	rest, ok := strings.CutPrefix(key, CheckpointKey(organization))
	if !ok || rest != "" && rest[0] != '/' {
		return false, "", false
	}
	if rest, repair = strings.CutPrefix(rest, "/repair"); rest == "" {
		return repair, "", true
	}
	day, isDay := strings.CutPrefix(rest, "/")
	if _, err := time.Parse(time.DateOnly, day); !isDay || err != nil {
		return false, "", false
	}
	return repair, day, true
}
