package telemetry

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// Config is what a Telemetry is made of.
type Config struct {
	Version, Commit string
	// Organizations are the names of all that are read.
	Organizations []string
	// DeadLetterReasons are all that there are.
	DeadLetterReasons []string
	// PollInterval is that of the connector: a sweep that succeeded longer than
	// three of them ago means not ready.
	PollInterval time.Duration
	// RequestsPerMinute is the limit the connector keeps to; 0: none is set.
	RequestsPerMinute int
	// ShowEvents shows the latest events on the status page.
	ShowEvents bool
	// OnProgress is told how far an organization's past is read, after each
	// transaction of it, and the zero Progress when this instance stops reading. It
	// may be nil.
	OnProgress func(organization string, p connector.Progress)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Telemetry is told what the connector does, and shows it.
type Telemetry struct {
	cfg      Config
	started  time.Time
	registry *prometheus.Registry
	metrics  *metrics

	mu   sync.Mutex           // guards what follows, never held while anything waits
	orgs map[string]*orgState // has every name of cfg.Organizations
}

var _ connector.Telemetry = (*Telemetry)(nil)

// orgState is what is known of one organization.
type orgState struct {
	name      string
	told      bool   // of being ready, or why not
	reason    string // why not; empty when ready
	leads     bool
	succeeded time.Time // when the last success was told, by our own clock
	positions connector.Positions
	progress  map[connector.ReadKind]connector.Progress // of the long reads; that of history also when it is done
	warned    map[string]connector.Warning              // by subject
	leader    connector.Leader                          // while another instance works
	letters   map[string]int                            // dead letters by reason
	hanging   []connector.HangingTransaction
	verified  connector.Verification // the last that was recorded
	newest    time.Time
	counts    Counts
	latest    []connector.LatestEvent // newest first
	activity
}

// Counts are what was done since the start of the process.
type Counts struct {
	Events            int `json:"events"`
	LateEvents        int `json:"late_events"`
	DuplicatesSkipped int `json:"duplicates_skipped"`
	UnknownTypes      int `json:"unknown_event_types"`
	DeadLetters       int `json:"dead_letters"`
	Commits           int `json:"commits"`
	CommitsFailed     int `json:"commits_failed"`
}

// latestLimit is how many events the status page shows.
const latestLimit = 20

// New returns a Telemetry with a registry of its own.
func New(cfg Config) *Telemetry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Telemetry{cfg: cfg, started: cfg.Now(), registry: prometheus.NewRegistry(), orgs: make(map[string]*orgState)}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.metrics = newMetrics(t.registry)
	t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": cfg.Version, "commit": cfg.Commit},
	}, func() float64 { return 1 }))
	for _, name := range cfg.Organizations {
		t.orgs[name] = &orgState{
			name:     name,
			progress: make(map[connector.ReadKind]connector.Progress), warned: make(map[string]connector.Warning), letters: make(map[string]int),
		}
		t.metrics.begin(name, cfg.DeadLetterReasons)
		t.orgs[name].observe(t.started, t.staleAfter())
		// Computed when it is read, since no call says when a sweep becomes too old.
		t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "ready", Help: "1 if the organization is ready, as /readyz says.",
			ConstLabels: prometheus.Labels{"organization": name},
		}, func() float64 {
			if t.unreadiness(name) == "" {
				return 1
			}
			return 0
		}))
	}
	return t
}

// Registerer takes the metrics of others, such as the Kafka clients.
func (t *Telemetry) Registerer() prometheus.Registerer { return t.registry }

// update changes what is known of an organization. A name that was not in Config
// is a mistake of the caller, and is left out rather than made a label.
func (t *Telemetry) update(name string, change func(*orgState)) {
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if o, ok := t.orgs[name]; ok {
		o.observe(now, t.staleAfter()) // before a success ends an outage that no call reported
		change(o)
		o.observe(now, t.staleAfter())
	}
}

// Requested implements connector.Telemetry.
func (t *Telemetry) Requested(name string, code int, took time.Duration) {
	now := t.cfg.Now()
	t.update(name, func(o *orgState) {
		m := o.minute(now)
		m.requests++
		if code == http.StatusTooManyRequests {
			m.limited++
		}
		t.metrics.requests.WithLabelValues(name, codeLabel(code)).Inc()
		t.metrics.requestTook.WithLabelValues(name).Observe(took.Seconds())
	})
}

// Refused implements connector.Telemetry.
func (t *Telemetry) Refused(name, reason string) {
	if !slices.Contains(refusals, reason) {
		reason = "barred"
	}
	t.update(name, func(*orgState) { t.metrics.refused.WithLabelValues(name, reason).Inc() })
}

// RateLimited implements connector.Telemetry.
func (t *Telemetry) RateLimited(name string, waited time.Duration) {
	t.update(name, func(*orgState) {
		t.metrics.rateLimited.WithLabelValues(name).Add(waited.Seconds())
	})
}

