package telemetry

import (
	"maps"
	"math"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// Status is /api/status. It holds no personal data, whatever is configured.
type Status struct {
	Version       string               `json:"version"`
	Commit        string               `json:"commit"`
	Started       time.Time            `json:"started"`
	Now           time.Time            `json:"now"`
	Ready         bool                 `json:"ready"`
	Organizations []OrganizationStatus `json:"organizations"`
}

// OrganizationStatus is one organization in Status. Times that are not known are
// left out.
type OrganizationStatus struct {
	Name             string                         `json:"name"`
	Ready            bool                           `json:"ready"`
	Reason           string                         `json:"reason,omitempty"`
	State            State                          `json:"state"`
	Sentence         string                         `json:"sentence"`
	Since            time.Time                      `json:"since,omitzero"` // of a state that is not well
	Remedy           string                         `json:"remedy,omitempty"`
	AtWork           *LeaderStatus                  `json:"at_work,omitempty"` // where this instance stands by
	Leader           bool                           `json:"leader"`
	NewestEvent      time.Time                      `json:"newest_event,omitzero"`
	LastSuccess      time.Time                      `json:"last_success,omitzero"`
	BackfillPosition time.Time                      `json:"backfill_position,omitzero"`
	BackfillTarget   time.Time                      `json:"backfill_target,omitzero"`
	History          *ReadStatus                    `json:"history,omitempty"`
	DeepWalk         *ReadStatus                    `json:"deep_walk,omitempty"`
	Scopes           map[string]ScopeStatus         `json:"scopes"`
	SeenIDs          int                            `json:"seen_ids"`
	Hanging          []connector.HangingTransaction `json:"hanging_transactions,omitempty"`
	Verified         *VerifiedStatus                `json:"verified,omitempty"`
	Warnings         []connector.Warning            `json:"warnings,omitempty"`
	Delay            *DelayStatus                   `json:"delay,omitempty"`
	Requests         RequestStatus                  `json:"requests"`
	DeadLetters      map[string]int                 `json:"dead_letters,omitempty"` // since the start, by reason
	Counts           Counts                         `json:"since_start"`
}

// DelayStatus is how long after they took effect the events of the last hour were
// in the topic, of the last thousand that were news.
type DelayStatus struct {
	Events int     `json:"events"`
	P50    float64 `json:"p50_seconds"`
	P99    float64 `json:"p99_seconds"`
}

// RequestStatus is what was asked of the API.
type RequestStatus struct {
	LastMinute  int `json:"last_minute"` // of the clock
	PerMinute   int `json:"limit_per_minute,omitempty"`
	LastHour    int `json:"last_hour"`
	RateLimited int `json:"rate_limited_last_hour"` // answered 429
}

// ScopeStatus is one scope of an organization.
type ScopeStatus struct {
	State        string    `json:"state"`
	LivePosition time.Time `json:"live_position,omitzero"`
	DeepPosition time.Time `json:"deep_position,omitzero"`
}

// ReadStatus is how a long read of the past goes.
type ReadStatus struct {
	From        time.Time `json:"from"` // where its events begin
	Reached     time.Time `json:"reached"`
	Until       time.Time `json:"until"`
	Percent     float64   `json:"percent"`
	Events      int       `json:"events"`   // since it began in this process
	Requests    int       `json:"requests"` // likewise, the polls' too
	Seconds     float64   `json:"seconds"`  // likewise
	PerSecond   float64   `json:"events_per_second"`
	SecondsLeft *int64    `json:"eta_seconds,omitempty"` // about; not there until it is known
	Done        bool      `json:"done"`
}

// read is the status of a long read; nil if there is none.
func (o *orgState) read(kind connector.ReadKind) *ReadStatus {
	p, reads := o.progress[kind]
	if !reads {
		return nil
	}
	s := &ReadStatus{
		From: utc(p.From), Reached: utc(p.Reached), Until: utc(p.Until), Percent: math.Floor(1000*p.Share()) / 10,
		Events: p.Events, Requests: p.Requests, Seconds: oneDigit(p.Took.Seconds()), PerSecond: oneDigit(p.PerSecond), Done: p.Done,
	}
	if left := int64(p.Left.Round(time.Second) / time.Second); p.Done || p.Left > 0 {
		s.SecondsLeft = &left
	}
	return s
}

func oneDigit(x float64) float64 { return math.Round(x*10) / 10 }

// Status returns what is known now.
func (t *Telemetry) Status() Status {
	now := t.cfg.Now()
	s := Status{
		Version: t.cfg.Version, Commit: t.cfg.Commit, Started: t.started.UTC(), Now: now.UTC(), Ready: true,
		Organizations: []OrganizationStatus{},
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range t.cfg.Organizations {
		o := t.organizationStatus(name, now)
		s.Ready = s.Ready && o.Ready
		s.Organizations = append(s.Organizations, o)
	}
	return s
}

// organizationStatus is that of one; t.mu is held.
func (t *Telemetry) organizationStatus(name string, now time.Time) OrganizationStatus {
	o, limit := t.orgs[name], t.staleAfter()
	o.observe(now, limit)
	p, is := o.positions, o.summary(now, limit)
	hour := o.sum(minuteOf(now)-59, minuteOf(now)+1)
	s := OrganizationStatus{
		Name: name, Reason: o.unreadiness(now, limit), Leader: o.leads, NewestEvent: utc(o.newest), LastSuccess: utc(p.LastSuccess),
		State: is.state, Sentence: is.sentence.String(), Since: utc(is.since), Remedy: is.remedy, AtWork: o.leaderStatus(now),
		BackfillPosition: utc(p.BackfillTo), BackfillTarget: utc(p.BackfillTarget),
		Scopes: make(map[string]ScopeStatus), SeenIDs: p.SeenIDs, Counts: o.counts, Delay: o.delayStatus(now), DeadLetters: maps.Clone(o.letters),
		Requests: RequestStatus{
			LastMinute: int(o.sum(minuteOf(now)-1, minuteOf(now)).requests), PerMinute: t.cfg.RequestsPerMinute,
			LastHour: int(hour.requests), RateLimited: int(hour.limited),
		},
	}
	s.Ready = s.Reason == ""
	s.Warnings = o.warnings(now)
	s.Hanging, s.Verified = o.hanging, o.verifiedStatus()
	s.History, s.DeepWalk = o.read(connector.ReadHistory), o.read(connector.ReadDeep)
	for scope := range p.ScopeStates {
		s.Scopes[scope] = ScopeStatus{p.ScopeStates[scope], utc(p.Live[scope]), utc(p.Deep[scope])}
	}
	return s
}

// utc keeps the zero time zero, which UTC alone would not for omitzero's sake.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
