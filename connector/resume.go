package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// stopGrace is how long the open transaction may take once we have to stop, and
// then the last cursor, beyond its own second. A consumer group takes a second to
// leave, so it is seven of the eight seconds promised.
const stopGrace = 2500 * time.Millisecond

// resume is how every session begins, the first one and the one after a crash
// alike. When it returns, no other instance can write for the organization, and the
// state is what the topic says.
//
// The order is: check what can be checked without the right to write, fence, read the state
// to its end, check that, commit a cursor. A state that is read before the fence may be old,
// since the predecessor can still commit: to go on from it would write those events twice.
func (o *organization) resume(ctx context.Context) (*session, error) {
	starting := "starting: reading the state"
	if o.failed != nil {
		// A start may wait for as long as the brokers are away: the cause stays in the reason.
		starting = "starting again after: " + o.failed.Error()
	}
	o.telemetry.Ready(o.name, starting)
	// The API is asked while Kafka is: both take long, and neither needs the other.
	asked := o.ask(ctx)
	defer asked.stop()
	// Whatever can fail without the right to write comes before the fence: an instance that
	// cannot work must not take that right from one that does. A crash in here has changed
	// nothing but topics that were made, which the next start finds.
	topics, err := o.prepareTopics(ctx)
	if err != nil {
		return nil, err
	}
	format, err := o.target.Format(ctx)
	if err != nil {
		return nil, refused(err)
	}
	sealing, err := o.target.Sealing(topics)
	if err != nil {
		return nil, err
	}
	partition := o.target.Partition(topics[target.Offsets].Partitions)
	read := 0
	log, records, err := o.target.Open(ctx, target.Opening{
		ID:        o.target.ID(),
		Partition: partition,
		Topics:    topics,
		Keep:      func(key string) bool { read++; return o.keep(key) },
		BeforeFence: func(records map[string][]byte, whole bool) error {
			return o.beforeFence(ctx, records, whole, topics, format)
		},
		StopGrace: stopGrace,
	})
	if err != nil {
		return nil, err
	}
	o.tellHanging(nil)
	// From here on every other writer is fenced. If we crash before the first
	// commit, nothing has changed: the next start finds the same state.
	// If another instance fences us from here on, the first commit says so, and we end with 3.
	s := &session{
		organization: o, kafkaLog: log, topics: topics, format: format, partition: partition,
		ledger: ledger.New(o.name, log, o.now), offsetsRead: read,
	}
	if err := (&opening{session: s, sealing: sealing, asked: asked}).begin(ctx, records); err != nil {
		log.Close()
		return nil, err
	}
	s.tellVerified(records)
	return s, nil
}

// beforeFence stops an instance that another one has replaced, before it does harm, and one
// whose settings will be refused, since the instance at work has better ones.
//
// The records may not be whole, where a neighbour's open transaction hides the rest. Then
// they only say who opened the log. What looks wrong in them may be right together with the
// rest, and is judged after the fence.
//
// It is the only protection from a war of two instances, and no part of the guarantee: what
// it overlooks, such as two that start at the same moment, the fence decides.
func (o *organization) beforeFence(ctx context.Context, records map[string][]byte, whole bool, topics target.Found, format target.Format) error {
	decode := decodeState
	if !whole {
		decode = window.DecodeIncomplete
	}
	found, err := decode(o.name, records)
	switch {
	case err != nil && !whole:
		return nil // judged after the fence, when all of it was read
	case err != nil:
		return err
	case found == nil || found.Cursor.StartAnew:
		err = o.checkPartition(ctx, topics[target.Offsets])
	case whole:
		err = refused(o.target.CheckSame(ctx, found.Cursor, topics, format))
	}
	if found == nil {
		return err
	}
	// In a group the owner of the partition takes the right over: that is no mistake.
	if err != nil || o.shared {
		return err
	}
	if by, is := takenOver(found.Cursor, o.me, auditlog.SecondOf(o.now())); is {
		return fmt.Errorf("%w: %s opened it at %v, after this host (%s), and is at work: "+
			"run one instance for each organization; after a crash of the other one, wait eleven minutes",
			ErrFenced, o.me.nameOf(by), by.At, o.me.host)
	}
	// A process that slept for longer than its timers does not learn from its failed
	// transaction that somebody took over. Its own host may be the other one's too.
	if by, is := openedAfter(found.Cursor.Openers, o.openings, o.opened); is {
		return fmt.Errorf("%w: %s opened it at %v, after this process: run one instance for each organization",
			ErrFenced, o.me.nameOf(by), by.At)
	}
	return nil
}