// Committed implements connector.Telemetry.
func (t *Telemetry) Committed(name, result string, took time.Duration) {
	if !slices.Contains(results, result) {
		result = "unconfirmed"
	}
	now := t.cfg.Now()
	t.update(name, func(o *orgState) {
		o.committed(now, result, took)
		if result == "ok" {
			o.counts.Commits++
		} else {
			o.counts.CommitsFailed++
		}
		t.metrics.commits.WithLabelValues(name, result).Inc()
		t.metrics.commitTook.WithLabelValues(name).Observe(took.Seconds())
	})
}

// Written implements connector.Telemetry.
func (t *Telemetry) Written(name string, w connector.Written) {
	now := t.cfg.Now()
	t.update(name, func(o *orgState) {
		o.written(now, w)
		o.counts.Events += w.Events
		o.counts.LateEvents += w.Late
		o.counts.UnknownTypes += w.Unknown
		if slices.Contains(scopes, w.Scope) {
			t.metrics.events.WithLabelValues(name, w.Scope).Add(float64(w.Events))
			t.metrics.late.WithLabelValues(name, w.Scope).Add(float64(w.Late))
		}
		t.metrics.unknown.WithLabelValues(name).Add(float64(w.Unknown))
		for reason, n := range w.DeadLetters {
			o.counts.DeadLetters += n
			o.letters[reason] += n
			if slices.Contains(t.cfg.DeadLetterReasons, reason) {
				t.metrics.deadLetters.WithLabelValues(name, reason).Add(float64(n))
			}
		}
		for _, delay := range w.Delays {
			t.metrics.delay.WithLabelValues(name).Observe(delay.Seconds())
		}
		if w.Newest.After(o.newest) {
			o.newest = w.Newest
			setTime(t.metrics.newest, o.newest, name)
		}
		if t.cfg.ShowEvents { // else they are not even kept
			o.show(w.Latest)
		}
	})
}

func (o *orgState) show(events []connector.LatestEvent) {
	o.latest = append(slices.Clone(events), o.latest...)
	slices.SortStableFunc(o.latest, func(a, b connector.LatestEvent) int { return b.Time.Compare(a.Time) })
	o.latest = o.latest[:min(len(o.latest), latestLimit)]
}

// Skipped implements connector.Telemetry.
func (t *Telemetry) Skipped(name string, duplicates int) {
	t.update(name, func(o *orgState) {
		o.counts.DuplicatesSkipped += duplicates
		t.metrics.skipped.WithLabelValues(name).Add(float64(duplicates))
	})
}

// Positions implements connector.Telemetry.
func (t *Telemetry) Positions(name string, p connector.Positions) {
	now := t.cfg.Now()
	t.update(name, func(o *orgState) {
		if !p.LastSuccess.Equal(o.positions.LastSuccess) {
			o.succeeded = now
		}
		if p.BackfillTarget.IsZero() {
			// No history is left, or there never was any: what was wanted is read.
			p.BackfillTarget = o.positions.BackfillTarget
			p.BackfillTo = p.BackfillTarget
		}
		o.positions = p
		t.metrics.skew.WithLabelValues(name).Set(p.ClockSkew.Seconds())
		t.metrics.offsetsRead.WithLabelValues(name).Set(float64(p.OffsetsRead))
		setTime(t.metrics.success, p.LastSuccess, name)
		setTime(t.metrics.backfill, p.BackfillTo, name)
		setTime(t.metrics.target, p.BackfillTarget, name)
		for _, scope := range scopes {
			t.metrics.setScope(name, scope, p.ScopeStates[scope])
			setTime(t.metrics.live, p.Live[scope], name, scope)
			if p.ScopeStates[scope] == "on" {
				setTime(t.metrics.deep, p.Deep[scope], name, scope)
			} else {
				t.metrics.deep.DeleteLabelValues(name, scope) // it is not read, so it is not late
			}
		}
	})
}

// Progressed implements connector.Telemetry.
func (t *Telemetry) Progressed(name string, p connector.Progress) {
	t.update(name, func(o *orgState) {
		if p.Done && p.Read != connector.ReadHistory {
			delete(o.progress, p.Read) // it comes again, all the time
			return
		}
		o.progress[p.Read] = p
	})
	if t.cfg.OnProgress != nil {
		t.cfg.OnProgress(name, p)
	}
}

// Ready implements connector.Telemetry.
func (t *Telemetry) Ready(name, reason string) {
	t.update(name, func(o *orgState) { o.told, o.reason = true, reason })
}

// Leading implements connector.Telemetry.
func (t *Telemetry) Leading(name string, leads bool) {
	t.update(name, func(o *orgState) {
		o.leads = leads
		value := 0.0
		if leads {
			value = 1
			o.leader = connector.Leader{} // was seen from outside
			setTime(t.metrics.newest, o.newest, name)
		} else {
			t.metrics.forget(name)
			clear(o.progress)
		}
		t.metrics.leads.WithLabelValues(name).Set(value)
	})
	if !leads && t.cfg.OnProgress != nil {
		t.cfg.OnProgress(name, connector.Progress{})
	}
}
