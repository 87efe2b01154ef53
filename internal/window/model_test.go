package window_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

var (
	modelSeeds = flag.Int("model.seeds", 45, "how many seeds TestModel runs")
	modelSeed  = flag.Uint64("model.seed", 0, "run TestModel with this seed only")
)

// TestModel runs the rules of this package, as production does, in a world of
// late events, crashes and unknown outcomes at every commit, downtime of weeks,
// starts moved earlier, scopes refused and allowed again, ids listed in both
// scopes, clocks that are wrong, events that move to a later time, and events without a
// time that are listed for ever. The topic must hold each event once, and all
// that was promised.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		runModel(t, *modelSeed)
		return
	}
	var total modelStats
	seeds := *modelSeeds
	if testing.Short() {
		seeds = min(seeds, 15) // the race detector makes them ten times as long
	}
	for seed := range uint64(seeds) {
		total.add(runModel(t, seed+1))
		if t.Failed() {
			t.Fatalf("seed %d failed; run it alone with -model.seed=%d", seed+1, seed+1)
		}
	}
	t.Logf("%+v", total)
	// A model that never met what it is about proves nothing.
	for name, n := range map[string]int{
		"crashes": total.crashes, "unknown outcomes": total.unknown, "late events": total.late,
		"redated events": total.redated, "events without a time": total.untimed, "longer memories": total.longer,
		"caught up": total.caughtUp, "discarded": total.discarded, "thaws": total.thaws,
		"moved starts": total.movedStarts, "dense seconds": total.dense, "repeats": total.known,
		"grouped windows": total.grouped, "windows cut": total.cut, "parts of them kept": total.kept, "events dropped": total.dropped, "tenant's lists read alone": total.tenantAlone,
	} {
		if n == 0 {
			t.Errorf("no seed had any %s", name)
		}
	}
}

type modelStats struct {
	events, commits, crashes, unknown, late, caughtUp, discarded, thaws, movedStarts, dense, known int
	redated, untimed, longer, grouped, cut, kept, dropped, tenantAlone                             int
}

func (s *modelStats) add(o modelStats) {
	s.events += o.events
	s.commits += o.commits
	s.crashes += o.crashes
	s.unknown += o.unknown
	s.late += o.late
	s.caughtUp += o.caughtUp
	s.discarded += o.discarded
	s.thaws += o.thaws
	s.movedStarts += o.movedStarts
	s.dense += o.dense
	s.known += o.known
	s.redated += o.redated
	s.untimed += o.untimed
	s.longer += o.longer
	s.grouped += o.grouped
	s.cut += o.cut
	s.kept += o.kept
	s.dropped += o.dropped
	s.tenantAlone += o.tenantAlone
}

// happening is one event of the world, the truth.
type happening struct {
	id        string
	first     auditlog.Second // effective_at at first
	at        auditlog.Second // effective_at
	visible   auditlog.Second // when the API begins to list it
	scopes    []auditlog.Scope
	untimed   bool // its time is none: the API lists it at its top for ever
	unpromise bool // nothing is promised about it; it must still not be doubled
}

const (
	modelPage   = 5 // events a page
	modelBudget = 3 // pages a poll
	modelTxn    = 8 // events a transaction
)

type model struct {
	t      *testing.T
	rng    *rand.Rand
	policy window.Policy
	stats  modelStats
	// promised is how late an event may show up and still be found.
	promised time.Duration
	quiet    bool // the tenant's scope is not switched off
	settling bool // nothing new happens
	restless bool // the lookbacks change from start to start

	// The world.
	now        auditlog.Second // true time, and the API's Date
	local      time.Duration   // local clock less the true time
	steps      int             // by how many seconds at most it is set at a restart
	oddServer  bool            // one of the API's servers has a clock that is behind
	refusals   bool            // the organization scope is refused now and then
	events     []happening
	refused    bool // the tenant scope
	refusedOrg bool // the organization's
	serial     int

	// The topic, which survives crashes.
	cursor  []byte
	parts   map[auditlog.Bucket][]string
	written map[string]int
	labels  map[string]auditlog.Scope

	// The process; nil when it is down.
	state     *window.State
	polls     []window.Batch
	sweeps    map[auditlog.Scope]*modelSweep
	ahead     []window.Batch // history read ahead, in order
	aheadFrom auditlog.Second
	fullWalk  map[auditlog.Scope]auditlog.Second
	start     auditlog.Second // the setting
	hasStart  bool
	tenantOff bool
}