// opening makes a session work: with the state that was read after the fence, and the
// settings, which may have changed.
type opening struct {
	session *session
	sealing target.Sealing
	asked   *asked
	known   *window.State       // as it was read; nil on a first run
	peeked  []map[string][]byte // cursors by partition; first runs only
}

// begin turns what was read into a state, refuses what needs a decision, and
// commits the first transaction.
//
// It is the same after a crash, after a stop and on a first run: there is no other way to
// begin, so that the one way is tried at each start. Whatever is refused here is refused
// before any event is written.
func (o *opening) begin(ctx context.Context, records map[string][]byte) error {
	s := o.session
	state, err := decodeState(s.name, records)
	if err != nil {
		return err
	}
	// Without a cursor it is a first run, and so it is after a reset. A cursor that cannot
	// be read is neither: to begin from nothing beside it would write everything a second time.
	first := state == nil || state.Cursor.StartAnew
	if err := o.check(ctx, state); err != nil {
		return err
	}
	// Before the first commit, which writes framing and version into the cursor: a later start
	// with other settings is refused by them.
	if err := o.chooseSchema(state); err != nil {
		return err
	}
	// The API's time, before any position is set by it: ours alone may be hours ahead.
	hello, err := o.hello(ctx)
	if err != nil {
		return err
	}
	s.skew, s.rate = hello.Skew, window.Rate(hello.Events)
	s.warnOfClock(0, hello.Skew)
	o.known = state
	if err := o.checkOrganization(ctx, hello.Organization); err != nil {
		return err
	}
	if first {
		state, err = o.firstState(ctx, hello.Began, state)
	} else {
		o.reconcile(state, hello.Began)
	}
	if err != nil {
		return err
	}
	if err := o.seal(ctx, state, records); err != nil {
		return err
	}
	o.use(state)
	// The first transaction: the cursor and nothing else. A crash before it leaves no trace. A
	// crash in it leaves the old cursor or this one, and both are right to go on from. After it
	// no start is a first run again, so an event can never be written beside a missing cursor.
	if err := o.commit(ctx, hello.Organization); err != nil {
		return err
	}
	s.apiName = s.cursor().APIOrganization
	// Two names for one organization would write each event twice. Both may have begun at
	// the same moment, and looked before the other wrote: so a first run looks again.
	if first {
		if err := o.confirmAlone(ctx, hello.Organization); err != nil {
			return err
		}
	}
	s.telemetry.Leading(s.name, true)
	s.log.Info("opened", "first_run", first, "start", state.Cursor.Start.String(), "floor", state.Cursor.Floor.String(),
		"seen_ids", state.Seen.Len(), "partition", s.partition)
	return nil
}

// check refuses a state that needs a person's decision: one that was lost, topics that were
// deleted or made again, and history that the topic would delete. To go on by itself would
// lose events or write them twice in each of these cases, and neither could be undone.
func (o *opening) check(ctx context.Context, state *window.State) (err error) {
	s := o.session
	known := auditlog.MaxSecond // the earliest time whose history is written or planned
	switch {
	case state == nil:
		err = o.checkFirstRun(ctx)
	case !state.Cursor.StartAnew: // else a `cursor reset` has asked for it
		known, err = state.Cursor.Start, refused(s.target.CheckSame(ctx, state.Cursor, s.topics, s.format))
	}
	if err != nil {
		return err
	}
	return o.checkHistoryFits(known)
}

