package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// checkState looks at the cursor, as a start would.
func (k *checker) checkState(ctx context.Context) {
	if !k.reachable || !k.exists(target.Offsets) || !k.sights[k.Topics.Offsets].May.Read {
		return
	}
	report, err := Cursor(ctx, k.Config)
	found, stateErr := k.peek(ctx)
	switch {
	case stateErr != nil:
		k.add("cursor", failed(kafka.Explain(stateErr), "it cannot be looked for: %v", stateErr))
		return
	case len(found.records) == 0:
		k.checkOrganization(ctx, "")
		k.add("cursor", k.firstRun(ctx))
		return
	case err != nil:
		k.add("cursor", unusableState(err))
		return
	case report.StartAnew:
		k.checkOrganization(ctx, "")
		k.add("cursor", fine("it was reset: the next run starts anew and emits again"))
		return
	}
	k.checkOrganization(ctx, report.APIOrganization)
	if f := k.sameAsWritten(ctx, report.Cursor); f.State != OK {
		k.add("cursor", f)
	} else {
		k.add("cursor", fine("floor %v, %d ids remembered, written %s ago", report.Floor, report.SeenIDs, span(report.age())))
	}
	k.add("instance", instanceFinding(report))
}

// checkOrganization looks for what a start refuses so as not to mix organizations. was
// is the API's name in the cursor; empty without one.
func (k *checker) checkOrganization(ctx context.Context, was string) {
	if k.apiName == "" {
		return // the API does not say
	}
	err := window.CheckOrganization(k.Organization, was, k.apiName)
	if was == "" {
		err = k.checkName(ctx)
	}
	if err != nil {
		k.add("organization", unusableState(err))
		return
	}
	k.add("organization", fine("the key belongs to %s, which has no other name here", k.apiName))
}

// checkName looks for the organization under another name.
func (k *checker) checkName(ctx context.Context) error {
	partitions := k.topics[target.Offsets].Partitions
	cursors, err := txlog.PeekAll(ctx, k.Connection, k.Topics.Offsets, partitions, func(key string) bool {
		return strings.HasPrefix(key, auditlog.CursorKey(""))
	})
	if err != nil {
		return fmt.Errorf("looking at the cursors of other organizations: %w", err)
	}
	other, err := window.OtherName(k.Organization, k.apiName, cursors)
	if err == nil && other != "" {
		err = window.ReadAlready(k.apiName, other)
	}
	return err
}

// atWork is how old a cursor may be of an instance that is at work: a quiet one writes
// its cursor every ten minutes.
const atWork = 11 * time.Minute

func instanceFinding(r CursorReport) Finding {
	n := len(r.Openers)
	if n == 0 || r.Openers[n-1].Closed || r.age() > atWork {
		return fine("none is at work")
	}
	return fine("%s is at work since %v; another one would take over", r.Openers[n-1].Host, r.Openers[n-1].At)
}

// sameAsWritten looks for what a start would refuse in a good cursor.
func (k *checker) sameAsWritten(ctx context.Context, c auditlog.Cursor) Finding {
	for _, role := range k.Topics.Roles() {
		was, before := c.Topics[role]
		is := auditlog.Topic{Name: k.Topics.Of(role), ID: k.topics[role].ID}
		gone := !k.exists(role) && !k.sights[is.Name].Hidden && was.ID != ""
		if before && (gone || !was.Same(is)) {
			return failed("if it was moved with what it held, run `cursor set --accept-topics`; if what it held is gone, `cursor reset` starts anew and emits again",
				"the %s topic is gone, or another than the one written to so far (%s, id %s)", role, was.Name, was.ID)
		}
	}
	framing := codec.FramingSingleObject
	if k.Registry.URL != "" {
		framing = codec.FramingConfluent
	}
	if c.Framing != "" && c.Framing != framing {
		return failed("set SCHEMA_REGISTRY_URL as it was, or give the connector a new events topic and run `cursor set --accept-topics`",
			"the values in %s are framed as %s, and the settings ask for %s", k.Topics.Events, c.Framing, framing)
	}
	if k.Registry.URL == "" {
		return fine("")
	}
	moved, err := codec.MovedID(ctx, k.Registry, c.SchemaIDs, codec.Framing{}, schemas.Version{})
	if err == nil && moved != 0 { // an error was reported before
		return failed("restore the registry with the ids it had, or give the connector a new events topic and run `cursor set --accept-topics`",
			"values in %s carry the schema id %d, which the registry does not have for their schema any more", k.Topics.Events, moved)
	}
	return fine("")
}

// firstRun looks for what a first run would refuse.
func (k *checker) firstRun(ctx context.Context) Finding {
	if !k.exists(target.Events) || !k.sights[k.Topics.Events].May.Read {
		return fine("none: the next run is the first")
	}
	topic := k.topics[target.Events]
	holds, err := txlog.Holds(ctx, k.Connection, topic.Name, topic.Partitions, kafka.Header{Key: "ce_source", Value: []byte(k.source())})
	switch {
	case err != nil:
		return warning("try again", "there is none, and whether %s holds events already could not be found out: %v", topic.Name, err)
	case holds:
		return failed("restore the offsets topic, or give a new events topic; `cursor reset` says that writing everything again is meant",
			"there is none, and %s holds events of %s: the state was lost", topic.Name, k.Organization)
	}
	return fine("none: the next run is the first")
}

// unusableState is a state that a start would refuse.
func unusableState(err error) Finding {
	if e, ok := errors.AsType[*window.StateError](err); ok {
		return failed(e.Remedy, "%v", e.Err)
	}
	return failed("look at it with `cursor show`", "%v", err)
}
