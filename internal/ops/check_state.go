package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// checkState looks at the cursor, as a start would.
func (k *checker) checkState(ctx context.Context) {
	if !k.reachable || !k.exists(target.Offsets) || !k.sights[k.cfg.Topics.Offsets].May.Read {
		return
	}
	report, err := Cursor(ctx, k.cfg)
	found, stateErr := peek(ctx, k.cfg.Target)
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
		k.add("cursor", fine("it was reset: the next run starts over and emits again"))
		return
	}
	k.checkOrganization(ctx, report.APIOrganization)
	if f := k.sameAsWritten(ctx, report.Cursor); f.State != OK {
		k.add("cursor", f)
	} else {
		k.add("cursor", fine("floor %v, %d ids remembered, written %s ago", report.Floor, report.SeenIDs, span(report.age())))
	}
	if v := k.cfg.KeepFormat(k.cfg.Expected(), &report.Cursor); v.Waits() != 0 {
		k.add("schema", warning(fmt.Sprintf("set SCHEMA_VERSION=%d once every reader of the topic knows it", v.Waits()),
			"a newer version of the schema waits: version %d is written, and this release has version %d", v.Schema.Number, v.Waits()))
	}
	k.add("instance", instanceFinding(report))
}

// checkOrganization looks for what a start refuses so as not to mix organizations. was
// is the API's name in the cursor; empty without one.
func (k *checker) checkOrganization(ctx context.Context, was string) {
	if k.apiName == "" {
		return // the API does not say
	}
	err := window.CheckOrganization(k.cfg.Organization, was, k.apiName)
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
	cursors, err := k.cfg.Cursors(ctx, partitions, false)
	if err != nil {
		return fmt.Errorf("looking at the cursors of other organizations: %w", err)
	}
	other, err := window.OtherName(k.cfg.Organization, k.apiName, cursors)
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
	found := target.Found{}
	for _, role := range k.cfg.Topics.Roles() {
		name := k.cfg.Topics.Of(role)
		found[role] = kafka.Topic{Name: name, ID: k.topics[role].ID}
		if was := c.Topics[role]; was.ID != "" && !k.exists(role) && !k.sights[name].Hidden {
			return failed("if it was moved with what it held, run `cursor set --accept-topics`; if what it held is gone, `cursor reset` starts over and emits again",
				"the %s topic that was written to so far is gone (%s, id %s)", role, was.Name, was.ID)
		}
	}
	err := k.cfg.CheckSame(ctx, c, found, k.cfg.Expected())
	if e, ok := errors.AsType[*target.Refusal](err); ok {
		return failed(e.Why.Do, "%v", e.Why.Cause)
	}
	return fine("") // that the registry cannot be asked was reported before
}

// firstRun looks for what a first run would refuse.
func (k *checker) firstRun(ctx context.Context) Finding {
	if !k.exists(target.Events) || !k.sights[k.cfg.Topics.Events].May.Read {
		return fine("none: the next run is the first")
	}
	topic := k.topics[target.Events]
	holds, err := k.cfg.HasEvents(ctx, k.run.Sources, topic)
	switch {
	case err != nil:
		return warning("try again", "there is none, and whether %s holds events already could not be found out: %v", topic.Name, err)
	case holds:
		return failed("restore the offsets topic, or give a new events topic; `cursor reset` says that writing everything again is meant",
			"there is none, and %s holds events of %s: the state was lost", topic.Name, k.cfg.Organization)
	}
	return fine("none: the next run is the first")
}

// unusableState is a state that a start would refuse.
func unusableState(err error) Finding {
	if e, ok := errors.AsType[*window.StateError](err); ok {
		return failed(e.Why.Do, "%v", e.Why.Cause)
	}
	return failed("look at it with `cursor show`", "%v", err)
}
