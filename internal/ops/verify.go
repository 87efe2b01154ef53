package ops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Verify holds the topic against the API, for events of [from, to), and writes
// nothing.
//
// The order is cursor, topic, API: an event that is written while this runs is
// then at worst one that the API shows and the topic did not yet hold, and it lies
// above the floor of the cursor read before, where the connector will come.
func Verify(ctx context.Context, c Config, from, to auditlog.Second) (*Report, error) {
	found, err := c.peek(ctx)
	if err != nil {
		return nil, err
	}
	state, err := window.DecodeState(c.Organization, found.records)
	if err != nil {
		return nil, err
	}
	v, err := c.verification(from, to)
	if err != nil {
		return nil, err
	}
	v.state = state
	return v.run(ctx)
}

// verification is one comparison of topic and API.
type verification struct {
	Config
	from, to auditlog.Second // [from, to)
	api      *openai.Client
	state    *window.State    // nil: there is none
	scopes   []auditlog.Scope // that the API lets us list

	events, letters extent
	written         index
	records, dead   int               // in [from, to)
	expiry          []auditlog.Second // by partition: what took effect before may have been deleted

	mu     sync.Mutex // guards what follows, and the marks of written
	listed int
	oldest auditlog.Second // of the events listed
	absent map[auditlog.Identity]*absent
	differ []string
}

// absent is an event that the API lists and the topic does not hold.
type absent struct {
	id       auditlog.Identity
	name     string
	at       auditlog.Second
	tenant   bool // the tenant lists it
	ours     bool // the organization does
	taken    bool // for a transaction of a repair
	repaired bool
}

func (c Config) verification(from, to auditlog.Second) (*verification, error) {
	if from >= to {
		return nil, fmt.Errorf("there is no time from %v to before %v", from, to)
	}
	client, err := c.client(0)
	if err != nil {
		return nil, err
	}
	return &verification{
		Config: c, from: from, to: to, api: client,
		oldest: auditlog.MaxSecond, absent: map[auditlog.Identity]*absent{},
	}, nil
}

// run reads the topic, then the API, and tells the difference.
func (v *verification) run(ctx context.Context) (*Report, error) {
	if err := v.readTopic(ctx); err != nil {
		return nil, err
	}
	if err := v.readAPI(ctx); err != nil {
		return nil, err
	}
	return v.report(ctx)
}

// see takes one event that the API lists. It may be told of the same event again,
// by the other scope or by a walk that began anew.
func (v *verification) see(ev auditlog.Event) {
	id, value := ev.Identity(), valueHash(ev.Raw)
	v.mu.Lock()
	defer v.mu.Unlock()
	if ev.Timed {
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
		if e.is(markUntimed) {
			v.dead++
		}
	}
	// The scopes may show an event each in its own way: it is held against the one
	// that it was taken from. A dead letter may be cut.
	differs := e.is(markUnread) || value != e.value && ev.Scope == e.scope()
	if differs && !e.is(markDead|markDifferent) {
		e.marks |= markDifferent
		v.differ = append(v.differ, ev.Name())
	}
}

func (v *verification) seeAbsent(id auditlog.Identity, ev auditlog.Event) {
	a := v.absent[id]
	if a == nil {
		a = &absent{id: id, name: ev.Name(), at: ev.Second()}
		v.absent[id] = a
		v.listed++
	}
	a.tenant = a.tenant || ev.Scope == auditlog.ScopeTenant
	a.ours = a.ours || ev.Scope == auditlog.ScopeOrganization
}

// reader says who is to write an absent event.
func (v *verification) reader(a *absent) window.Reader {
	if v.state == nil || v.state.Memory.Has(a.id) {
		// Nobody knows better, or the connector has written it: it is gone since, and
		// the connector leaves it out for as long as it remembers, and then for good.
		return window.ReaderPast
	}
	reader := window.ReaderLater
	if a.ours {
		reader = window.ReaderOf(v.state.Cursor, auditlog.ScopeOrganization, a.at)
	}
	if a.tenant && reader == window.ReaderLater {
		reader = window.ReaderOf(v.state.Cursor, auditlog.ScopeTenant, a.at)
	}
	return reader
}

// oldestFirst returns the absent events in the order of their time.
func (v *verification) oldestFirst() []*absent {
	all := make([]*absent, 0, len(v.absent))
	for _, a := range v.absent {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *absent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name))
	})
	return all
}

// expired reports whether the topic may have held the event, and have deleted it.
func (v *verification) expired(a *absent) bool {
	return a.at < v.expiry[partitionOf(a.name, len(v.expiry))]
}

// readExpiry finds out, for each partition that lost its beginning, when the
// oldest record that is left was written: whatever took effect since cannot have
// been in what is gone.
func (v *verification) readExpiry(ctx context.Context) error {
	topics, err := v.describe(ctx, v.Topics.Events)
	if err != nil {
		return err
	}
	topic := topics[v.Topics.Events]
	deletes := !topic.Known || topic.RetentionMs >= 0 || topic.RetentionBytes > 0
	v.expiry = make([]auditlog.Second, len(v.events.offsets))
	for partition, o := range v.events.offsets {
		v.expiry[partition] = auditlog.MinSecond
		if deletes && o.Start > 0 {
			// Until a record shows otherwise, all of it may be gone.
			v.expiry[partition] = auditlog.SecondOf(v.now())
		}
	}
	return nil
}

// noteOldest takes the time of writing of a partition's oldest record.
func (v *verification) noteOldest(r *kafka.Record, written auditlog.Second) {
	if v.expiry[r.Partition] != auditlog.MinSecond {
		v.expiry[r.Partition] = min(v.expiry[r.Partition], written)
	}
}
