package telemetry

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// deepLate is how old a complete walk of the deep past may be: one is begun every 50
// minutes. docker/prometheus/alerts.yaml has the same.
const deepLate = 2 * time.Hour

// Warned implements connector.Telemetry.
func (t *Telemetry) Warned(name, subject string, w connector.Warning) {
	t.update(name, func(o *orgState) {
		if w == (connector.Warning{}) {
			delete(o.warned, subject)
			return
		}
		o.warned[subject] = w
	})
}

// Hanging implements connector.Telemetry.
func (t *Telemetry) Hanging(name string, transactions []connector.HangingTransaction) {
	t.metrics.hanging.WithLabelValues(name).Set(float64(len(transactions)))
	t.update(name, func(o *orgState) { o.hanging = transactions })
}

// warnings returns what the connector reported and what is found out here: things that
// do not keep the organization from being ready, but that somebody should look at.
func (o *orgState) warnings(now time.Time) []connector.Warning {
	var all []connector.Warning
	for _, subject := range slices.Sorted(maps.Keys(o.warned)) {
		all = append(all, o.warned[subject])
	}
	if w := o.verifiedWarning(now); w != (connector.Warning{}) {
		all = append(all, w)
	}
	p := o.positions
	if !o.leads || p.BackfillTo.Before(p.BackfillTarget) {
		return all // the deep past waits for history
	}
	for _, scope := range scopes {
		deep := p.Deep[scope]
		if p.ScopeStates[scope] != "on" || deep.IsZero() || now.Sub(deep) <= deepLate {
			continue
		}
		all = append(all, connector.Warning{
			Text: fmt.Sprintf("The deep past of %s events was last read to its end %s ago. Late events in it do not arrive, "+
				"and ids are remembered for longer.", scope, span(now.Sub(deep))),
			Remedy: "See the log for why its reads fail.",
		})
	}
	return all
}