type modelSweep struct {
	window.Sweep
	next  auditlog.Second // of the next window
	width auditlog.Second // of the next window, at most
	began auditlog.Second // the earliest beginning of what was committed
	parts []modelPart     // read, and not committed
}

// modelPart is a batch with its window.
type modelPart struct {
	window.Batch
	window window.Window
	began  auditlog.Second
}

func newModelSweep(s window.Sweep) *modelSweep {
	return &modelSweep{Sweep: s, next: s.From, began: auditlog.MaxSecond}
}

func runModel(t *testing.T, seed uint64) modelStats {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &model{
		t: t, rng: rng,
		policy:  window.Policy{Lookback: 60 * time.Second, DeepLookback: time.Hour},
		now:     1_700_000_000,
		parts:   map[auditlog.Bucket][]string{},
		written: map[string]int{},
		labels:  map[string]auditlog.Scope{},
	}
	if rng.IntN(4) == 0 {
		m.policy.DeepLookback = 0
	}
	m.promised = max(m.policy.Lookback, m.policy.DeepLookback)
	if m.restless = rng.IntN(4) == 0; m.restless {
		m.promised = 30 * time.Second
	}
	if rng.IntN(3) == 0 {
		m.local = time.Duration(rng.IntN(600)-100) * time.Second
	}
	if rng.IntN(4) == 0 {
		m.local = -time.Duration(rng.IntN(3000)) * time.Second
	}
	if rng.IntN(4) == 0 {
		m.steps = []int{3000, 20_000}[rng.IntN(2)]
	}
	m.refusals = rng.IntN(2) == 0
	m.oddServer = rng.IntN(4) == 0
	// A past before the connector was ever started.
	for range rng.IntN(120) {
		m.api().happen(m.now-auditlog.Second(1+rng.IntN(20_000)), 0)
	}
	if m.hasStart = rng.IntN(3) > 0; m.hasStart {
		m.start = m.now - auditlog.Second(rng.IntN(20_000))
	}
	began := m.now
	for range 250 {
		m.worldStep()
		m.processStep()
		if t.Failed() {
			return m.stats
		}
	}
	m.settle()
	m.quietHours()
	m.settle()
	m.judge(began)
	return m.stats
}

// modelAPI is the API of a model: what happens in the organization, and what is listed.
type modelAPI struct{ *model }

func (m *model) api() modelAPI { return modelAPI{m} }

// happen adds an event that took effect at a time and shows up late seconds
// after it.
func (m modelAPI) happen(at auditlog.Second, late int) {
	m.serial++
	ev := happening{id: fmt.Sprintf("audit_log-%d", m.serial), first: at, at: at, visible: max(at, at+auditlog.Second(late))}
	switch m.rng.IntN(6) {
	case 0, 1:
		ev.scopes = []auditlog.Scope{auditlog.ScopeTenant}
	case 2:
		ev.scopes = auditlog.Scopes()
	default:
		ev.scopes = []auditlog.Scope{auditlog.ScopeOrganization}
	}
	m.events = append(m.events, ev)
	m.stats.events++
	if late > 0 {
		m.stats.late++
	}
}

