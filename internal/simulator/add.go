package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

func timeOf(nanos int64) time.Time { return time.Unix(0, nanos) }

// visibleFrom returns VisibleAt as it is stored.
func (a *API) visibleFrom(t time.Time) int64 {
	if t.IsZero() {
		t = a.cfg.Now()
	}
	return t.UnixNano()
}

// Add adds events. Those with an id that is there already are refused by a panic:
// a test that does so is wrong.
func (a *API) Add(events ...Event) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	for _, e := range events {
		if e.Raw == nil {
			if e.Type == "" {
				e.Type = "login.succeeded"
			}
			e.Raw = Example(e.Type, e.ID, e.EffectiveAt, a.cfg.Seed)
		}
		a.addLocked(e)
	}
}

// Redate shows an event that was added from now on as one of another time.
func (a *API) Redate(id string, at auditlog.Second) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	n, ok := a.store.byID[id]
	if !ok {
		panic(fmt.Sprintf("simulator: the id %q was not added", id))
	}
	e := a.store.event(n)
	a.store.records[n].hidden = true
	delete(a.store.byID, id)
	a.addLocked(Event{
		ID: id, Type: e.Type, Scopes: e.Scopes, EffectiveAt: at, VisibleAt: e.VisibleAt,
		Raw: Example(e.Type, id, at, a.cfg.Seed),
	})
}

// AddRaw adds an event as it is, however broken, at the place of effectiveAt. It
// is known by the id that its JSON has, if any.
func (a *API) AddRaw(scope auditlog.Scope, effectiveAt auditlog.Second, raw []byte) {
	var head struct {
		ID   any `json:"id"`
		Type any `json:"type"`
	}
	_ = json.Unmarshal(raw, &head) // it may be no object at all
	e := Event{Scopes: []auditlog.Scope{scope}, EffectiveAt: effectiveAt, Raw: raw}
	e.ID, _ = head.ID.(string)
	e.Type, _ = head.Type.(string)
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	a.addLocked(e)
}

func (a *API) addLocked(e Event) {
	r := record{at: int64(e.EffectiveAt), visible: a.visibleFrom(e.VisibleAt), hidden: e.Hidden}
	for _, scope := range e.Scopes {
		r.scopes |= scopeBit(scope)
	}
	if r.scopes == 0 {
		r.scopes = organizationBit
	}
	r.made = ^int32(len(a.store.given))
	a.store.given = append(a.store.given, given{id: e.ID, kind: e.Type, raw: e.Raw})
	n := a.store.addLocked(r)
	if e.ID == "" {
		return
	}
	if _, ok := a.store.byID[e.ID]; ok {
		panic(fmt.Sprintf("simulator: the id %q was added twice", e.ID))
	}
	a.store.byID[e.ID] = n
}

// Generate adds n events between from and to, both included, as real logs have
// them: all types, mostly logins and keys, now and then an unknown type, and now
// and then many in one second. One in ten is a tenant event.
func (a *API) Generate(n int, from, to auditlog.Second) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	r := rand.New(rand.NewPCG(a.cfg.Seed, uint64(len(a.store.records))))
	visible := a.visibleFrom(time.Time{})
	at, burst := int64(from), 0
	for i := range n {
		if burst > 0 {
			burst--
		} else {
			// Evenly on the whole, and at random inside each part.
			span := float64(to-from) + 1
			at = int64(from) + int64(span*(float64(i)+r.Float64())/float64(n))
			if r.IntN(500) == 0 {
				burst = r.IntN(50)
			}
		}
		a.makeLocked(r, at, visible)
	}
}

// GenerateBursts is Generate for a log in which a third of the events come from scripts: in
// bursts at equal distances, of so many seconds each.
func GenerateBursts(a *API, n int, from, to auditlog.Second, bursts, seconds int) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	r := rand.New(rand.NewPCG(a.cfg.Seed, uint64(len(a.store.records))))
	visible := a.visibleFrom(time.Time{})
	span := int64(to-from) + 1
	times := make([]int64, n)
	for i := range times {
		if i%3 > 0 {
			times[i] = int64(from) + r.Int64N(span)
			continue
		}
		burst := int64(i / 3 % bursts)
		times[i] = int64(from) + span*burst/int64(bursts) + r.Int64N(int64(seconds))
	}
	slices.Sort(times)
	for _, at := range times {
		a.makeLocked(r, at, visible)
	}
}

func (a *API) makeLocked(r *rand.Rand, at, visible int64) {
	scope := auditlog.ScopeOrganization
	if r.IntN(10) == 0 {
		scope = auditlog.ScopeTenant
	}
	pool := a.store.types().byScope[scope]
	a.store.addLocked(record{at: at, visible: visible, made: pool[r.IntN(len(pool))], scopes: scopeBit(scope)})
}

// Step adds n events of the present second. They are visible now, but for the
// share late of them, which show up within delay.
func (a *API) Step(n int, late float64, delay time.Duration) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	r := rand.New(rand.NewPCG(a.cfg.Seed, uint64(len(a.store.records))))
	now := a.cfg.Now()
	for range n {
		visible := now
		if delay > 0 && r.Float64() < late {
			visible = now.Add(time.Duration(r.Int64N(int64(delay))))
		}
		a.makeLocked(r, now.Unix(), visible.UnixNano())
	}
}

// Feed adds events at a rate a second until ctx ends.
func (a *API) Feed(ctx context.Context, perSecond float64) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.Step(1, 0, 0)
		case <-ctx.Done():
			return
		}
	}
}

// Hide takes events out of the list, or, with hidden false, shows them again.
// Their ids are no cursors any more. Unknown ids are a panic.
func (a *API) Hide(hidden bool, ids ...string) {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	for _, id := range ids {
		n, ok := a.store.find(id)
		if !ok {
			panic(fmt.Sprintf("simulator: no event has the id %q", id))
		}
		a.store.records[n].hidden = hidden
	}
}

// Len returns how many events there are, shown or not.
func (a *API) Len() int {
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	return len(a.store.records)
}

// Truth returns all events that were ever added, in the order of arrival. Nothing
// may be added while it is ranged over by the same goroutine.
func (a *API) Truth() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		a.store.mu.RLock()
		defer a.store.mu.RUnlock()
		for n := range a.store.records {
			if !yield(a.store.event(number(n))) {
				return
			}
		}
	}
}