// use gives the state to the ledger, which owns it from here on: nothing else changes it.
func (o *opening) use(state *window.State) {
	s := o.session
	state.Policy = s.policy
	s.ledger.Begin(state)
	s.lists = newLists(s.now, func(scope auditlog.Scope) time.Duration {
		return window.DeepWait(s.cursor(), scope, s.serverNow())
	})
}

// chooseSchema makes the encoder, with the version of the schema that the topic has.
func (o *opening) chooseSchema(known *window.State) (err error) {
	s := o.session
	var was *auditlog.Cursor
	if known != nil {
		was = &known.Cursor
	}
	s.format = s.target.KeepFormat(s.format, was)
	if s.encoder, err = s.target.Encoder(s.topics, s.format, s.sealHeader()); err != nil {
		return err
	}
	// The version is chosen by settings, so a warning lasts as long as the process.
	if newest := s.format.Waits(); newest != 0 {
		w := Warning{
			Text:   fmt.Sprintf("A newer version of the schema waits: version %d is written, and this release has version %d.", s.format.Schema.Number, newest),
			Remedy: fmt.Sprintf("Set SCHEMA_VERSION=%d once every reader of the topic knows it.", newest),
		}
		s.log.Warn("a newer version of the schema waits", "written", s.format.Schema.Number, "newest", newest, "remedy", w.Remedy)
		s.telemetry.Warned(s.name, "schema version", w)
	}
	return nil
}

// asked is a request for the API's newest events that is made ahead.
type asked struct {
	organization *organization
	at           time.Time
	done         chan struct{} // closed when what follows is there
	page         openai.Page
	err          error
	cancel       context.CancelFunc
}

// ask asks the API for its newest events. The answer is taken with newest, and stop ends it.
func (o *organization) ask(ctx context.Context) *asked {
	ctx, cancel := context.WithCancel(ctx)
	a := &asked{organization: o, at: o.now(), done: make(chan struct{}), cancel: cancel}
	// Ends with its request, which ends with ctx; waited for by stop.
	go func() {
		defer close(a.done)
		a.page, a.err = o.newest(ctx)
	}()
	return a
}

func (a *asked) stop() {
	a.cancel()
	<-a.done
}

// freshAnswer is for how long an answer counts that was asked for ahead. Positions are set by
// its time, and what is old costs a second read.
const freshAnswer = 10 * time.Second

// newest returns what was asked for ahead, once, and else asks.
func (a *asked) newest(ctx context.Context) (openai.Page, error) {
	o, at := a.organization, a.at
	a.at = time.Time{}
	if o.now().Sub(at) > freshAnswer {
		return o.newest(ctx)
	}
	select {
	case <-a.done:
		return a.page, a.err
	case <-ctx.Done():
		return openai.Page{}, ctx.Err()
	}
}

// newest asks for a page and not for one event alone: how far apart they are says how wide the
// first windows of history should be. Whether a page is in order is for the walks to judge. So
// where it is not, one event is enough.
func (o *organization) newest(ctx context.Context) (openai.Page, error) {
	page, err := o.live.Newest(ctx, auditlog.ScopeOrganization, 100)
	if e, ok := errors.AsType[*openai.Error](err); ok && e.Kind == openai.KindDisordered {
		return o.live.Newest(ctx, auditlog.ScopeOrganization, 1)
	}
	return page, err
}