func (m *model) worldStep() {
	step := 1 + m.rng.IntN(25)
	switch m.rng.IntN(60) {
	case 0:
		step = 600 + m.rng.IntN(20_000) // an outage, with the process up or down
	case 1:
		m.kill()
		step = 86_400 * (1 + m.rng.IntN(20)) // weeks of downtime
	}
	before := m.now
	n := m.rng.IntN(4)
	if m.rng.IntN(20) == 0 {
		n = m.rng.IntN(60) // a burst
	}
	burst := before + 1 + auditlog.Second(m.rng.IntN(step))
	oneSecond := m.rng.IntN(3) == 0
	for range n {
		at := before + 1 + auditlog.Second(m.rng.IntN(step))
		if oneSecond {
			at = burst
		}
		late := 0
		switch m.rng.IntN(8) {
		case 0:
			late = m.rng.IntN(int(m.policy.Lookback.Seconds()) + 1)
		case 1:
			late = m.rng.IntN(int(max(m.policy.Lookback, m.policy.DeepLookback).Seconds()) + 1)
		}
		m.api().happen(at, late)
	}
	m.now += auditlog.Second(step)
	m.api().oddTimes()
	if m.refusals && m.rng.IntN(40) == 0 {
		m.refusedOrg = !m.refusedOrg
		for i := range m.events {
			ev := &m.events[i]
			if slices.Contains(ev.scopes, auditlog.ScopeOrganization) && ev.visible > ev.at {
				ev.unpromise = true
			}
		}
	}
	if m.rng.IntN(40) == 0 {
		m.refused = !m.refused
		if m.refused || m.tenantOff {
			m.excuseLateTenantEvents()
		}
	}
}

// oddTimes moves events that are still remembered to later times, and adds one without a
// time, in the organization's list. Nothing is promised about them while a scope is
// refused, or while the lookbacks change.
func (m modelAPI) oddTimes() {
	if m.restless || m.refusals {
		return
	}
	if m.rng.IntN(100) == 0 {
		m.api().happen(m.now, 0)
		ev := &m.events[len(m.events)-1]
		ev.untimed, ev.scopes = true, []auditlog.Scope{auditlog.ScopeOrganization}
		m.stats.untimed++
	}
	// Most just before a walk of the deep past, which forgets what is older.
	deep := m.state != nil && window.DeepDue(m.state.Cursor, auditlog.ScopeOrganization, m.clock(), m.policy)
	if m.rng.IntN(20) > 0 && !deep {
		return
	}
	for i := range m.events {
		ev := &m.events[i]
		organizations := len(ev.scopes) == 1 && ev.scopes[0] == auditlog.ScopeOrganization
		age := int(m.now - ev.at)
		young := age > 0 && age <= int(m.promised.Seconds())
		if organizations && young && !ev.untimed && ev.visible <= m.now && m.rng.IntN(8) == 0 && m.now.Sub(ev.first) <= m.promised {
			ev.at += auditlog.Second(1 + m.rng.IntN(age))
			ev.visible = m.now
			m.stats.redated++
		}
	}
}

// excuseLateTenantEvents: what shows up late around the time at which the tenant
// scope goes away is not promised (design §2); it must not be doubled though.
func (m *model) excuseLateTenantEvents() {
	for i := range m.events {
		ev := &m.events[i]
		if !slices.Contains(ev.scopes, auditlog.ScopeOrganization) && ev.visible > ev.at {
			ev.unpromise = true
		}
	}
}

// clock is what production takes for now: the earlier of two clocks. The API may be
// many servers, and the clock of one be hours behind.
func (m *model) clock() auditlog.Second {
	if m.oddServer && m.rng.IntN(12) == 0 {
		return m.now.Add(-6 * time.Hour)
	}
	return min(m.now, m.now.Add(m.local))
}

func (m *model) kill() {
	m.state, m.polls, m.sweeps, m.ahead, m.aheadFrom = nil, nil, nil, nil, 0
}

func (m *model) processStep() {
	if m.rng.IntN(25) == 0 {
		m.stats.crashes++
		m.kill()
	}
	if m.state == nil {
		m.open()
		return
	}
	for range 1 + m.rng.IntN(6) {
		if m.state == nil {
			return
		}
		switch m.rng.IntN(7) {
		case 0, 1:
			m.poll(auditlog.Scopes()[m.rng.IntN(2)])
		case 2:
			m.sweepStep(auditlog.Scopes()[m.rng.IntN(2)])
		case 3:
			m.readAhead()
		case 4:
			m.commitAhead()
		default:
			if len(m.polls) > 0 {
				b := m.polls[0]
				m.polls = m.polls[1:]
				m.commit(b)
			}
		}
	}
}

