package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Labels come from closed sets, so that no outside hand can make a series: the
// organizations and reasons of Config, and these.
var (
	scopes  = []string{"organization", "tenant"}
	states  = []string{"on", "off", "refused", "failing"} // of a scope
	results = []string{"ok", "unconfirmed", "fenced"}
	// refusals are what a 401 or 403 says is wrong, by which alerts have words of their own.
	refusals = []string{"unauthorized", "forbidden", "refused", "address_refused", "other_host", "country_refused", "barred"}
	// codes are the labels; codeLabel puts every other status code into one of them.
	codes = []string{"200", "400", "401", "403", "404", "429", "500", "502", "503", "504", "2xx", "3xx", "4xx", "5xx", "none"}
)

// codeLabel returns the label of an HTTP status code; 0 means that no answer came.
func codeLabel(code int) string {
	label := strconv.Itoa(code)
	for _, known := range codes {
		if label == known {
			return label
		}
	}
	if code >= 200 && code < 600 {
		return label[:1] + "xx"
	}
	return "none"
}

var (
	// A commit takes milliseconds on a near broker and 30 s at most.
	commitBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	// The API answers in 100 ms to seconds.
	requestBuckets = []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	// From the poll interval to the deep lookback.
	delayBuckets = []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400}
)

// metrics are the collectors of contract §8, without those of Go, the process and
// the Kafka clients.
type metrics struct {
	events, late, skipped, unknown, deadLetters               *prometheus.CounterVec
	commits, requests, refused, rateLimited                   *prometheus.CounterVec
	commitTook, requestTook, delay                            *prometheus.HistogramVec
	newest, success, live, backfill, target, leads            *prometheus.GaugeVec
	skew, deep, offsetsRead, hanging, scopeState              *prometheus.GaugeVec
	verifiedTo, verifiedMissing, verifiedFaults, verifiedLate *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
		reg.MustRegister(h)
		return h
	}
	return &metrics{
		events:          counter("events_total", "Events committed to the topic.", "organization", "scope"),
		late:            counter("late_events_total", "Events found behind the newest one already written.", "organization", "scope"),
		skipped:         counter("duplicates_skipped_total", "Repeats inside a walk or across scopes that were left out.", "organization"),
		unknown:         counter("unknown_event_types_total", "Events of a type not known to this release.", "organization"),
		deadLetters:     counter("dead_letters_total", "Events written to the dead letters.", "organization", "reason"),
		commits:         counter("commits_total", "Transactions ended, by result.", "organization", "result"),
		requests:        counter("api_requests_total", "API requests, by HTTP status code; none if no answer came.", "organization", "code"),
		refused:         counter("api_refused_total", "Answers 401 and 403 of the API, by what they say is wrong.", "organization", "reason"),
		rateLimited:     counter("api_rate_limited_seconds_total", "Time that requests waited for the API's limit.", "organization"),
		commitTook:      histogram("commit_duration_seconds", "Time from the first record of a transaction to its end.", commitBuckets, "organization"),
		requestTook:     histogram("api_request_duration_seconds", "Time an API request took.", requestBuckets, "organization"),
		delay:           histogram("event_delay_seconds", "Commit time less effective_at, of events found at the head.", delayBuckets, "organization"),
		newest:          gauge("newest_event_timestamp_seconds", "effective_at of the newest event committed.", "organization"),
		success:         gauge("last_success_timestamp_seconds", "Time of the last successful sweep of the head.", "organization"),
		live:            gauge("live_position_timestamp_seconds", "Time at which the last complete walk of the head began.", "organization", "scope"),
		deep:            gauge("deep_position_timestamp_seconds", "Time at which the last complete walk of the deep past began.", "organization", "scope"),
		scopeState:      gauge("scope_state", "1 for the state that the scope is in: on, off, refused or failing.", "organization", "scope", "state"),
		backfill:        gauge("backfill_position_timestamp_seconds", "History is read up to this time.", "organization"),
		target:          gauge("backfill_target_timestamp_seconds", "History is wanted up to this time.", "organization"),
		offsetsRead:     gauge("offsets_records_read", "Records that the last start read of the organization's partition of the offsets topic, those overwritten since too.", "organization"),
		skew:            gauge("api_clock_skew_seconds", "The API's clock less this host's.", "organization"),
		hanging:         gauge("hanging_transactions", "Partitions written to in which a transaction hangs: consumers see nothing behind it.", "organization"),
		verifiedTo:      gauge("verified_to_timestamp_seconds", "The end of the time that the last recorded verify compared.", "organization"),
		verifiedMissing: gauge("verified_missing", "Events that the last recorded verify found missing, and did not repair.", "organization"),
		verifiedFaults:  gauge("verified_faults", "All that the last recorded verify found and that should not be: missing, doubled, extra, stalled, unreadable.", "organization"),
		verifiedLate:    gauge("verified_late_seconds", "How long before the last recorded verify the oldest event took effect that it found missing, repaired or not; 0 if none.", "organization"),
		leads:           gauge("leader", "1 if this instance writes for the organization.", "organization"),
	}
}

const prefix = "openai_audit_"

// begin makes every counter and histogram of an organization, so that a rate over
// the first increment is not lost. Times are made once they are known.
func (m *metrics) begin(organization string, reasons []string) {
	for _, scope := range scopes {
		m.events.WithLabelValues(organization, scope)
		m.late.WithLabelValues(organization, scope)
	}
	for _, reason := range reasons {
		m.deadLetters.WithLabelValues(organization, reason)
	}
	for _, result := range results {
		m.commits.WithLabelValues(organization, result)
	}
	for _, code := range codes {
		m.requests.WithLabelValues(organization, code)
	}
	for _, reason := range refusals {
		m.refused.WithLabelValues(organization, reason)
	}
	m.skipped.WithLabelValues(organization)
	m.unknown.WithLabelValues(organization)
	m.rateLimited.WithLabelValues(organization)
	m.commitTook.WithLabelValues(organization)
	m.requestTook.WithLabelValues(organization)
	m.delay.WithLabelValues(organization)
	m.leads.WithLabelValues(organization)
	m.hanging.WithLabelValues(organization)
}

// forget removes what only the instance that writes for the organization knows. An
// instance that lost the lead would otherwise report its last position for ever.
func (m *metrics) forget(organization string) {
	for _, g := range []*prometheus.GaugeVec{m.newest, m.success, m.live, m.deep, m.backfill, m.target, m.skew, m.offsetsRead, m.scopeState,
		m.verifiedTo, m.verifiedMissing, m.verifiedFaults, m.verifiedLate} {
		g.DeletePartialMatch(prometheus.Labels{"organization": organization})
	}
}

// setTime sets a gauge to a time, unless that is not known.
func setTime(g *prometheus.GaugeVec, t time.Time, labels ...string) {
	if !t.IsZero() {
		g.WithLabelValues(labels...).Set(float64(t.UnixMilli()) / 1000)
	}
}

// setScope tells the state of a scope; empty: it is not known.
func (m *metrics) setScope(organization, scope, now string) {
	for _, state := range states {
		value := 0.0
		if state == now {
			value = 1
		}
		if now != "" {
			m.scopeState.WithLabelValues(organization, scope, state).Set(value)
		}
	}
}
