package ops

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// SkipTo returns the edit that goes on from a time, without reading what is
// before it and is not read yet.
func SkipTo(ctx context.Context, c Config, to auditlog.Second) (*Edit, error) {
	server := serverNow(ctx, c)
	return newEdit(ctx, c, func(records map[string][]byte, now auditlog.Second) ([]string, []txlog.Change, error) {
		state, err := stateBy(c, window.DecodeIncomplete, records)
		if err != nil {
			return nil, nil, err
		}
		at := to
		if at <= now {
			// By the API's clock it may be earlier, and positions in its
			// future would skip what comes until then.
			at = min(at, server)
		}
		step, err := state.SkipTo(at, now)
		if err != nil {
			return nil, nil, err
		}
		step.Cursor.WrittenAt = now
		written, err := cursorChange(step.Cursor)
		changes := []txlog.Change{written}
		for _, bucket := range step.Forget {
			changes = append(changes, txlog.Change{Key: bucket.Key(c.Organization)})
		}
		return skips(state.Cursor, at, len(step.Forget)), changes, err
	})
}

// serverNow returns now by the earlier of our clock and the API's. Without an
// answer ours counts alone.
func serverNow(ctx context.Context, c Config) auditlog.Second {
	now := auditlog.SecondOf(c.Clock())
	if c.API.Key == nil {
		return now
	}
	api, err := client(c, 0)
	if err == nil {
		page, asked := api.Newest(ctx, auditlog.ScopeOrganization, 1)
		if err = asked; err == nil {
			return min(now, page.Began)
		}
	}
	c.Logger.Warn("the API does not say what time it is, so only this host's clock counts", "error", err)
	return now
}

func skips(was auditlog.Cursor, to auditlog.Second, minutes int) []string {
	does := []string{fmt.Sprintf("%s goes on from %v.", was.Organization, to)}
	for _, scope := range auditlog.Scopes() {
		pos := was.Scopes[scope]
		if pos.Live < to {
			does = append(does, fmt.Sprintf("%s events from %v on that are not written yet are not read.", scope, max(pos.Live, was.Start)))
		}
		for _, r := range pos.History {
			if r.From < to {
				does = append(does, fmt.Sprintf("%s events of history from %v to %v are not read.", scope, r.From, min(r.To, to)))
			}
		}
	}
	again := "Nothing is written again."
	if minutes > 0 {
		does = append(does, fmt.Sprintf("The ids written in %d minutes before are forgotten.", minutes))
		again = fmt.Sprintf("Nothing is written again, but an event of these minutes to which the API gives a time from %v on.", to)
	}
	return append(does,
		again,
		fmt.Sprintf("What is skipped shows in `verify --from %v --to %v`, and `verify --repair` fills it.", was.Start, to))
}

// AcceptTopics returns the edit that takes the topics as they are now for those
// that were written to so far.
func AcceptTopics(ctx context.Context, c Config) (*Edit, error) {
	found, err := c.Describe(ctx, c.Topics.Roles()...)
	if err != nil {
		return nil, err
	}
	now := found.Refs()
	framing := c.Expected().Framing.Name()
	return newEdit(ctx, c, func(records map[string][]byte, at auditlog.Second) ([]string, []txlog.Change, error) {
		state, err := stateOf(c, records)
		if err != nil {
			return nil, nil, err
		}
		cursor := state.Cursor.Clone()
		if cursor.StartAnew {
			return nil, nil, fmt.Errorf("the cursor was reset: the next run takes the topics as they are")
		}
		does, moved := accepts(cursor.Topics, now)
		same := cursor.Framing == "" || cursor.Framing == framing
		switch {
		case !same && !moved[target.Events]:
			return nil, nil, fmt.Errorf("the values in %s are framed as %s, and the settings ask for %s: set SCHEMA_REGISTRY_URL as it was, or give a new events topic", c.Topics.Events, cursor.Framing, framing)
		case !same:
			does = append(does, fmt.Sprintf("Values are framed as %s from now on, and not as %s.", framing, cursor.Framing))
		case len(moved) == 0:
			return nil, nil, fmt.Errorf("the topics are those that were written to so far: there is nothing to accept; start the connector as it is")
		}
		cursor.Topics, cursor.Framing, cursor.WrittenAt = now, framing, at
		if moved[target.Events] {
			cursor.SchemaIDs = nil // the next start adds what values of the new one carry
		}
		if moved[target.Events] || moved[target.DLQ] {
			cursor.Seal = nil // it is of other topics; the next start begins one
		}
		written, err := cursorChange(cursor)
		outlook := "Nothing is written again: the new topics get what is written from now on."
		if !same || slices.ContainsFunc(slices.Collect(maps.Keys(moved)), target.Filled) {
			outlook = "Nothing is written again; what the new topics lack shows in `verify`, and `verify --repair` fills it."
		}
		return append(does, outlook), []txlog.Change{written}, err
	})
}

