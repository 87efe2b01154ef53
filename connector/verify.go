package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// byConnector is who recorded the result of a comparison of the connector's own.
const byConnector = "connector"

const (
	// verifyPause is the least time between two requests of a comparison, and verifyShare
	// the part of API_REQUESTS_PER_MINUTE that it takes at most: one in so many.
	verifyPause = 500 * time.Millisecond
	verifyShare = 4
	// verifyRetry is the longest wait before another try at a comparison that failed.
	verifyRetry = 10 * time.Minute
	// verifyGrace is what the transaction of a repair may take once we have to stop: the
	// last cursor is written after it, and all has eight seconds.
	verifyGrace = time.Second
)

// verifier compares the topic with the API again and again, behind all else: as `verify`
// does, and writes what is missing as `verify --repair` does, with its transactional id.
//
// It commits nothing by the ledger. What is below the floor is no part of the state,
// and the argument of a repair holds beside any connector, this one too: it fences only
// other repairs, then reads the cursor, then the topic, then the API, and writes where the
// connector never will. So a crash at any point, or an answer that never comes, means the
// same as for the command: the next comparison finds in the topic what was written, and
// writes the rest. An error of it is no error of the session.
type verifier struct {
	session *session
	mu      sync.Mutex // guards next
	next    time.Time  // when a request may be sent
}

// run compares when it is time, until ctx ends.
func (v *verifier) run(ctx context.Context, polled <-chan struct{}) error {
	if v.session.cfg.VerifyEvery == 0 {
		return nil
	}
	select {
	case <-polled:
	case <-ctx.Done():
		return nil
	}
	const subject = "verify"
	for failures := 0; ; {
		due := time.Unix(v.session.verifiedAt.Load(), 0).Add(v.session.cfg.VerifyEvery).Sub(v.session.now())
		due = min(due, v.session.cfg.VerifyEvery) // the clock of the host before may have been ahead
		if failures > 0 {
			due = max(due, backoff(failures, verifyRetry))
		}
		if err := wait(ctx, due); err != nil {
			return err
		}
		err := v.verify(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			failures = 0
			v.session.telemetry.Warned(v.session.name, subject, Warning{})
			continue
		case errors.Is(err, errPostponed):
			continue
		}
		failures++
		v.session.log.Warn("the connector's own `verify` failed; it is tried again", "error", err)
		v.session.telemetry.Warned(v.session.name, subject, Warning{
			Text:   "The connector's own `verify` failed: " + err.Error(),
			Remedy: "It is tried again. Events go on arriving meanwhile.",
		})
	}
}

// verify compares once, repairs if it is to, and records the result. A crash before the
// last leaves the comparison due: the next session begins it again.
func (v *verifier) verify(ctx context.Context) error {
	if err := v.idle(ctx); err != nil { // before it has the turn that others wait for
		return err
	}
	select {
	case v.session.verifying <- struct{}{}: // one of the process at a time: each needs memory
		defer func() { <-v.session.verifying }()
	case <-ctx.Done():
		return ctx.Err()
	}
	to := v.session.serverNow()
	from := min(to-1, max(to.Add(-v.session.cfg.VerifyWindow), v.session.cursor().Start))
	cfg := v.commands()
	report, err := ops.Verify(ctx, cfg, from, to)
	if err != nil {
		return fmt.Errorf("the topic could not be compared with the API: %w", err)
	}
	var repairing error
	if v.session.cfg.VerifyRepair && len(report.Missing) > 0 {
		repaired, err := ops.Repair(ctx, cfg, from, to)
		switch {
		case err == nil:
			report = repaired
		case errors.Is(err, errPostponed):
			return err
		default: // what was found is recorded all the same
			repairing = fmt.Errorf("what is missing could not be written: %w", err)
		}
	}
	result, err := ops.Record(ctx, cfg, report, byConnector)
	if err != nil {
		return errors.Join(repairing, fmt.Errorf("the result could not be recorded: %w", err))
	}
	v.session.tellVerification(result)
	if repairing == nil {
		// Done, whatever is missing still: a repair cannot write what the API does not show
		// again, and to begin again at once would go on for ever.
		v.session.verifiedAt.Store(int64(result.At))
	}
	v.session.log.Info("compared the topic with the API", "from", from.String(), "to", to.String(), "events", result.Counts["api"],
		"missing", result.Counts["missing"], "repaired", result.Counts["repaired"], "faults", result.Faults())
	return repairing
}

// commands is how the commands would work here: with our client of the API, and so within
// its limits, and one request at a time, each behind all else.
func (v *verifier) commands() ops.Config {
	return ops.Config{
		Target: v.session.target, Lookback: v.session.cfg.Lookback, DeepLookback: v.session.cfg.DeepLookback, StopGrace: verifyGrace,
		API: ops.API{Client: v.session.history, Wait: v.mayAsk, Account: openai.Account{Concurrency: 1}, Tenant: ops.Tenant(v.session.settings.TenantEvents)},
	}
}

// errPostponed says that a comparison ended without a result, since there is history again.
var errPostponed = errors.New("put off until history is read")

// idle waits until nothing is to be read that goes before a comparison: no history is left,
// and no walk for late events is under way.
func (v *verifier) idle(ctx context.Context) error {
	for v.session.sweeping.Load() > 0 || window.HasHistory(v.session.cursor()) {
		if err := pause.For(ctx, verifyPause); err != nil {
			return err
		}
	}
	return nil
}

// mayAsk waits until a request of a comparison may be sent: not soon after the one before, and
// not during a walk for late events. Polls go first by themselves. The error is ctx's, or
// errPostponed: history that came since the comparison began, as when the tenant's list is
// opened, may take days or fail, and the other organizations wait for the end of this one.
func (v *verifier) mayAsk(ctx context.Context) error {
	apart := verifyPause
	if limit := v.session.cfg.APIRequestsPerMinute; limit > 0 {
		apart = max(apart, verifyShare*time.Minute/time.Duration(limit))
	}
	v.mu.Lock()
	at := v.session.now()
	if v.next.After(at) {
		at = v.next
	}
	v.next = at.Add(apart)
	v.mu.Unlock()
	if err := pause.For(ctx, at.Sub(v.session.now())); err != nil {
		return err
	}
	for !window.HasHistory(v.session.cursor()) {
		if v.session.sweeping.Load() == 0 {
			return nil
		}
		if err := pause.For(ctx, verifyPause); err != nil {
			return err
		}
	}
	return errPostponed
}
