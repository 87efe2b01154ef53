package ops

import (
	"context"
	"errors"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// checkState looks at the cursor, as a start would.
func (k *checker) checkState(ctx context.Context) {
	if !k.reachable || !k.exists(k.Topics.Offsets) || !k.sights[k.Topics.Offsets].May.Read {
		return
	}
	report, err := Cursor(ctx, k.Config)
	found, stateErr := k.peek(ctx)
	switch {
	case stateErr != nil:
		k.add("cursor", failed(kafka.Explain(stateErr), "it cannot be looked for: %v", stateErr))
		return
	case len(found.records) == 0:
		k.add("cursor", k.firstRun(ctx))
		return
	case err != nil:
		k.add("cursor", unusableState(err))
		return
	case report.StartAnew:
		k.add("cursor", fine("it was reset: the next run starts anew and emits again"))
		return
	}
	if f := k.sameAsWritten(report.Cursor); f.State != OK {
		k.add("cursor", f)
	} else {
		k.add("cursor", fine("floor %v, %d ids remembered, written %s ago", report.Floor, report.SeenIDs, span(time.Duration(report.AgeSeconds)*time.Second)))
	}
	k.add("instance", instanceFinding(report))
}

func instanceFinding(r CursorReport) Finding {
	const atWork = 11 * 60 // a quiet instance writes its cursor every ten minutes
	n := len(r.Openers)
	if n == 0 || r.Openers[n-1].Closed || r.AgeSeconds > atWork {
		return fine("none is at work")
	}
	return fine("%s is at work since %v; another one would take over", r.Openers[n-1].Host, r.Openers[n-1].At)
}

// sameAsWritten looks for what a start would refuse in a good cursor.
func (k *checker) sameAsWritten(c auditlog.Cursor) Finding {
	if k.apiName != "" && c.APIOrganization != "" && k.apiName != c.APIOrganization {
		return failed("give the key of the organization it was, or another ORGANIZATION_NAME; `cursor reset` starts anew with this one",
			"it was written for %s, and the key belongs to %s", c.APIOrganization, k.apiName)
	}
	now := k.Topics.refs(k.topics)
	for _, role := range roles {
		was, before := c.Topics[role]
		is, used := now[role]
		gone := !k.exists(is.Name) && !k.sights[is.Name].Hidden && was.ID != ""
		if before && used && (gone || !was.Same(is)) {
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
	return fine("")
}

// firstRun looks for what a first run would refuse.
func (k *checker) firstRun(ctx context.Context) Finding {
	if !k.exists(k.Topics.Events) || !k.sights[k.Topics.Events].May.Read {
		return fine("none: the next run is the first")
	}
	topic := k.topics[k.Topics.Events]
	holds, err := txlog.Holds(ctx, k.Connection, topic.Name, topic.Partitions, txlog.Header{Key: "ce_source", Value: []byte(k.source())})
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
