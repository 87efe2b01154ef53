package connector

import (
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// lists is how the list of each scope answers, and when which part of it is to be read.
// All of it goes by our own clock: a position that an API's wrong clock holds back must not
// make a walk due again at once. It is safe for concurrent use.
//
// It is begun again with each session and is in no topic. To forget it costs requests, and
// never an event: at the worst a walk is done that was not due yet.
type lists struct {
	now func() time.Time
	mu  sync.Mutex // guards what follows; held for no I/O
	of  map[auditlog.Scope]*list
}

// list is how one of them answers.
type list struct {
	succeeded time.Time // when its head was last read
	failing   error     // why it was not since
	failures  int       // in a row
	since     time.Time // when the first of them was
	notBefore time.Time // when to try again
	fullWalk  time.Time // when its whole lookback was last walked
	nextDeep  time.Time // when its deep past is due
	behind    bool      // a poll did not reach what is known
}

// newLists returns the lists at the start of a session. deepIn says in what time the deep
// past of a scope is due.
func newLists(now func() time.Time, deepIn func(auditlog.Scope) time.Duration) *lists {
	l := &lists{now: now, of: map[auditlog.Scope]*list{}}
	for _, scope := range auditlog.Scopes() {
		l.of[scope] = &list{nextDeep: now().Add(deepIn(scope))}
	}
	return l
}

// get returns how a list is at this moment.
func (l *lists) get(scope auditlog.Scope) list {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.of[scope]
}

// due reports whether the list is to be polled now.
func (l *lists) due(scope auditlog.Scope) bool { return !l.now().Before(l.get(scope).notBefore) }

// answered notes how the list answered, and returns how it was before. The caller sees by
// the two what is news, so a list that fails a hundred times is not reported a hundred times.
func (l *lists) answered(scope auditlog.Scope, err error) (was list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of[scope]
	was = *h
	if err == nil {
		h.succeeded, h.failing, h.failures, h.notBefore = l.now(), nil, 0, time.Time{}
		return was
	}
	if h.failures == 0 {
		h.since = l.now()
	}
	h.failing = err
	h.failures++
	h.notBefore = l.now().Add(scopePause(h.failures))
	return was
}

// tenantPatience is how long the tenant's list may fail, for whatever reason, while
// the organization's is read, before the rest goes on without it. What it misses
// comes when it can be read again.
const tenantPatience = time.Hour

// failsLong reports whether the rest is to go on without the scope, which was not shown
// for long and is not refused: what waits for both lists would otherwise wait for ever.
func (l *lists) failsLong(scope auditlog.Scope) bool {
	if scope != auditlog.ScopeTenant {
		return false
	}
	other := l.get(scope.Other())
	return l.now().Sub(l.get(scope).since) > tenantPatience && other.failing == nil && !other.succeeded.IsZero()
}

// walked notes what a poll means for the next one. It reports whether there is more to
// read than a poll does.
func (l *lists) walked(w headWalk) (behind bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of[w.scope]
	if w.reached {
		h.fullWalk, h.behind = l.now(), false
		if w.deep {
			h.nextDeep = l.now().Add(window.DeepWalkEvery)
		}
	}
	// It stays so until a walk reaches the end. A poll that met known events on its first page
	// says nothing about the gap below them that an earlier one left.
	h.behind = h.behind || w.behind
	return w.behind
}

// fullWalkDue reports whether the whole lookback of the scope is to be walked, for
// what shows up late: first after a start, and then every 45 s.
func (l *lists) fullWalkDue(scope auditlog.Scope) bool {
	h := l.get(scope)
	return !h.behind && l.now().Sub(h.fullWalk) >= window.FullWalkEvery
}

// swept notes that a sweep that began at a time reached the end of the list, and that all
// of it is committed.
func (l *lists) swept(scope auditlog.Scope, deep bool, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of[scope]
	h.behind, h.fullWalk = false, l.now()
	if deep {
		h.nextDeep = began.Add(window.DeepWalkEvery)
	}
}

// deepDue reports whether it is time to walk the deep past of the scope. A walk whose
// server's clock is behind moves no position, and must not be walked again at once for
// that, without end.
func (l *lists) deepDue(scope auditlog.Scope) bool { return !l.now().Before(l.get(scope).nextDeep) }
