package connector

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// keepKeys returns which keys of the offsets topic are the organization's. Foreign
// ones are warned of once.
func keepKeys(organization string, log *slog.Logger) func(string) bool {
	var once sync.Once
	cursor, seen := auditlog.CursorKey(organization), "seen/"+organization+"/"
	return func(key string) bool {
		if !strings.HasPrefix(key, "cursor/") && !strings.HasPrefix(key, "seen/") {
			once.Do(func() {
				log.Warn("the offsets topic holds records that are not ours; they are ignored", "key", fmt.Sprintf("%.80q", key))
			})
		}
		return key == cursor || strings.HasPrefix(key, seen)
	}
}

// decodeState takes the records of the state apart; nil without a cursor, which is
// a first run. It refuses whatever it cannot read: what is unreadable is not
// missing, and to begin anew would double events.
func decodeState(organization string, records map[string][]byte) (*window.State, error) {
	memory := window.NewMemory()
	for key, value := range records {
		bucket, ok, err := auditlog.ParseBucketKey(organization, key)
		if !ok {
			continue
		}
		var names []string
		if err == nil {
			names, err = auditlog.DecodeSeen(value)
		}
		if err != nil {
			return nil, refuse(remedyForState, "key %q in the offsets topic: %w", key, err)
		}
		memory.Load(bucket, names)
	}
	value, ok := records[auditlog.CursorKey(organization)]
	if !ok {
		if memory.Len() > 0 {
			return nil, refuse("somebody removed the cursor: `cursor reset` starts anew and emits again",
				"the offsets topic holds %d seen ids of %s, and no cursor", memory.Len(), organization)
		}
		return nil, nil
	}
	c, err := auditlog.DecodeCursor(value)
	if err != nil {
		return nil, refuse(remedyForState, "key %q in the offsets topic: %w", auditlog.CursorKey(organization), err)
	}
	if c.Organization != organization {
		return nil, refuse("somebody copied it; `cursor reset` starts anew and emits again",
			"the cursor under the key of %s was written for %s", organization, c.Organization)
	}
	return &window.State{Cursor: c, Memory: memory}, nil
}

const remedyForState = "if a newer version wrote it, run that one; if somebody else did, `cursor reset` starts anew and emits again"

// takenOver reports whether this host opened the log and another one did so after
// it, lately, and has not left: then two single instances were started by mistake,
// and to fence the other one back would go on for ever under a supervisor. It is
// looked at before anybody is fenced.
func takenOver(c auditlog.Cursor, host string, now auditlog.Second) (by auditlog.Opener, is bool) {
	const lately = 11 * time.Minute // a quiet log writes its cursor every ten
	if now.Sub(c.WrittenAt) > lately {
		return by, false
	}
	ours := func(o auditlog.Opener) bool { return o.Host == host }
	at := slices.IndexFunc(c.Openers, ours)
	if at < 0 {
		return by, false
	}
	last := c.Openers[len(c.Openers)-1]
	return last, last.Host != host && !last.Closed
}

// opened returns the openers with one more.
func opened(openers []auditlog.Opener, host string, now auditlog.Second) []auditlog.Opener {
	openers = append(slices.Clone(openers), auditlog.Opener{Host: host, At: now})
	return openers[max(0, len(openers)-auditlog.OpenerLimit):]
}

// closed returns the openers with the last one gone of its own accord.
func closed(openers []auditlog.Opener) []auditlog.Opener {
	openers = slices.Clone(openers)
	if n := len(openers); n > 0 {
		openers[n-1].Closed = true
	}
	return openers
}
