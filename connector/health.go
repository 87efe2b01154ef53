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
//
// The state is in the cursor since it decides what is read: a scope that is refused for
// longer than the lookbacks holds the floor no more, and gets what it missed as history when
// it is allowed again. That must be the same after a crash. It is written with the next
// transaction; a crash before it asks the API again and gets the same answer.
func (p *poller) noteScope(ctx context.Context, scope auditlog.Scope, err error) error {
	s := p.session
	// In the log the first failure and then every tenth: status and /readyz have the reason
	// all the time.
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
//
// Only the API's own word counts. A proxy on the way may answer with 400 or 403 too, and to
// take that for a refusal would freeze a scope that the key may read.
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
// wanted was read within three poll intervals. It returns why not; empty if it is ready.
//
// One failed poll is no reason: APIs fail now and then, and an alert for each would be
// turned off. History does not count, since new events arrive meanwhile.
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
// or for the API. It runs in a timer's goroutine beside the poll, and so reads only what is
// guarded by a lock.
//
// Kafka comes first: while a commit waits, the API may be asked nothing, and to name the API
// would send the reader to the wrong system.
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
		// What was missed holds the floor; what a start asks for is below it.
		p.CatchingUp = from >= c.Floor
	}
	s.telemetry.Positions(s.name, p)
}