// accepts says which topics are not those that were written to.
func accepts(was, is map[string]auditlog.Topic) (does []string, moved map[string]bool) {
	moved = map[string]bool{}
	for _, role := range target.Roles() {
		before, known := was[role]
		now, wanted := is[role]
		if known && wanted && !before.Same(now) {
			moved[role] = true
			does = append(does, fmt.Sprintf("The %s topic is %s (id %s), and was %s (id %s).",
				role, now.Name, cmp.Or(now.ID, "unknown"), before.Name, cmp.Or(before.ID, "unknown")))
		}
	}
	return does, moved
}

// Reset returns the edit after which the organization starts over. It works on
// states that cannot be read, and on one that is lost.
func Reset(ctx context.Context, c Config) (*Edit, error) {
	edit, err := newEdit(ctx, c, func(records map[string][]byte, now auditlog.Second) ([]string, []txlog.Change, error) {
		return reset(c.Target, records, now)
	})
	if err != nil {
		return nil, err
	}
	edit.emitsAgain = true
	// A cursor that is where it does not belong, since partitions were added,
	// would be refused for ever.
	_, topic, err := place(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	for partition, offsets := range topic.offsets {
		found, err := peekAt(ctx, c.Target, int32(partition), offsets)
		if err != nil {
			return nil, err
		}
		if int32(partition) != edit.partition && len(found.records) > 0 {
			edit.Unknown = false
			edit.elsewhere = append(edit.elsewhere, int32(partition))
			edit.Does = append(edit.Does, fmt.Sprintf("%d records of it in partition %d, where they do not belong, are removed.", len(found.records), partition))
		}
	}
	return edit, nil
}

func reset(t target.Target, records map[string][]byte, now auditlog.Second) ([]string, []txlog.Change, error) {
	does := []string{fmt.Sprintf("%s starts over: the next run emits again what BACKFILL_START_TIME asks for, also what is in %s already.", t.Organization, t.Topics.Events)}
	var openers []auditlog.Opener
	var sealed *auditlog.Seal
	switch was, err := auditlog.DecodeCursor(records[auditlog.CursorKey(t.Organization)]); {
	case err == nil && was.StartAnew:
		sealed = was.Seal
		does = append(does, "It was reset before, and was not run since.")
	case err == nil:
		openers, sealed = was.Openers, was.Seal
		does = append(does, fmt.Sprintf("Its cursor (start %v, floor %v) is dropped.", was.Start, was.Floor))
	case len(records) == 0:
		does = append(does, "There is no state of it now.")
	default:
		does = append(does, "Its cursor is missing or cannot be read: "+err.Error()+".")
	}
	_, changes, _ := removed(records, now)
	changes = slices.DeleteFunc(changes, func(c txlog.Change) bool { return !strings.HasPrefix(c.Key, "seen/") })
	empty := window.Reset(t.Organization, openers, now)
	empty.Seal = sealed // what was sealed is still in the topics, and can still be checked
	written, err := cursorChange(empty)
	return append(does, fmt.Sprintf("%d records of written ids are removed.", len(changes))), append(changes, written), err
}
