package codec

import "fmt"

// Reason is why an event cannot be a record. It is in the header error of the
// dead letter and a label of metrics, so the set is closed: Reasons.
type Reason string

// The reasons.
const (
	ReasonInvalidUTF8        Reason = "invalid_utf8"
	ReasonInvalidJSON        Reason = "invalid_json"
	ReasonNotAnObject        Reason = "not_an_object"
	ReasonMissingID          Reason = "missing_id"
	ReasonInvalidEffectiveAt Reason = "invalid_effective_at"
	ReasonTooLarge           Reason = "too_large"
	ReasonNotEncodable       Reason = "not_encodable"
)

// Reasons lists every reason, in the order in which they are looked for.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalidUTF8, ReasonNotAnObject, ReasonMissingID, ReasonInvalidEffectiveAt,
		ReasonTooLarge, ReasonInvalidJSON, ReasonNotEncodable,
	}
}

// Undeliverable is the error of an event that cannot be a record of the events
// topic. It belongs in the dead letters.
type Undeliverable struct {
	Reason Reason
	// Detail says more, for a person. It never quotes the event, whose content
	// may be personal data.
	Detail string
}

// Error returns the reason and the detail.
func (u *Undeliverable) Error() string {
	return fmt.Sprintf("the event cannot be a record: %s: %s", u.Reason, u.Detail)
}