// open is a start: settings may have changed, the state is what the topic says.
func (m *model) open() {
	if m.rng.IntN(6) == 0 && m.hasStart {
		m.start -= auditlog.Second(m.rng.IntN(5_000))
		m.stats.movedStarts++
	}
	if m.rng.IntN(12) == 0 && !m.quiet {
		m.tenantOff = !m.tenantOff
		if m.tenantOff {
			m.excuseLateTenantEvents()
		}
	}
	if m.restless {
		m.policy.Lookback = []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute}[m.rng.IntN(3)]
		m.policy.DeepLookback = []time.Duration{0, 20 * time.Minute, time.Hour, 3 * time.Hour}[m.rng.IntN(4)]
	}
	if m.steps > 0 && m.rng.IntN(3) == 0 {
		m.local = time.Duration(m.rng.IntN(2*m.steps)-m.steps) * time.Second
	}
	m.sweeps = map[auditlog.Scope]*modelSweep{}
	m.fullWalk = map[auditlog.Scope]auditlog.Second{}
	now := m.clock()
	if m.cursor == nil {
		start := now
		if m.hasStart {
			start = m.start
		}
		on := map[auditlog.Scope]bool{
			auditlog.ScopeOrganization: true,
			auditlog.ScopeTenant:       !m.refused && !m.tenantOff,
		}
		m.state = &window.State{Cursor: window.FirstRun("acme", start, now, on, m.policy), Seen: window.NewSeenIDs(), Policy: m.policy}
		m.commit(window.Batch{From: m.state.Cursor.Floor, Effect: func(c auditlog.Cursor) auditlog.Cursor { return c }})
		return
	}
	c, err := auditlog.DecodeCursor(m.cursor)
	if err != nil {
		m.t.Fatalf("the stored cursor: %v\n%s", err, m.cursor)
	}
	m.state = &window.State{Cursor: c, Seen: window.NewSeenIDs(), Policy: m.policy}
	for b, names := range m.parts {
		m.state.Seen.Load(b, names)
	}
	if c.SeenRecords != len(m.parts) {
		m.t.Errorf("the cursor counts %d records of seen ids, and there are %d", c.SeenRecords, len(m.parts))
	}
	if m.hasStart {
		if m.start < c.Start {
			m.excuseMovedStart(m.start, c.Start)
		}
		m.effect(window.MoveStart(m.start))
	}
	if m.tenantOff {
		m.effect(window.SwitchedOff(auditlog.ScopeTenant, now, m.now, m.policy))
	}
}

// excuseMovedStart: an event that shows up only after its newly added history was
// read is below the floor, where only verify looks.
func (m *model) excuseMovedStart(from, to auditlog.Second) {
	for i := range m.events {
		if ev := &m.events[i]; ev.at >= from && ev.at < to && ev.visible > m.now {
			ev.unpromise = true
		}
	}
}

// effect applies what needs no events; it is stored with the next commit.
func (m *model) effect(e window.Effect) { m.state.Cursor = e(m.state.Cursor) }

