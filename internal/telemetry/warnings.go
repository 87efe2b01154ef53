package telemetry

import (
	"fmt"
	"time"
)

// deepLate is how old a complete walk of the deep past may be: one is begun every 50
// minutes. docker/prometheus/alerts.yaml has the same.
const deepLate = 2 * time.Hour

// warnings returns what does not keep the organization from being ready, since new
// events arrive, and will not mend itself unseen.
func (o *organization) warnings(now time.Time) (all []string) {
	p := o.positions
	if !o.leads || p.BackfillTo.Before(p.BackfillTarget) {
		return nil // the deep past waits for history
	}
	for _, scope := range scopes {
		deep := p.Deep[scope]
		if p.ScopeStates[scope] != "on" || deep.IsZero() || now.Sub(deep) <= deepLate {
			continue
		}
		all = append(all, fmt.Sprintf("the deep past of %s events was last read to its end %s ago: late events in it do not arrive, "+
			"and ids are remembered for longer; see the log for why its reads fail", scope, now.Sub(deep).Round(time.Second)))
	}
	return all
}
