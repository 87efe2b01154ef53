package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// noteScope notes how the scope answered, and changes its state in the cursor if that is
// another one now. An error is one of the commit.
func (p *poller) noteScope(ctx context.Context, scope auditlog.Scope, err error) error {
	s := p.session
	switch was := s.lists.answered(scope, err); {
	case err == nil && was.failing != nil:
		s.log.Info("the API answers again", "scope", scope)
	case err != nil && was.failures%10 == 0:
		s.log.Warn("reading the audit log failed", "scope", scope, "error", err, "failures", was.failures+1)
	}

	now, state := s.serverNow(), s.cursor().Scopes[scope].State
	var effect window.Effect
	switch {
	case err == nil && state != auditlog.StateOn:
		s.log.Info("the scope is read now", "scope", scope, "was", state)
		effect = window.Allowed(scope, now, s.policy)
	case err != nil && denied(scope, err):
		effect = window.Refused(scope, now, s.latestNow(), s.policy)
	case err != nil && s.lists.failsLong(scope):
		effect = window.Failing(scope, now, s.latestNow(), s.policy)
	default:
		return nil
	}
	return s.apply(ctx, effect, false)
}

// denied reports whether the API will not show the scope's list to this key: it has
// no right to it, or the API says that it knows no such list.
func denied(scope auditlog.Scope, err error) bool {
	e, ok := errors.AsType[*openai.Error](err)
	return lacksRight(err) || ok && e.Kind == openai.KindRejected && e.FromAPI && scope == auditlog.ScopeTenant
}

// scopePause is how long a failing scope is left alone, on top of the poll
// interval: not at all at first, and never so long that the end of an outage, or a
// key that was replaced, goes unnoticed for a minute.
func scopePause(failures int) time.Duration {
	return max(0, backoff(failures, 45*time.Second)-time.Second)
}

// lacksRight reports whether the API says that the key may not read a scope. A
// wrong key is another matter, as is a wrong place: from there nothing can be read.
func lacksRight(err error) bool {
	e, ok := errors.AsType[*openai.Error](err)
	return ok && e.LacksRight()
}

// tellReady says whether the organization is ready: the head of each scope that is
// wanted was read within three poll intervals. It returns why not.
func (p *poller) tellReady() string {
	s := p.session
	reason := ""
	for _, scope := range auditlog.Scopes() {
		h := s.lists.get(scope)
		if h.failing == nil || !p.wanted(scope, h) {
			continue
		}
		if s.now().Sub(h.succeeded) > 3*s.cfg.PollInterval || h.succeeded.IsZero() {
			reason = "reading " + string(scope) + " events: " + h.failing.Error()
		}
	}
	s.telemetry.Ready(s.name, reason)
	return reason
}

// tellWaiting says why the organization is not ready while a poll waits: for Kafka,
// or for the API.
func (s *session) tellWaiting() {
	sent := s.ledger.Unanswered()
	reason := "the API has not answered in full for three poll intervals"
	if !sent.IsZero() {
		reason = "Kafka has not confirmed a transaction since " + sent.UTC().Format(time.RFC3339) +
			"; check that the brokers can be reached and have their replicas in sync"
	} else if until := s.limiter.PausedUntil(); until.After(s.now()) {
		reason = "the API's rate limit: it wants no request until " + until.UTC().Format(time.RFC3339) +
			"; if that stays, set API_REQUESTS_PER_MINUTE or look at the account's limits"
	}
	s.log.Warn("waiting for the API", "reason", reason)
	s.telemetry.Ready(s.name, reason)
}

// wanted reports whether the scope's failing makes the organization unready. With
// auto, a key that may not read tenant events is not a failure.
func (p *poller) wanted(scope auditlog.Scope, h list) bool {
	s := p.session
	if scope == auditlog.ScopeOrganization {
		return true
	}
	return s.settings.TenantEvents == TenantOn || s.settings.TenantEvents == TenantAuto && !denied(scope, h.failing)
}

// tellPositions reports how far the organization is.
func (s *session) tellPositions() {
	c := s.cursor()
	s.mu.Lock()
	skew := s.skew
	s.mu.Unlock()
	p := Positions{
		Live: map[string]time.Time{}, Deep: map[string]time.Time{}, ScopeStates: map[string]string{},
		SeenIDs: s.ledger.SeenIDs(), ClockSkew: skew, OffsetsRead: s.offsetsRead,
	}
	var succeeded []time.Time
	for _, scope := range auditlog.Scopes() {
		pos, h := c.Scopes[scope], s.lists.get(scope)
		p.ScopeStates[string(scope)] = string(pos.State)
		if pos.Live != 0 {
			p.Live[string(scope)] = pos.Live.Time()
		}
		if pos.Deep != 0 && s.policy.DeepLookback > 0 {
			p.Deep[string(scope)] = pos.Deep.Time()
		}
		if pos.State == auditlog.StateOn {
			succeeded = append(succeeded, h.succeeded)
		}
		p.Behind = p.Behind || h.behind && pos.State == auditlog.StateOn
	}
	if len(succeeded) > 0 { // all of them: one that was never read is no success
		p.LastSuccess = slices.MinFunc(succeeded, time.Time.Compare)
	}
	if from, to := window.HistoryLeft(c); to != 0 {
		p.BackfillTo, p.BackfillTarget = from.Time(), to.Time()
		// What was missed holds the floor; what a start asks for lies below it.
		p.CatchingUp = from >= c.Floor
	}
	s.telemetry.Positions(s.name, p)
}
