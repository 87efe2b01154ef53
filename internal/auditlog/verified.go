package auditlog

import (
	"encoding/json"
	"fmt"
)

// Verified is the result of a comparison of topic and API, as it is recorded in the
// offsets topic. Nothing is decided by it.
type Verified struct {
	// From and To are the time of the events that were compared: from From to before To.
	From Second `json:"from"`
	To   Second `json:"to"`
	// At is when it was done, and By who did it: "verify" or "connector".
	At   Second `json:"at"`
	By   string `json:"by"`
	Host string `json:"host"`
	// Scopes are those that were listed.
	Scopes []Scope `json:"scopes"`
	// Counts are those of the report of `verify`, by the same names, after a repair.
	Counts map[string]int `json:"counts"`
	// LateSeconds is how long ago the oldest event took effect that the topic lacked, whether it
	// was repaired or not; zero if it lacked none.
	LateSeconds int64 `json:"late_seconds,omitzero"`
}

// FaultKinds are the counts that should be zero.
func FaultKinds() []string {
	return []string{"missing", "doubled", "extra", "stalled", "unreadable"}
}

// Faults is how much was found that should not be.
func (v Verified) Faults() (n int) {
	for _, name := range FaultKinds() {
		n += v.Counts[name]
	}
	return n
}

// VerifiedPrefix begins the keys of recorded results in the offsets topic.
const VerifiedPrefix = "verified/"

// VerifiedKey is the key of an organization's recorded result in the offsets topic.
func VerifiedKey(organization string) string { return VerifiedPrefix + organization }

// Encode returns the result as it is stored.
func (v Verified) Encode() ([]byte, error) { return json.Marshal(v) }

// DecodeVerified reads a stored result.
func DecodeVerified(value []byte) (v Verified, err error) {
	if err = json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("the recorded result of `verify` cannot be read: record a new one with `verify --record`: %w", err)
	}
	return v, nil
}
