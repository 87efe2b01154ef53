package telemetry

import (
	"fmt"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// State is how an organization is, in one word.
type State string

// The states, the worst first.
const (
	StateNotReading     State = "not_reading"
	StateStandbyUnready State = "standby_unready" // stands by for an instance that is not ready
	StateStarting       State = "starting"
	StateCatchingUp     State = "catching_up"     // reads what was missed while no instance read
	StateReadingHistory State = "reading_history" // reads what a start asked for
	StateStandby        State = "standby"
	StateWhole          State = "whole"
)

var statesByHarm = []State{
	StateNotReading, StateStandbyUnready, StateStarting, StateCatchingUp, StateReadingHistory, StateStandby, StateWhole,
}

// words are a sentence; the page shows its times with more than their text.
type words []word

type word struct {
	Text string
	At   time.Time // zero: the word is no time
	Ago  bool      // the text says how long ago that was
}

func (w words) String() string {
	var b strings.Builder
	for _, part := range w {
		b.WriteString(part.Text)
	}
	return b.String()
}

func plainWord(format string, args ...any) word { return word{Text: fmt.Sprintf(format, args...)} }
func agoWord(now, t time.Time) word             { return word{ago(now, t), t, true} }
func clockWord(now, t time.Time) word           { return word{clockTime(now, t), t, false} }

// summary is how an organization is, in one sentence and what belongs to it.
type summary struct {
	state    State
	sentence words
	detail   words  // what that means
	remedy   string // what to do
	since    time.Time
}

// summary says how the organization is.
func (o *orgState) summary(now time.Time, limit time.Duration) summary {
	p := o.positions
	reason := o.unreadiness(now, limit)
	switch {
	case reason != "":
		return o.unreadySummary(now, reason)
	case !o.leads:
		return o.standbySummary(now)
	case p.BackfillTo.Before(p.BackfillTarget):
		return o.pastSummary(now)
	case p.Behind:
		return summary{state: StateCatchingUp, sentence: words{plainWord("Catching up: %s behind", span(now.Sub(o.oldestHead(now))))},
			detail: words{plainWord("More happens than one look at the head of the log can read. The rest is read in parallel, and nothing is left out.")}}
	}
	return summary{state: StateWhole, sentence: words{plainWord("Whole up to "), agoWord(now, p.LastSuccess)},
		detail: words{plainWord("Every event that OpenAI listed until then is in the topic, once.")}}
}

func (o *orgState) unreadySummary(now time.Time, reason string) summary {
	since := o.unreadySince()
	cause, remedy := splitReason(reason)
	s := summary{state: StateNotReading, remedy: remedy, since: since}
	s.sentence = words{plainWord("Not reading: %s since ", cause), clockWord(now, since)}
	if rest, starts := strings.CutPrefix(reason, "starting: "); starts {
		s.state, s.remedy = StateStarting, ""
		s.sentence = words{plainWord("Starting since "), clockWord(now, since), plainWord(": %s", rest)}
	}
	if newest := o.positions.LastSuccess; !newest.IsZero() {
		s.detail = words{plainWord("Whole up to "), clockWord(now, newest), plainWord(". What came after it is read when this is fixed. OpenAI keeps it until then.")}
	}
	return s
}

// pastSummary is that of history which is not read yet.
func (o *orgState) pastSummary(now time.Time) summary {
	p := o.positions
	reads, known := o.progress[connector.ReadHistory]
	news := words{plainWord("New events do not wait: they are in the topic up to "), agoWord(now, p.LastSuccess), plainWord(".")}
	if p.CatchingUp {
		left := "the time left is not known yet"
		if reads.Left > 0 {
			left = "about " + span(reads.Left) + " left"
		}
		return summary{state: StateCatchingUp, detail: news, sentence: words{plainWord("Catching up: %s behind, %s", span(now.Sub(p.BackfillTo)), left)}}
	}
	percent := 0
	if known {
		percent = int(100 * reads.Share())
	}
	s := summary{state: StateReadingHistory, detail: news, sentence: words{plainWord("Reading history: %d %%, ", percent)}}
	if reads.Left > 0 {
		s.sentence = append(s.sentence, plainWord("until about "), clockWord(now, now.Add(reads.Left)))
	} else {
		s.sentence = append(s.sentence, plainWord("the time left is not known yet"))
	}
	return s
}

// oldestHead is up to when the head of every scope that is read is known.
func (o *orgState) oldestHead(now time.Time) time.Time {
	oldest := now
	for scope, at := range o.positions.Live {
		if o.positions.ScopeStates[scope] == "on" && at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// splitReason takes a reason apart, into the shortest cause and what to do about it.
// Errors are written from the outside in, with the remedy last.
func splitReason(reason string) (cause, remedy string) {
	cause = strings.TrimPrefix(reason, "starting again after: ")
	if at := strings.LastIndex(cause, ": "); at >= 0 {
		cause, remedy = cause[:at], cause[at+2:]
	} else if at := strings.LastIndex(cause, "; "); at >= 0 {
		cause, remedy = cause[:at], cause[at+2:]
	}
	parts := strings.Split(cause, ": ")
	for i := len(parts) - 1; i > 0; i-- {
		// What the other side said, and how often it was asked, are no cause.
		if quoted := strings.HasPrefix(parts[i], `"`); quoted || strings.HasPrefix(parts[i], "after ") {
			continue
		}
		cause = parts[i]
		break
	}
	if strings.HasPrefix(cause, "HTTP ") {
		cause = "OpenAI's API answers " + cause
	}
	return strings.TrimSpace(cause), remedy
}
