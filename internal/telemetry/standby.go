package telemetry

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// quietLeader is for how long an instance at work may write nothing: a quiet log
// writes its cursor every ten minutes.
const quietLeader = 11 * time.Minute

// LeaderStatus is the instance at work as one that stands by sees it, in the topic.
type LeaderStatus struct {
	Host     string    `json:"host"`
	Since    time.Time `json:"since,omitzero"`     // when it opened the log
	LastSign time.Time `json:"last_sign,omitzero"` // when it last wrote there
	Ready    bool      `json:"ready"`              // as far as can be seen
	Reason   string    `json:"reason,omitempty"`
}

// Watched implements connector.Telemetry.
func (t *Telemetry) Watched(name string, l connector.Leader) {
	t.update(name, func(o *orgState) { o.leader = l })
}

// leaderStatus is who works for the organization; nil if this instance does, or it
// is not known.
func (o *orgState) leaderStatus(now time.Time) *LeaderStatus {
	l := o.leader
	if o.leads || l.Host == "" {
		return nil
	}
	s := &LeaderStatus{Host: l.Host, Since: utc(l.Since), LastSign: utc(l.Seen), Reason: l.Reason}
	if s.Reason == "" && now.Sub(l.Seen) > quietLeader {
		s.Reason = "it has written nothing for " + span(now.Sub(l.Seen)) + ", not even that it is alive: see its own status page or log"
	}
	s.Ready = s.Reason == ""
	return s
}

// standbySummary is that of an instance that does not work for the organization.
func (o *orgState) standbySummary(now time.Time) summary {
	l := o.leaderStatus(now)
	if l == nil {
		return summary{state: StateStandby, sentence: words{plainWord("Standing by: which instance works is not known yet")},
			detail: words{plainWord("This instance takes over as soon as the consumer group says so.")}}
	}
	opened := words{plainWord("%s works since ", l.Host), clockWord(now, l.Since), plainWord(" and last wrote "), agoWord(now, l.LastSign), plainWord(".")}
	if l.Ready {
		return summary{state: StateStandby, sentence: words{plainWord("Standing by for %s, which is ready", l.Host)}, detail: opened}
	}
	cause, remedy := splitReason(l.Reason)
	s := summary{state: StateStandbyUnready, detail: opened, remedy: remedy, since: o.leader.UnreadySince}
	s.sentence = words{plainWord("Standing by for %s, which is not ready: %s", l.Host, cause)}
	if !s.since.IsZero() {
		s.sentence = append(s.sentence, plainWord(" since "), clockWord(now, s.since))
	}
	return s
}
