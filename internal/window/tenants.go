package window

import (
	"cmp"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Tenants notices when two organizations are of one tenant: both list its events, and
// each is then written once for each of them. It may be used by many goroutines; the
// zero value has noticed nothing yet.
type Tenants struct {
	mu     sync.Mutex                     // guards what follows
	owners map[auditlog.Identity]string   // who listed an event first
	listed map[string][]auditlog.Identity // those that an organization owns
}

// tenantsKept is how many of the newest events are compared. Two organizations are
// asked some seconds apart, so their newest ones are mostly the same.
const tenantsKept = 20

// Note takes the newest tenant events that an organization lists. It returns another
// organization that has listed the newest of them that any has; empty if none has.
func (t *Tenants) Note(organization string, newest []auditlog.Event) (other string) {
	if len(newest) == 0 {
		return "" // nothing new: what was listed before still tells
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owners == nil {
		t.owners, t.listed = map[auditlog.Identity]string{}, map[string][]auditlog.Identity{}
	}
	for _, id := range t.listed[organization] {
		delete(t.owners, id)
	}
	var own []auditlog.Identity
	for _, ev := range newest[:min(len(newest), tenantsKept)] {
		id := ev.Identity()
		if owner, taken := t.owners[id]; taken && owner != organization {
			other = cmp.Or(other, owner)
			continue
		}
		t.owners[id] = organization
		own = append(own, id)
	}
	t.listed[organization] = own
	return other
}
