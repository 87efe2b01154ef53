package auditlog

import (
	"encoding/json"
	"fmt"
)

// Report is what an instance that has the right to write says of itself, to those
// that stand by for it: that it is not ready. It is gone when the instance is ready.
// Nothing else depends on it.
type Report struct {
	Host   string `json:"host"`
	At     Second `json:"at"`
	Since  Second `json:"since"`
	Reason string `json:"reason"`
}

// ReportPrefix begins the keys of reports in the offsets topic.
const ReportPrefix = "report/"

// ReportKey is the key of an organization's report in the offsets topic.
func ReportKey(organization string) string { return ReportPrefix + organization }

// Encode returns the report as it is stored.
func (r Report) Encode() ([]byte, error) { return json.Marshal(r) }

// DecodeReport reads a stored report.
func DecodeReport(value []byte) (r Report, err error) {
	if err = json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("the report of the instance at work cannot be read: %w", err)
	}
	return r, nil
}
