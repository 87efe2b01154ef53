package telemetry

import (
	"fmt"
	"strings"
	"time"
)

// stalePolls is how many poll intervals old a success may be.
const stalePolls = 3

// unreadiness says why an organization is not ready; it is empty if it is.
func (t *Telemetry) unreadiness(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.orgs[name].unreadiness(t.cfg.Now(), t.staleAfter())
}

// staleAfter is how old a success may be.
func (t *Telemetry) staleAfter() time.Duration { return stalePolls * t.cfg.PollInterval }

// observe notes whether the organization is ready. A success counts as too old from the
// moment when it became so, and not from this call.
func (o *orgState) observe(now time.Time, limit time.Duration) {
	since := now
	if stale := o.succeeded.Add(limit); o.told && o.reason == "" && o.leads && !o.succeeded.IsZero() && stale.Before(now) {
		since = stale
	}
	o.ready(now, o.unreadiness(now, limit) == "", since)
}

// unreadiness returns why the organization is not ready; empty if it is. The connector
// reports what failed. That nothing has succeeded for too long is found out here, since
// a loop that hangs reports nothing.
func (o *orgState) unreadiness(now time.Time, limit time.Duration) string {
	age := now.Sub(o.succeeded)
	switch {
	case !o.told:
		return "starting: the state is not read yet"
	case o.reason != "":
		return o.reason
	case !o.leads:
		return "" // it stands by, and that is its work
	case o.positions.LastSuccess.IsZero():
		return "starting: the head of the log was not read yet"
	case age > limit:
		return fmt.Sprintf("the head of the log was last read %s ago, longer than three poll intervals (%s); see the log",
			age.Round(time.Second), limit)
	}
	return ""
}

// ready returns whether all organizations are, and a line for each that is not.
func (t *Telemetry) ready() (bool, string) {
	var b strings.Builder
	for _, name := range t.cfg.Organizations {
		if reason := t.unreadiness(name); reason != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, reason)
		}
	}
	if b.Len() > 0 {
		return false, "not ready\n" + b.String()
	}
	return true, "ready\n"
}
