package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// organization keeps the topics equal to one audit log. Its life is a row of
// sessions: each begins with a fence and a read of the state, and ends with the
// first error, after which only the topic knows what happened.
type organization struct {
	name      string
	settings  Organization
	cfg       Config
	target    target.Target
	me        opener
	now       func() time.Time
	log       *slog.Logger
	telemetry Telemetry
	policy    window.Policy
	// live and history send through one limiter. live gives up after a few tries, since the
	// next poll comes soon; history keeps trying, since a window that fails is read again
	// from its start.
	live      *openai.Client
	history   *openai.Client
	limiter   *openai.Limiter
	keep      func(key string) bool // which keys of the offsets topic are ours
	claims    *claims               // shared by all of the process
	tenants   *window.Tenants       // likewise
	turns     *turns                // likewise
	sources   *txlog.Search         // likewise
	looks     *kafka.Client         // likewise; made and closed by Run
	tenantOf  string                // the other organization that lists the same tenant events; owned by the poller
	requests  atomic.Int64          // sent to the API
	failed    error                 // how the session before this one ended; owned by run
	openings  []auditlog.Opener     // of this process: the last in the topic, and one tried since; owned by run
	opened    bool                  // one of this process is known to be in the topic; owned by run
	backfill  *progress             // of history; owned by readHistory
	hanging   int                   // how many transactions were last reported to hang; owned by the session
	hidden    []kafka.Partition     // in which one may hang, as last reported; likewise
	walksTold bool                  // that the walks for late events need much; owned by the poller
	// shared says that a consumer group decides who works for the organization.
	shared bool
	// verifiedAt is when the connector last recorded a result, in Unix seconds; 0: not known.
	verifiedAt atomic.Int64
	verifying  chan struct{} // has one while an organization of the process is verified
}

// organization returns an organization that has asked neither Kafka nor the API yet. An
// error is one of its settings.
func (c *Connector) organization(org Organization) (*organization, error) {
	log := c.cfg.Logger.With("organization", org.Name)
	o := &organization{
		name:      org.Name,
		settings:  org,
		cfg:       c.cfg,
		target:    c.target(org.Name, log),
		me:        opener{host: c.host, process: thisProcess(), running: isRunning},
		now:       c.now,
		log:       log,
		telemetry: c.cfg.Telemetry,
		policy:    window.Policy{Lookback: c.cfg.Lookback, DeepLookback: c.cfg.DeepLookback},
		claims:    &c.claims,
		tenants:   &c.tenants,
		turns:     &c.turns,
		sources:   c.sources,
		verifying: c.verifying,
	}
	o.keep = keepKeys(o.target, log)
	account := c.cfg.Account(org)
	account.Transport, account.Key = c.transport, org.AdminKey.Read
	api := account.Config(c.now, log)
	api.OnRequest = func(code int, took time.Duration) {
		o.requests.Add(1)
		o.telemetry.Requested(org.Name, code, took)
	}
	api.OnRefused = func(kind openai.Kind) { o.telemetry.Refused(org.Name, string(kind)) }
	api.OnRateLimited = func(wait time.Duration) { o.telemetry.RateLimited(org.Name, wait) }
	o.limiter = api.Limiter
	var err error
	if o.history, err = openai.New(api); err != nil {
		return nil, err
	}
	api.Attempts = 2
	o.live, err = openai.New(api)
	return o, err
}

// run holds one session after the other until ctx ends, which is no error.
//
// What an error means is decided here, and nowhere else:
//
//   - Fenced: another instance has the right to write. To fence it back would start a war
//     that neither wins, so this one ends.
//   - Refused: the next try would be refused too, until a person decides. To try again
//     would only hide that.
//   - Anything else may pass, an unknown outcome too. The next session fences, reads what
//     happened, and goes on from there, so none of this one has to be cleaned up.
func (o *organization) run(ctx context.Context) error {
	defer o.tellHanging(nil) // the instance that works for it next reports it
	o.backfill = &progress{kind: ReadHistory}
	for attempt := 1; ; attempt++ {
		began := o.now()
		err := o.session(ctx)
		o.telemetry.Leading(o.name, false)
		switch {
		case errors.Is(err, txlog.ErrFenced), errors.Is(err, ErrFenced):
			return fmt.Errorf("%w: %w", ErrFenced, err)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRefused):
			o.telemetry.Ready(o.name, err.Error())
			return err
		}
		if o.now().Sub(began) > time.Minute {
			attempt = 1 // it worked for a while: this is a new failure, not the same again
		}
		pause := backoff(attempt, kafka.Patience(err))
		o.failed = err
		o.tellHangingError(err)
		o.telemetry.Ready(o.name, err.Error())
		o.log.Error("starting again from what the topic says", "error", err,
			"attempt", attempt, "backoff", pause.Round(time.Millisecond))
		if wait(ctx, pause) != nil {
			return nil
		}
	}
}

// session opens the log and works until something fails or ctx ends.
func (o *organization) session(ctx context.Context) error {
	s, err := o.resume(ctx)
	if err != nil {
		return err
	}
	// Close leaves an open transaction to the next Open, which aborts it.
	defer s.kafkaLog.Close()
	if err := s.work(ctx); ctx.Err() == nil || errors.Is(err, txlog.ErrFenced) {
		return err
	}
	// We were told to stop. The loops have returned by now, so no commit is under way, and
	// the last cursor can say that we left. If a commit failed while we stopped, the log is
	// finished and this writes nothing: the next start reads which way it went.
	return s.leave()
}

// serverNow is now by the earlier of two clocks, ours and the API's: a time that
// is too old costs a second read, one that is too new would cost events.
func serverNow(now time.Time, skew time.Duration) auditlog.Second {
	return auditlog.SecondOf(now.Add(min(0, skew)))
}

// laterNow is now by the later of the two clocks.
func laterNow(now time.Time, skew time.Duration) auditlog.Second {
	return auditlog.SecondOf(now.Add(max(0, skew)))
}
