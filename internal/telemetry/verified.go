package telemetry

import (
	"fmt"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Verified implements connector.Telemetry.
func (t *Telemetry) Verified(name string, v connector.Verification) {
	t.update(name, func(o *orgState) {
		o.verified = v
		setTime(t.metrics.verifiedTo, v.To, name)
		t.metrics.verifiedMissing.WithLabelValues(name).Set(float64(v.Counts["missing"]))
		t.metrics.verifiedLate.WithLabelValues(name).Set(v.Late.Seconds())
		t.metrics.verifiedFaults.WithLabelValues(name).Set(float64(v.Faults))
	})
}

// VerifiedStatus is the last recorded comparison of topic and API.
type VerifiedStatus struct {
	From   time.Time      `json:"from"` // of the events that were compared
	To     time.Time      `json:"to"`   // exclusive
	At     time.Time      `json:"at"`   // when it was done
	By     string         `json:"by"`   // verify or connector
	Host   string         `json:"host,omitempty"`
	Counts map[string]int `json:"counts"`                 // by the names of the report of verify
	Faults int            `json:"faults"`                 // of them, what should not be
	Late   int64          `json:"late_seconds,omitempty"` // how long ago the oldest event took effect that was missing
}

// verifiedStatus is nil if no result was ever recorded, as far as is known.
func (o *orgState) verifiedStatus() *VerifiedStatus {
	v := o.verified
	if v.At.IsZero() {
		return nil
	}
	return &VerifiedStatus{From: utc(v.From), To: utc(v.To), At: utc(v.At), By: v.By, Host: v.Host, Counts: v.Counts, Faults: v.Faults, Late: int64(v.Late / time.Second)}
}

// Result is what was found, in a few words.
func (v VerifiedStatus) Result() string {
	var found []string
	for _, kind := range auditlog.FaultKinds() {
		if n := v.Counts[kind]; n > 0 {
			found = append(found, thousands(n)+" "+kind)
		}
	}
	events, repaired := many(v.Counts["api"], "event"), ""
	if n := v.Counts["repaired"]; n > 0 {
		repaired = fmt.Sprintf(", %s of them repaired", thousands(n))
	}
	if len(found) == 0 {
		return events + ", all there" + repaired
	}
	return strings.Join(found, ", ") + " of " + events + repaired
}

// verifiedWarning is what to do about a bad result; the zero Warning if there is none.
func (o *orgState) verifiedWarning(now time.Time) connector.Warning {
	v := o.verifiedStatus()
	if v == nil || v.Faults == 0 {
		return connector.Warning{}
	}
	return connector.Warning{
		Text: fmt.Sprintf("The last recorded verify, %s, found: %s.", ago(now, v.At), v.Result()),
		Remedy: fmt.Sprintf("Run `openai-audit-kafka verify --from %s --to %s --organization %s --repair --record`. It writes what is missing, exactly once, and lists the rest.",
			v.From.Format(time.RFC3339), v.To.Format(time.RFC3339), o.name),
	}
}
