package auditlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrUnreadableSeen is the error of a record of seen ids that cannot be read.
// It is never taken for an empty one: that would double events.
var ErrUnreadableSeen = errors.New("a record of seen ids cannot be read")

// Bucket names one record of seen ids: those whose events took effect in one
// minute, in parts where they are many.
type Bucket struct {
	Minute Second // the first second of the minute
	Part   int    // from 0
}

// Key returns the bucket's key in the offsets topic: seen/<organization>/<minute,
// RFC 3339>, and /<part> from the second part on.
func (b Bucket) Key(organization string) string {
	key := seenPrefix(organization) + b.Minute.Time().Format(time.RFC3339)
	if b.Part > 0 {
		key += "/" + strconv.Itoa(b.Part)
	}
	return key
}

// OwnsKey reports whether a key of the offsets topic belongs to the organization's state,
// where its cursor is. The checkpoints of repairs are elsewhere.
func OwnsKey(organization, key string) bool {
	repair, _, checkpoint := CheckpointOf(organization, key)
	return checkpoint && !repair || key == CursorKey(organization) || strings.HasPrefix(key, seenPrefix(organization))
}

func seenPrefix(organization string) string { return "seen/" + organization + "/" }

// ParseBucketKey reads the key of a bucket of the organization. ok is false if
// the key is not of that organization's seen ids at all; the error wraps
// ErrUnreadableSeen.
func ParseBucketKey(organization, key string) (b Bucket, ok bool, err error) {
	rest, ok := strings.CutPrefix(key, seenPrefix(organization))
	if !ok {
		return b, false, nil
	}
	minute, part, hasPart := strings.Cut(rest, "/")
	if err := b.Minute.UnmarshalText([]byte(minute)); err != nil {
		return b, true, fmt.Errorf("%w: key %q: %w", ErrUnreadableSeen, key, err)
	}
	if hasPart {
		if b.Part, err = strconv.Atoi(part); err != nil || b.Part < 1 {
			return b, true, fmt.Errorf("%w: key %q: no part number", ErrUnreadableSeen, key)
		}
	}
	if b.Key(organization) != key {
		return b, true, fmt.Errorf("%w: key %q is not how this release writes it", ErrUnreadableSeen, key)
	}
	return b, true, nil
}

type seenValue struct {
	Version int      `json:"version"`
	IDs     []string `json:"ids"`
}

// EncodeSeen returns the value of a bucket that holds the names (Event.Name).
func EncodeSeen(names []string) ([]byte, error) {
	return json.Marshal(seenValue{Version: CursorVersion, IDs: names})
}

// DecodeSeen reads the value of a bucket. The error wraps ErrUnreadableSeen, or
// ErrNewerCursor for one that a newer version wrote.
func DecodeSeen(value []byte) ([]string, error) {
	var v seenValue
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadableSeen, err)
	}
	if v.Version > CursorVersion {
		return nil, fmt.Errorf("%w: seen ids of version %d", ErrNewerCursor, v.Version)
	}
	if v.Version < 1 || len(v.IDs) == 0 {
		return nil, fmt.Errorf("%w: version %d, %d ids", ErrUnreadableSeen, v.Version, len(v.IDs))
	}
	return v.IDs, nil
}
