package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// CursorReport is an organization's cursor, as it is stored, and what can be said
// from it.
type CursorReport struct {
	auditlog.Cursor
	Partition int32 `json:"partition"`
	SeenIDs   int   `json:"seen_ids"`
	// AgeSeconds is how long ago it was written. A quiet log writes its cursor every
	// ten minutes.
	AgeSeconds int64 `json:"age_seconds"`
	// HistoryFrom and HistoryTo say what history is left; zero: none.
	HistoryFrom auditlog.Second `json:"history_from,omitzero"`
	HistoryTo   auditlog.Second `json:"history_to,omitzero"`
	// HistorySeconds is how long it will take at the pace of the last minutes; nil
	// if that is not known.
	HistorySeconds *int64 `json:"history_eta_seconds,omitempty"`
	// Verified is the last result of `verify` that was recorded; nil if none was.
	Verified *auditlog.Verified `json:"verified,omitempty"`

	readAt time.Time
}

func (r CursorReport) age() time.Duration { return time.Duration(r.AgeSeconds) * time.Second }

// Cursor reads the organization's cursor. It fences no instance.
func Cursor(ctx context.Context, c Config) (CursorReport, error) {
	found, err := peek(ctx, c.Target)
	if err != nil {
		return CursorReport{}, err
	}
	state, err := stateOf(c, found.records)
	if errors.Is(err, errNoCursor) {
		err = astray(ctx, c.Target, err)
	}
	if err != nil {
		return CursorReport{}, err
	}
	r := CursorReport{Cursor: state.Cursor, Partition: found.partition, SeenIDs: state.Seen.Len(), readAt: c.Clock()}
	r.AgeSeconds = int64(auditlog.SecondOf(r.readAt) - r.WrittenAt)
	r.HistoryFrom, r.HistoryTo = window.HistoryLeft(r.Cursor)
	if left, ok := timeLeft(found.trail, auditlog.SecondOf(r.readAt)); ok {
		r.HistorySeconds = new(int64(left / time.Second))
	}
	if found.verified != nil {
		v, err := auditlog.DecodeVerified(found.verified)
		if err != nil {
			c.Logger.Warn("nothing depends on it, and it is left out", "error", err)
		} else {
			r.Verified = &v
		}
	}
	return r, nil
}

// astray says where the cursor is, if it is in a partition other than its own, and
// returns err if it is nowhere.
func astray(ctx context.Context, t target.Target, err error) error {
	own, topic, placeErr := place(ctx, t)
	if placeErr != nil {
		return err
	}
	at, is, peekErr := t.CursorElsewhere(ctx, int32(len(topic.offsets)), false)
	if peekErr != nil || !is {
		return err
	}
	return fmt.Errorf("the cursor of %s is in partition %d of %s, and belongs in %d now: partitions were added; copy the topic into one with as many as it had, or run `cursor reset`",
		t.Organization, at, t.Topics.Offsets, own)
}

const (
	// paceOver is the time over which the pace of history is measured.
	paceOver = 5 * time.Minute
	// paceLasts is how old a cursor may be and still say how history goes: while it
	// is read, it is written every ten seconds at least.
	paceLasts = time.Minute
)

// timeLeft returns how long the history of the latest cursor will take, by what
// was read of it between the cursors of the last minutes.
func timeLeft(trail []auditlog.Cursor, now auditlog.Second) (time.Duration, bool) {
	if len(trail) == 0 {
		return 0, false
	}
	last := trail[len(trail)-1]
	from, to := window.HistoryLeft(last)
	if to == 0 || now.Sub(last.WrittenAt) > paceLasts {
		return 0, false
	}
	for _, c := range trail { // the oldest one that counts
		began, end := window.HistoryLeft(c)
		took := last.WrittenAt.Sub(c.WrittenAt)
		if took > paceOver || end != to || began >= from || took <= 0 {
			continue
		}
		pace := float64(from-began) / took.Seconds()
		return time.Duration(float64(to-from) / pace * float64(time.Second)), true
	}
	return 0, false
}
