package ops

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Verify compares the topic with the API, for events of [from, to), and writes
// nothing.
//
// The order is cursor, topic, API: an event that is written while this runs is
// then at worst one that the API shows and the topic did not yet hold, and it lies
// above the floor of the cursor read before, where the connector will come.
//
// A key or base URL of an organization other than the cursor's is refused, at the
// first page that it answers.
func Verify(ctx context.Context, c Config, from, to auditlog.Second) (*Report, error) {
	found, err := peek(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	state, err := window.DecodeState(c.Organization, found.records)
	if err != nil {
		return nil, err
	}
	v, err := newVerification(c, from, to)
	if err != nil {
		return nil, err
	}
	v.state = state
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	return v.report(ctx)
}

// verification is one comparison of topic and API.
type verification struct {
	cfg      Config
	from, to auditlog.Second // [from, to)
	began    time.Time
	api      *openai.Client
	decoder  *codec.Decoder
	state    *window.State    // nil: there is none
	scopes   []auditlog.Scope // that the API lets us list

	events, letters extent
	written         index
	unreadable      []Unreadable
	records, dead   int // in [from, to)
	deleted         deleted

	mu     sync.Mutex // guards what follows, and the marks of written
	listed int
	oldest auditlog.Second // of the events listed
	absent table[absent, *absent]
	names  names // of the absent
	shown  table[shown, *shown]
}

func newVerification(c Config, from, to auditlog.Second) (*verification, error) {
	if from >= to {
		return nil, fmt.Errorf("there is no time from %v to before %v", from, to)
	}
	api, err := client(c, 0)
	if err != nil {
		return nil, err
	}
	decoder, err := c.Decoder(remembering)
	if err != nil {
		return nil, err
	}
	return &verification{
		cfg: c, from: from, to: to, began: c.Clock(), api: api, decoder: decoder, deleted: deleted{cfg: c, decoder: decoder},
		oldest: auditlog.MaxSecond,
	}, nil
}

// run reads the topic, then the API, and so finds what they do not have in common.
func (v *verification) run(ctx context.Context) error {
	if err := v.findScopes(ctx); err != nil {
		return err
	}
	if err := v.readTopic(ctx); err != nil {
		return err
	}
	if err := v.deleted.read(ctx); err != nil {
		return err
	}
	if err := v.readAPI(ctx); err != nil {
		return err
	}
	// An event comes again where both scopes list it, or a walk began again.
	v.absent.settle(func(first, again *absent) { first.state |= again.state })
	v.listed += v.absent.len()
	v.shown.settle(func(*shown, *shown) {})
	return v.findElsewhere(ctx)
}

// see takes one event that the API lists. It may get the same event again, from the
// other scope or from a walk that began again.
func (v *verification) see(ev auditlog.Event) {
	id, bytes := ev.Identity(), bytesHash(ev.Raw)
	v.mu.Lock()
	defer v.mu.Unlock()
	if ev.Placed() {
		v.oldest = min(v.oldest, ev.EffectiveAt)
	}
	e := v.written.find(id)
	if e == nil && ev.Name() != ev.ID && ev.ID != "" {
		e = v.written.find(hashOf(ev.Raw)) // a letter that lost so long an id with its key
	}
	if e == nil {
		v.seeAbsent(id, ev)
		return
	}
	if !e.is(markListed) {
		e.marks |= markListed
		v.listed++
		if e.is(markUntimed) && e.is(markDead) {
			v.dead++
		}
	}
	// Each scope may show an event in its own way: it is compared with the one that it
	// was taken from. A dead letter may be cut. Most are there byte for byte; only for
	// the others the values are compared, in another read of the topic.
	differs := bytes != e.value && ev.Scope == e.scope()
	if differs && !e.is(markDead|markUnread|markCompared) {
		e.marks |= markCompared
		v.shown.add(shown{id: e.id, value: valueHash(ev.Raw)})
	}
}
