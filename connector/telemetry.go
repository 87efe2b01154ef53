package connector

import "time"

// Telemetry is told what happens. Run calls it from goroutines of its own, several at
// once, also for one organization; before Run is called and after it has returned no
// method is called. The methods must not block, since events wait meanwhile, and must
// not keep or change maps and slices that they are given.
//
// Apart from Written.Latest they get only what may be shown to anybody: no key, no
// address, no e-mail. organization is an Organization's Name, scope "organization" or
// "tenant".
type Telemetry interface {
	// Requested: an API request ended with the HTTP status code; 0 if no answer
	// came.
	Requested(organization string, code int, took time.Duration)
	// Refused: the API answered 401 or 403. reason is "unauthorized", "forbidden",
	// "refused", "address_refused", "other_host", "country_refused" or "barred".
	Refused(organization, reason string)
	// RateLimited: requests waited for the API's limit.
	RateLimited(organization string, waited time.Duration)
	// Committed: a transaction ended. result is "ok", "unconfirmed" or "fenced".
	Committed(organization, result string, took time.Duration)
	// Written: events were committed.
	Written(organization string, events Written)
	// Skipped: duplicates were left out, inside a walk or across scopes.
	Skipped(organization string, duplicates int)
	// Positions: how far an organization is; called after each change.
	Positions(organization string, p Positions)
	// Progressed: a long read of the past began, a part of it was committed, or all
	// of it was. It is over too when the instance does not lead any more.
	Progressed(organization string, p Progress)
	// Ready: the organization is ready, or is not for the reason, which names
	// cause and remedy. reason is empty when ready.
	Ready(organization, reason string)
	// Leading: this instance writes for the organization, or does not.
	Leading(organization string, leads bool)
	// Warned: an operator should act, though the organization may be ready. There
	// is one warning for each subject; the zero Warning takes it back.
	Warned(organization, subject string, w Warning)
	// Hanging: these transactions hang in the topics that the organization writes to;
	// that there are none is reported too.
	Hanging(organization string, transactions []HangingTransaction)
	// Watched: what the topic says of the instance that works for an organization,
	// reported by one that stands by for it.
	Watched(organization string, l Leader)
	// Verified: this is the last result of `verify` that was recorded. It may be
	// reported again.
	Verified(organization string, v Verification)
}

// Verification is a recorded comparison of topic and API.
type Verification struct {
	From, To time.Time // of the events that were compared; To is exclusive
	At       time.Time // when it was done
	By       string    // "verify" or "connector"
	Host     string
	Counts   map[string]int // by the names of the report of `verify`
	Faults   int            // of them, what should not be
	Late     time.Duration  // how long ago the oldest event took effect that was missing, repaired or not; zero: none was
}

// Leader is the instance that works for an organization, as the topic shows it.
type Leader struct {
	Host         string    // empty: not known
	Since        time.Time // when it opened the log
	Seen         time.Time // when it last wrote
	Reason       string    // why it is not ready; empty: it is
	UnreadySince time.Time
}

// HangingTransaction is one that a partition has open and that does not end by
// itself: read_committed consumers of the partition see nothing behind StartOffset.
type HangingTransaction struct {
	Topic           string    `json:"topic"`
	Partition       int32     `json:"partition"`
	ProducerID      int64     `json:"producer_id"`
	Epoch           int16     `json:"epoch"`
	StartOffset     int64     `json:"start_offset"`
	Since           time.Time `json:"since"`                      // its last write
	TransactionalID string    `json:"transactional_id,omitempty"` // whose; empty if not known
}

// Warning is what an operator should act on.
type Warning struct {
	Text   string `json:"text"`   // what is wrong, and what it costs
	Remedy string `json:"remedy"` // what to do
}

// Written is what one commit added to the topics.
type Written struct {
	Scope       string
	History     bool // found where history is read, so not news
	Events      int
	Late        int            // found behind the newest event already written
	Unknown     int            // of a type not known to this release
	DeadLetters map[string]int // by reason
	// Delays are commit time less effective_at of events found at the head.
	Delays []time.Duration
	Newest time.Time // effective_at of the newest; zero if none
	// Latest are the newest events, for the status page, only shown on request.
	Latest []LatestEvent
}

// LatestEvent is one event as the status page may show it. It is personal data.
type LatestEvent struct {
	Time                       time.Time
	ID, Type, Actor, IP, Scope string
}

// Positions says how far an organization is. Zero times are not known yet.
type Positions struct {
	Live           map[string]time.Time // by scope: last complete walk of the head
	Deep           map[string]time.Time // by scope: last complete walk of the deep past; empty if that is off
	LastSuccess    time.Time            // last successful sweep of the head, of each scope that is read; zero until there was one
	BackfillTo     time.Time            // history is read up to here
	BackfillTarget time.Time            // and wanted up to here
	CatchingUp     bool                 // that history is what was missed while nothing ran, and not older
	Behind         bool                 // the head has more new events than a poll reads
	ClockSkew      time.Duration        // the API's clock less ours
	SeenIDs        int
	OffsetsRead    int               // records that the start read of the partition in the offsets topic
	ScopeStates    map[string]string // on, off, refused, failing
}

// ReadKind is a kind of long read of the past.
type ReadKind string

// The kinds of long reads. Two of different kinds may go on at once.
const (
	ReadHistory ReadKind = "history" // what BACKFILL_START_TIME asks for, or what was missed while nothing ran
	ReadDeep    ReadKind = "deep"    // the deep past of a scope, for what shows up late
	ReadHead    ReadKind = "head"    // the lookback of a scope too busy for polls
)

// Progress says how far a long read of the past is.
type Progress struct {
	Read ReadKind
	// What was and is read, of the events' time. From moves to where the events
	// begin: the empty time before them takes no time to read.
	From, Reached, Until time.Time
	Events               int           // written since it began in this process
	Requests             int           // of the organization since then, the polls' too
	Took                 time.Duration // since then
	PerSecond            float64       // events written in a second, of the last two minutes; zero until it is known
	Left                 time.Duration // about, for a log as dense as lately; zero until it is known, and at the end
	Done                 bool          // all of it is committed; reported once
}

// Share is how much of it is read, from 0 to 1.
func (p Progress) Share() float64 {
	if p.Done {
		return 1
	}
	all := p.Until.Sub(p.From)
	return min(1, max(0, p.Reached.Sub(p.From).Seconds()/max(1, all.Seconds())))
}

// NoTelemetry does nothing. Embed it to implement some methods of Telemetry only, and to
// go on compiling when a later release adds one.
type NoTelemetry struct{}

func (NoTelemetry) Requested(string, int, time.Duration)    {}
func (NoTelemetry) Refused(string, string)                  {}
func (NoTelemetry) RateLimited(string, time.Duration)       {}
func (NoTelemetry) Committed(string, string, time.Duration) {}
func (NoTelemetry) Written(string, Written)                 {}
func (NoTelemetry) Skipped(string, int)                     {}
func (NoTelemetry) Positions(string, Positions)             {}
func (NoTelemetry) Progressed(string, Progress)             {}
func (NoTelemetry) Ready(string, string)                    {}
func (NoTelemetry) Leading(string, bool)                    {}
func (NoTelemetry) Warned(string, string, Warning)          {}
func (NoTelemetry) Watched(string, Leader)                  {}
func (NoTelemetry) Verified(string, Verification)           {}
func (NoTelemetry) Hanging(string, []HangingTransaction)    {}
