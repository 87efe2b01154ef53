package connector_test

import (
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// promise is what went on in a year, from which follows what the connector owes: all
// but what docs/design.md lists under "What is not guaranteed". It knows the settings
// and the simulator's truth, and nothing of the connector's state.
type promise struct {
	sessions []session
	starts   []movedStart
	troubles []span // nothing can be read or written, or not all of it
	absent   []span // the API forbids the tenant's events
}

type span struct{ from, to time.Time }

// session is a run of the instance. One that was not ended lasts.
type session struct {
	span
	memory time.Duration // the longer lookback
	tenant bool          // its events are asked for
}

// movedStart is a start that was asked for, from when on.
type movedStart struct {
	at    time.Time
	start auditlog.Second
}

var always = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *promise) begins(cfg connector.Config, start auditlog.Second) {
	now := time.Now()
	p.sessions = append(p.sessions, session{
		span{now, always}, max(cfg.Lookback, cfg.DeepLookback), cfg.Organizations[0].TenantEvents != connector.TenantOff,
	})
	p.starts = append(p.starts, movedStart{now, start})
}

func (p *promise) ends() { p.sessions[len(p.sessions)-1].to = time.Now() }

// excuse says why the event need not have been written; it is empty if it must have
// been.
func (p *promise) excuse(ev simulator.Event) string {
	for _, s := range p.starts {
		if s.start <= ev.EffectiveAt {
			if !ev.VisibleAt.After(s.at) {
				return "" // it was there when all before was read
			}
			break
		}
	}
	at, tenant := ev.EffectiveAt.Time(), !slices.Contains(ev.Scopes, auditlog.ScopeOrganization)
	found := p.found(ev.VisibleAt, tenant)
	if at.Before(p.reach(ev.VisibleAt, found)) {
		if at.Before(p.starts[0].start.Time()) {
			return "late in history that was added"
		}
		return "later than DEEP_LOOKBACK"
	}
	if !tenant {
		return ""
	}
	for _, a := range p.absences() {
		// Late in the minutes before, or meanwhile.
		if at.Before(a.from) && ev.VisibleAt.Before(a.to) && found.After(a.from) {
			return "late while its scope was refused or off"
		}
	}
	return ""
}

// reach is how old an event may be that shows up at a time and is found at another.
// Nothing goes back behind what a session with shorter lookbacks has left, and the
// session that finds it has lookbacks of its own.
func (p *promise) reach(shown, found time.Time) (oldest time.Time) {
	for n, s := range p.sessions {
		var from time.Time
		switch {
		case !s.to.After(shown):
			from = s.to
		case !s.from.After(shown):
			from = shown
		case s.from.Before(found) && n > 0:
			from = p.sessions[n-1].to
		default:
			continue
		}
		if from = from.Add(-s.memory); from.After(oldest) {
			oldest = from
		}
	}
	return oldest
}

// calm is how long all must be well for the deep past to be read: every fifty minutes,
// at a poll, after waiting at most as long for history.
const calm = 2 * time.Hour

// found returns by when an event that shows up at a time is surely found.
func (p *promise) found(shown time.Time, tenant bool) time.Time {
	bad := slices.Clone(p.troubles)
	if tenant {
		bad = append(bad, p.absences()...)
	}
	slices.SortFunc(bad, func(a, b span) int { return a.from.Compare(b.from) })
	for _, s := range p.sessions {
		from := latest(s.from, shown)
		for _, b := range bad {
			if b.from.Sub(from) >= calm {
				break
			}
			from = latest(from, b.to)
		}
		if s.to.Sub(from) >= calm {
			return from.Add(calm)
		}
	}
	return always
}

// absences are when the tenant's events were forbidden, or not asked for.
func (p *promise) absences() []span {
	out := slices.Clone(p.absent)
	for _, s := range p.sessions {
		if !s.tenant {
			out = append(out, s.span)
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
