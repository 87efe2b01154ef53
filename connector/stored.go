package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// keepKeys returns which keys of the offsets topic are the organization's. Foreign
// ones are warned of once. They are no reason to stop: other organizations share the
// partition, and a tool may have left a record of its own.
func keepKeys(t target.Target, log *slog.Logger) func(string) bool {
	var once sync.Once
	prefixes := []string{"cursor/", "seen/", auditlog.ReportPrefix, auditlog.VerifiedPrefix, auditlog.CheckpointPrefix}
	return func(key string) bool {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			once.Do(func() {
				log.Warn("the offsets topic holds records that are not ours; they are ignored", "key", fmt.Sprintf("%.80q", key))
			})
		}
		return t.OwnsKey(key) || key == auditlog.VerifiedKey(t.Organization)
	}
}

// decodeState takes the records of the state apart; nil without a cursor, which is
// a first run. It refuses whatever it cannot read.
func decodeState(organization string, records map[string][]byte) (*window.State, error) {
	state, err := window.DecodeState(organization, records)
	return state, refused(err)
}

// refused turns a refusal of the state, or of the topics, into one that ends the
// organization. Other errors stay as they are, and are tried again: nil too.
func refused(err error) error {
	if e, ok := errors.AsType[*window.StateError](err); ok {
		return &refusal{e.Why}
	}
	if e, ok := errors.AsType[*target.Refusal](err); ok {
		return &refusal{e.Why}
	}
	return err
}

// takenOver reports whether an instance of this place opened the log and another one
// did so after it, lately, and has not left: then two single instances were started by
// mistake, and to fence the other one back would go on for ever under a supervisor. It
// is looked at before any instance is fenced.
//
// The other one may be of this place too. It is known to be at work then, not only not
// to have left: a restart after a crash is no mistake.
func takenOver(c auditlog.Cursor, me opener, now auditlog.Second) (by auditlog.Opener, is bool) {
	const lately = 11 * time.Minute // a quiet log writes its cursor every ten
	// The last opener is the one that would be fenced. If none before it was of this place,
	// this is a new host that replaces the old one, and not one that comes back.
	n := len(c.Openers)
	if n < 2 || now.Sub(c.WrittenAt) > lately || !slices.ContainsFunc(c.Openers[:n-1], me.isPlace) {
		return by, false
	}
	last := c.Openers[n-1]
	return last, !last.Closed && (!me.isPlace(last) || me.isBeside(last))
}

// openedAfter reports whether somebody else opened the log after ours, the openings
// of this process, and has not left. opened says that one of ours is known to have
// been committed; it may have been pushed out of the openers since.
//
// A commit whose answer was lost may be in the topic or not. So ours holds every opening that
// this process may have written: if one of them were taken for another instance's, the only
// instance there is would end.
func openedAfter(openers, ours []auditlog.Opener, opened bool) (by auditlog.Opener, is bool) {
	if len(openers) == 0 {
		return by, false
	}
	last := openers[len(openers)-1]
	mine := func(o auditlog.Opener) bool { return slices.Contains(ours, o) }
	return last, !last.Closed && !mine(last) && (opened || slices.ContainsFunc(openers, mine))
}

// ourLast returns the last of the openers, as read after the fence, if it is one of
// ours. All others of ours are known by then not to be in the topic, or to have been
// followed.
func ourLast(openers, ours []auditlog.Opener) []auditlog.Opener {
	if n := len(openers); n > 0 && slices.Contains(ours, openers[n-1]) {
		return []auditlog.Opener{openers[n-1]}
	}
	return nil
}

// opened returns the openers with one more. A place that opens again and again is
// in it once, so that it does not push the others out of the list, who would then not
// know that they were replaced. It is there twice when one took over from another
// that is at work beside it.
func opened(openers []auditlog.Opener, me opener, now auditlog.Second) []auditlog.Opener {
	openers = slices.Clone(openers)
	if n := len(openers); n > 0 && me.isPlace(openers[n-1]) && (openers[n-1].Closed || !me.isBeside(openers[n-1])) {
		openers = openers[:n-1]
	}
	openers = append(openers, auditlog.Opener{Host: me.host, At: now, Process: me.process})
	return openers[max(0, len(openers)-auditlog.OpenerLimit):]
}

// closed returns the openers, of which the last one says that it stopped by itself.
func closed(openers []auditlog.Opener) []auditlog.Opener {
	openers = slices.Clone(openers)
	if n := len(openers); n > 0 {
		openers[n-1].Closed = true
	}
	return openers
}
