package window

import (
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

// StateError is a stored state that needs a decision before anything goes on from it.
type StateError struct{ Why *remedy.Error }

func (e *StateError) Error() string { return e.Why.Error() }

// Unwrap returns the error with its remedy.
func (e *StateError) Unwrap() error { return e.Why }

func unusable(do, format string, args ...any) error {
	return &StateError{remedy.New(do, format, args...)}
}

const remedyForState = "if a newer version wrote it, run that one; if somebody else did, `cursor reset` starts over and emits again"

// DecodeState takes the records of the offsets topic apart; nil without a cursor,
// which is a first run. What it cannot read, and what is not whole, is a
// *StateError: what is unreadable is not missing. To begin without it, or without some
// of the ids, would double events.
func DecodeState(organization string, records map[string][]byte) (*State, error) {
	state, err := DecodeIncomplete(organization, records)
	if err == nil && state != nil && state.Lost() > 0 {
		return nil, unusable(remedyForLost, "of %d records of seen ids of %s in the offsets topic %d are gone",
			state.Cursor.SeenRecords, organization, state.Lost())
	}
	return state, err
}

const remedyForLost = "somebody deleted them, and what they remembered would be written again; `cursor set --live-from` goes on without them " +
	"from a time after the last write, and `verify --repair` fills what that leaves out"

// DecodeIncomplete is DecodeState for those who can do with less than all of the
// seen ids; State.Lost says how many records of them are gone.
func DecodeIncomplete(organization string, records map[string][]byte) (*State, error) {
	seen := NewSeenIDs()
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
			return nil, unusable(remedyForState, "key %q in the offsets topic: %w", key, err)
		}
		seen.Load(bucket, names)
	}
	value, ok := records[auditlog.CursorKey(organization)]
	if !ok {
		if seen.Len() > 0 {
			return nil, unusable("somebody removed the cursor: `cursor reset` starts over and emits again",
				"the offsets topic holds %d seen ids of %s, and no cursor", seen.Len(), organization)
		}
		return nil, nil
	}
	c, err := auditlog.DecodeCursor(value)
	if err != nil {
		return nil, unusable(remedyForState, "key %q in the offsets topic: %w", auditlog.CursorKey(organization), err)
	}
	if c.Organization != organization {
		return nil, unusable("somebody copied it; `cursor reset` starts over and emits again",
			"the cursor under the key of %s was written for %s", organization, c.Organization)
	}
	return &State{Cursor: c, Seen: seen}, nil
}