// hello asks the API for its newest events, for the time there and the name it has
// for the organization. It waits for as long as it takes: nothing can be done
// without the API, and the reason is reported.
func (o *opening) hello(ctx context.Context) (openai.Page, error) {
	s := o.session
	for attempt := 1; ; attempt++ {
		watchdog := time.AfterFunc(3*s.cfg.PollInterval, s.tellWaiting)
		page, err := o.asked.newest(ctx)
		watchdog.Stop()
		if err == nil || ctx.Err() != nil {
			return page, err
		}
		s.telemetry.Ready(s.name, err.Error())
		if err := s.report(ctx, err.Error()); err != nil {
			return openai.Page{}, err
		}
		pause := backoff(attempt, 30*time.Second)
		s.log.Warn("the API gives no list yet", "error", err, "backoff", pause.Round(time.Millisecond))
		if err := wait(ctx, pause); err != nil {
			return openai.Page{}, err
		}
	}
}

// firstState is the state of an organization that was never read, or was reset.
func (o *opening) firstState(ctx context.Context, now auditlog.Second, reset *window.State) (*window.State, error) {
	s := o.session
	on := map[auditlog.Scope]bool{auditlog.ScopeOrganization: true}
	if s.settings.TenantEvents != TenantOff {
		// Known before history begins, so that both scopes are read as one. If it
		// is not known now, the tenant's time comes as soon as it can be read.
		_, err := s.live.Newest(ctx, auditlog.ScopeTenant, 1)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		on[auditlog.ScopeTenant] = err == nil
	}
	state := &window.State{
		Cursor: window.FirstRun(s.name, min(s.backfillStart(), now), now, on, s.policy),
		Seen:   window.NewSeenIDs(),
	}
	if reset != nil {
		state.Cursor.Openers, state.Cursor.Seal = reset.Cursor.Openers, reset.Cursor.Seal
	}
	return state, nil
}

// reconcile adapts a cursor to the settings, which may have changed. It changes the state in
// memory only. The first commit writes it; a crash before that adapts it again in the same way.
func (o *opening) reconcile(state *window.State, now auditlog.Second) {
	s := o.session
	state.Cursor = window.MoveStart(s.backfillStart())(state.Cursor)
	if s.settings.TenantEvents == TenantOff {
		latest := window.Latest(laterNow(s.now(), s.skew), state.Seen)
		state.Cursor = window.SwitchedOff(auditlog.ScopeTenant, now, latest, s.policy)(state.Cursor)
	}
}

// commit writes the cursor, and nothing else, with this instance as its
// opener. It tries the right to write before any event is read, and makes every
// later start one that is no first run.
func (o *opening) commit(ctx context.Context, apiName string) error {
	s := o.session
	// Openings are noted before the commit: if its answer is lost, the next start must know
	// an opening in the topic for its own, and not for another instance's.
	before := s.cursor().Openers
	ours := ourLast(before, s.openings)
	openers := opened(before, s.me, auditlog.SecondOf(s.now()))
	s.openings = slices.Concat(ours, openers[len(openers)-1:])
	err := s.apply(ctx, func(c auditlog.Cursor) auditlog.Cursor {
		c = c.Clone()
		c.Topics, c.Framing = s.topics.Refs(), s.format.Framing.Name()
		c.SchemaVersion, c.SchemaIDs = s.format.SchemaVersion(), s.format.SchemaIDs(c.SchemaIDs)
		c.APIOrganization = cmp.Or(apiName, c.APIOrganization)
		c.Openers = openers
		return c
	}, true)
	s.opened = s.opened || err == nil || len(ours) > 0
	return err
}

// leave writes the cursor a last time and says in it that this instance stopped by itself,
// so that another host may start at once. If it fails, or we are killed in it, the next start
// finds the state of the last commit: nothing but the word that we left is missing.
func (s *session) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.apply(ctx, func(c auditlog.Cursor) auditlog.Cursor {
		c = c.Clone()
		c.Openers = closed(c.Openers)
		return c
	}, true)
	if errors.Is(err, txlog.ErrFenced) {
		return err
	}
	if err != nil {
		s.log.Warn("the last cursor was not written; the next start goes on from the one before", "error", err)
	}
	return nil
}