// list is the API at this moment, newest first.
func (m modelAPI) list(s auditlog.Scope, from, to auditlog.Second) []auditlog.Event {
	var out []auditlog.Event
	for _, ev := range m.events {
		if ev.untimed && ev.visible <= m.now && to == auditlog.MaxSecond && slices.Contains(ev.scopes, s) {
			out = append(out, auditlog.Event{ID: ev.id, EffectiveAt: auditlog.MaxSecond, Neighbour: m.clock(), Scope: s, Raw: []byte(ev.id)})
			continue
		}
		if ev.visible <= m.now && ev.at >= from && ev.at <= to && slices.Contains(ev.scopes, s) {
			out = append(out, auditlog.Event{ID: ev.id, EffectiveAt: ev.at, Timed: true, Scope: s, Raw: []byte(ev.id)})
		}
	}
	slices.SortFunc(out, func(a, b auditlog.Event) int {
		return cmp.Or(cmp.Compare(b.EffectiveAt, a.EffectiveAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// batch makes one of what a read found that began at a time.
func (m *model) batch(found []auditlog.Event, from, began auditlog.Second) window.Batch {
	b := window.Batch{From: from}
	b.Events, b.Later = m.state.Seen.Sift(found, began, m.policy)
	m.stats.longer += len(b.Later)
	return b
}

// may reports whether the scope answers, and tells the cursor.
func (m modelAPI) may(s auditlog.Scope) bool {
	if s == auditlog.ScopeTenant && m.tenantOff {
		return false
	}
	pos := m.state.Cursor.Scopes[s]
	if m.api().isRefused(s) {
		if pos.State != auditlog.StateOff {
			unread := window.Refused
			if m.now%2 == 1 { // the same by another name
				unread = window.Failing
			}
			m.effect(unread(s, m.clock(), m.now, m.policy))
			m.replan()
		}
		return false
	}
	if pos.State != auditlog.StateOn {
		if pos.Frozen {
			m.stats.thaws++
		}
		m.effect(window.Allowed(s, m.clock(), m.policy))
		m.replan()
	}
	return true
}

func (m modelAPI) isRefused(s auditlog.Scope) bool {
	return s == auditlog.ScopeTenant && m.refused || s == auditlog.ScopeOrganization && m.refusedOrg
}

// replan drops what was read ahead under another plan.
func (m *model) replan() { m.ahead, m.aheadFrom = nil, 0 }

// poll reads the head, a few pages at most, as the connector does.
func (m *model) poll(s auditlog.Scope) {
	if !m.api().may(s) || m.sweeps[s] != nil && m.rng.IntN(2) == 0 {
		return
	}
	began := m.clock()
	c := m.state.Cursor
	from := window.HeadFrom(c, s, m.policy)
	full := began-m.fullWalk[s] >= 45
	var found []auditlog.Event
	reached, stopped := true, false
	for i, page := range slices.Collect(slices.Chunk(m.api().list(s, from, auditlog.MaxSecond), modelPage)) {
		if i == modelBudget {
			reached = false
			break
		}
		found = append(found, page...)
		if !full && window.KnownPage(m.state.Seen, page, c.Scopes[s].Live) {
			reached, stopped = false, true
			break
		}
	}
	b := m.batch(found, from, began)
	switch {
	case reached:
		b.Effect = window.Walked(s, from, began, m.policy)
		m.fullWalk[s] = began
	case !stopped:
		// Too far behind for one walk.
		if window.Behind(c, s, began, m.policy) {
			b.Effect = window.CatchUp(s, began, m.policy)
			m.stats.caughtUp++
		} else if m.sweeps[s] == nil && !window.DeepDue(c, s, m.clock(), m.policy) { // the deep past goes first
			m.sweeps[s] = newModelSweep(window.HeadSweep(c, s, began, m.policy))
		}
	}
	m.polls = append(m.polls, b)
}

// sweepStep reads or commits one window of a long walk of the head or the deep
// past.
func (m *model) sweepStep(s auditlog.Scope) {
	if !m.api().may(s) {
		delete(m.sweeps, s)
		return
	}
	sw := m.sweeps[s]
	if sw == nil {
		if window.DeepDue(m.state.Cursor, s, m.clock(), m.policy) {
			m.sweeps[s] = newModelSweep(window.DeepSweep(m.state.Cursor, s, m.clock()))
		}
		return
	}
	if len(sw.parts) > 0 && m.rng.IntN(2) == 0 {
		part := sw.parts[0]
		sw.parts = sw.parts[1:]
		sw.began = min(sw.began, part.began)
		if !part.Partial {
			part.Effect = sw.Effect(part.window, sw.began, m.policy)
		}
		discarded := m.commit(part.Batch)
		if discarded || !part.Partial && part.window.To == sw.To {
			delete(m.sweeps, s)
		}
		return
	}
	if sw.next == sw.To {
		return
	}
	to := min(sw.To, sw.next+sw.width+auditlog.Second(50+m.rng.IntN(900)))
	if m.rng.IntN(5) == 0 {
		to = sw.To
	}
	parts, ok := m.readWindow(sw.Sweep, window.Window{From: sw.next, To: to})
	if !ok {
		delete(m.sweeps, s)
		return
	}
	read := parts[len(parts)-1].window.To
	sw.width = 4 * (read - sw.next) // wider where little happens
	sw.next = read
	sw.parts = append(sw.parts, parts...)
}

// readAhead reads the next window of history; several may wait for their commit.
func (m *model) readAhead() {
	s, ok := window.HistorySweep(m.state.Cursor)
	from := max(s.From, m.aheadFrom)
	if !ok || len(m.ahead) > 3 || from >= s.To {
		return
	}
	parts, ok := m.readWindow(s, window.Window{From: from, To: min(s.To, from+1+auditlog.Second(m.rng.IntN(2_000)))})
	if !ok {
		return
	}
	m.aheadFrom = parts[len(parts)-1].window.To
	for _, part := range parts {
		if !part.Partial {
			part.Effect = s.Effect(part.window, part.began, m.policy)
		}
		m.ahead = append(m.ahead, part.Batch)
	}
}

// modelLimits are those of windows, for transactions of a few events.
var modelLimits = window.Limits{Events: modelTxn, Slow: modelTxn, Most: 2 * modelTxn, Bytes: 100 * modelTxn, EventBytes: 50}

// readWindow reads a window by the rules of production, or, where all of it is left, the older
// half. What else is left comes first in the parts. ok is false when a list is refused.
func (m *model) readWindow(s window.Sweep, w window.Window) (parts []modelPart, ok bool) {
	for {
		whole := w
		parts, ok := m.tryWindow(s, &w)
		if !ok || w == whole {
			return parts, ok
		}
		m.stats.cut++
		if w.Seconds() == 0 {
			w = window.Window{From: whole.From, To: whole.From + max(1, (whole.To-whole.From)/2)}
			continue
		}
		m.stats.kept++
		older, ok := m.readWindow(s, window.Window{From: whole.From, To: w.From})
		if !ok {
			return nil, false
		}
		if older[len(older)-1].window.To == w.From {
			return append(older, parts...), true
		}
		return older, true // the half of what was left: what comes after it is read again
	}
}

// tryWindow reads a window to its end, and sets it to what was not left of it.
func (m *model) tryWindow(s window.Sweep, w *window.Window) (parts []modelPart, ok bool) {
	planned := window.Planned{
		Window: *w, Basis: window.Basis(m.rng.IntN(3)), Events: modelTxn, Rate: float64(m.rng.IntN(3)),
	}
	r := window.NewRead(s, *w, m.state.Cursor, modelLimits, func(page []auditlog.Event, began auditlog.Second) (fresh, later []auditlog.Event) {
		fresh, later = m.state.Seen.Sift(page, began, m.policy)
		m.stats.longer += len(later)
		return fresh, later
	})
	defer r.End()
	part := func(b window.Batch) {
		if b.From != w.From || b.History != nil && (b.History.From != w.From || b.History.To != w.To) {
			m.t.Errorf("the batch of %+v is of %+v from %v", *w, b.History, b.From)
		}
		parts = append(parts, modelPart{Batch: b, window: *w, began: r.Began()})
	}
	walks := 0
	for walk, more := r.Next(); more; walk, more = r.Next() {
		if m.api().isRefused(walk.Scope) {
			return nil, false
		}
		if walks++; walks == 3 {
			m.stats.tenantAlone++
		}
		to := w.To - 1
		if !s.Bounded(*w) {
			to = auditlog.MaxSecond
			if !m.settling && m.rng.IntN(8) == 0 {
				m.api().happen(m.now, 0) // between two walks
			}
		}
		began, list := m.clock(), m.api().list(walk.Scope, w.From, to)
		if m.rng.IntN(4) == 0 { // no order is promised
			m.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		for {
			page := list[:min(len(list), modelPage)]
			list = list[len(page):]
			fresh, _ := r.Page(page, began, len(list) == 0)
			r.Encoded(50 * len(fresh))
			give := func() {
				if b, full := r.Part(); full {
					m.stats.dense++
					part(b)
				}
			}
			give()
			if d, dense := r.TooDense(planned); dense {
				if d.Before < w.To && m.rng.IntN(8) == 0 { // the page ends where the walk cannot go on from
					if !d.Must {
						continue
					}
					d.Before = w.To
				}
				if w.From = d.Before; w.Seconds() == 0 {
					return nil, true
				}
				m.stats.dropped += m.leave(r, d.Before)
				list = slices.DeleteFunc(list, func(ev auditlog.Event) bool { return ev.Second() < d.Before })
				give()
			}
			if len(list) == 0 {
				break
			}
		}
	}
	part(r.Last())
	return parts, true
}

// leave leaves a part of what is read, and returns how many events that dropped.
func (m *model) leave(r *window.Read, before auditlog.Second) (dropped int) {
	was := slices.Clone(r.Last().Events)
	kept, now := r.Leave(before), r.Last().Events
	if kept == nil {
		kept = make([]int, len(was))
		for at := range kept {
			kept[at] = at
		}
	}
	for to, at := range kept {
		if now[to].ID != was[at].ID || len(now) != len(kept) {
			m.t.Errorf("%v of %v are kept, and the batch has %v", kept, was, now)
		}
	}
	r.Encoded(50 * (len(now) - len(was)))
	return len(was) - len(now)
}

// commitAhead commits what was read ahead, several windows in one transaction now and
// then.
func (m *model) commitAhead() {
	if len(m.ahead) == 0 {
		return
	}
	n := 1 + m.rng.IntN(len(m.ahead))
	group := m.ahead[:n]
	m.ahead = m.ahead[n:]
	if n > 1 {
		m.stats.grouped++
	}
	if m.commit(group...) {
		m.replan()
	}
}

// commit is the protocol's one transaction, with each of its outcomes.
func (m *model) commit(batches ...window.Batch) (discarded bool) {
	step := m.state.Stage(batches...)
	if step.Discard {
		m.stats.discarded++
	}
	if step.Staged == 0 {
		return true
	}
	m.stats.known += step.Known
	m.trace(batches, step)
	if err := step.Cursor.Validate(); err != nil {
		m.t.Errorf("staged cursor: %v\n%+v", err, step.Cursor)
	}
	if step.Cursor.Floor < m.state.Cursor.Floor {
		m.t.Errorf("the floor fell from %v to %v", m.state.Cursor.Floor, step.Cursor.Floor)
	}
	for s, pos := range step.Cursor.Scopes {
		if was := m.state.Cursor.Scopes[s]; pos.Live < was.Live || pos.Deep < was.Deep {
			m.t.Errorf("a position of %s fell: %+v, before %+v", s, pos, was)
		}
	}
	if !step.Writes() && m.rng.IntN(3) > 0 && m.cursor != nil {
		step.Forget = nil // a quiet log writes nothing: the floor in the topic stays
		m.state.Advance(step)
		return step.Discard
	}
	often := 20
	if m.settling {
		often = 1000 // a sweep of many windows must come to its end
	}
	switch m.rng.IntN(often) {
	case 0: // failed and not applied
		m.stats.unknown++
		m.kill()
	case 1: // applied and not answered
		m.stats.unknown++
		m.apply(batches, step)
		m.kill()
	default:
		m.apply(batches, step)
		m.state.Advance(step)
	}
	return step.Discard
}

// trace tells the story of one seed: times are seconds since the beginning.
func (m *model) trace(batches []window.Batch, step window.Step) {
	if *modelSeed == 0 {
		return
	}
	const zero = 1_700_000_000
	fmt.Printf("%d from=%d history=%v write=", m.now-zero, batches[0].From-zero, batches[0].History != nil)
	for _, ev := range written(step, batches...) {
		fmt.Printf(" %s@%d", ev.ID[10:], ev.EffectiveAt-zero)
	}
	fmt.Printf("\n   F=%d", step.Cursor.Floor-zero)
	for _, s := range auditlog.Scopes() {
		pos := step.Cursor.Scopes[s]
		fmt.Printf(" %s(%s frozen=%v since=%d W=%d D=%d", s, pos.State, pos.Frozen, pos.Since-zero, pos.Live-zero, pos.Deep-zero)
		for _, r := range pos.History {
			fmt.Printf(" [%d,%d %v %v]", r.From-zero, r.To-zero, r.HoldsFloor, r.Remembered)
		}
		fmt.Print(")")
	}
	fmt.Println()
}

func (m *model) apply(batches []window.Batch, step window.Step) {
	m.stats.commits++
	for _, ev := range written(step, batches...) {
		m.written[ev.ID]++
		m.labels[ev.ID] = ev.Scope
	}
	value, err := step.Cursor.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cursor = value
	for _, part := range step.Remember {
		if _, there := m.parts[part.Bucket]; there {
			m.t.Errorf("part %+v is written a second time", part.Bucket)
		}
		m.parts[part.Bucket] = part.Names
	}
	for _, b := range step.Forget {
		delete(m.parts, b)
	}
}

// settle lets everything be read: the scopes allowed, no more failures that keep
// it from ending, and time enough for the deep walks.
func (m *model) settle() {
	m.refused, m.tenantOff, m.restless = false, false, false
	m.refusedOrg, m.refusals = false, false
	m.settling = true
	defer func() { m.settling = false }()
	for range 20_000 {
		if m.state == nil {
			m.open()
			continue
		}
		m.tenantOff = false
		m.now += 2
		for _, s := range auditlog.Scopes() {
			if m.state != nil {
				m.poll(s)
			}
			if m.state != nil {
				m.sweepStep(s)
			}
		}
		for len(m.polls) > 0 && m.state != nil {
			b := m.polls[0]
			m.polls = m.polls[1:]
			m.commit(b)
		}
		if m.state != nil {
			m.readAhead()
			if m.state != nil {
				m.commitAhead()
			}
		}
		if m.state != nil && m.settled() {
			return
		}
	}
	m.t.Errorf("nothing settles: %+v", m.state)
}

// quietHours are some in which nothing fails, so that the floor rises again and again,
// and events move to later times meanwhile.
func (m *model) quietHours() {
	m.quiet = true
	defer func() { m.quiet = false }()
	for range 200 {
		m.now += 60
		m.api().happen(m.now-auditlog.Second(m.rng.IntN(60)), 0)
		m.api().oddTimes()
		for range 10 {
			m.processStep()
		}
	}
}

func (m *model) settled() bool {
	if _, left := window.NextHistory(m.state.Cursor); left {
		return false
	}
	last := auditlog.Second(0)
	for _, ev := range m.events {
		last = max(last, ev.visible)
	}
	for _, pos := range m.state.Cursor.Scopes {
		if pos.State != auditlog.StateOn || pos.Live <= last {
			return false
		}
		if m.policy.DeepLookback > 0 && pos.Deep <= last {
			return false
		}
	}
	return m.state.Cursor.Floor > last.Add(-time.Hour)
}

func (m *model) judge(began auditlog.Second) {
	start := m.state.Cursor.Start
	for _, ev := range m.events {
		n := m.written[ev.id]
		late := ev.visible - ev.at
		promised := !ev.unpromise && ev.at >= start && late <= auditlog.Second(m.promised.Seconds())
		switch {
		case n > 1:
			m.t.Errorf("%s of %v (late by %ds, %v) is there %d times", ev.id, ev.at, late, ev.scopes, n)
		case n == 0 && promised:
			m.t.Errorf("%s of %v (late by %ds, %v) is lost; first start %v", ev.id, ev.at, late, ev.scopes, began)
		}
	}
}
