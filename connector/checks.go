package connector

import (
	"context"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// checkFirstRun makes sure that there is nothing to go on from. To take a lost
// state for a first run would emit everything again, and nothing would show it.
func (o *opening) checkFirstRun(ctx context.Context) error {
	s := o.session
	topic := s.topics[target.Events]
	found, err := s.target.HasEvents(ctx, s.sources, topic)
	if err != nil {
		return err
	}
	if found {
		return refuse("if the offsets topic was lost, restore it, or give the connector a new events topic; `cursor reset` says that writing everything again is meant",
			"there is no cursor of %s in %s, and %s holds its events", s.name, s.cfg.Kafka.OffsetsTopic, topic.Name)
	}
	return nil
}

// checkPartition refuses a first run of an organization whose cursor is in a partition
// other than its own. To begin in the new one would be a first run, and emit everything
// again. It is looked at before the fence: an instance that began
// with fewer partitions may be at work.
func (o *organization) checkPartition(ctx context.Context, offsets kafka.Topic) error {
	at, astray, err := o.target.CursorElsewhere(ctx, offsets.Partitions, false)
	if err == nil && astray {
		// What a `cursor reset` of a moment ago has removed may not be stable yet: the
		// markers of a transaction come after the answer to it.
		at, astray, err = o.target.CursorElsewhere(ctx, offsets.Partitions, true)
	}
	if err != nil || !astray {
		return err
	}
	return refuse("somebody added partitions: restore their earlier number (make the topic again and copy it), or `cursor reset` starts over and emits again",
		"the cursor of %s is in partition %d of %s, and belongs in %d now", o.name, at, offsets.Name, o.target.Partition(offsets.Partitions))
}

// checkOrganization refuses to mix organizations: a cursor of an organization other than the
// key's, or one that is read under another name already.
func (o *opening) checkOrganization(ctx context.Context, apiName string) error {
	s := o.session
	if apiName == "" {
		return nil // the API does not say
	}
	if err := o.checkCursors(ctx, apiName); err != nil {
		return refused(err)
	}
	if name := s.claims.claim(apiName, s.name); name != s.name {
		return refused(window.ReadAlready(apiName, name))
	}
	return nil
}

// checkPage refuses a page of an organization other than the one that is read: the key was
// replaced by another organization's while we run. None of it may be written.
func (s *session) checkPage(page openai.Page) error {
	return refused(window.CheckOrganization(s.name, s.apiName, page.Organization))
}

// checkCursors compares the API's name with the cursors that are there.
func (o *opening) checkCursors(ctx context.Context, apiName string) error {
	s := o.session
	if o.known != nil && o.known.Cursor.APIOrganization != "" {
		return window.CheckOrganization(s.name, o.known.Cursor.APIOrganization, apiName)
	}
	cursors, err := o.cursors(ctx)
	if err != nil {
		return err
	}
	name, err := window.OtherName(s.name, apiName, cursors)
	if err == nil && name != "" {
		err = window.ReadAlready(apiName, name)
	}
	return err
}

// confirmAlone looks at the other cursors once more, after ours was committed and
// before any event is read. Two processes that first start one organization under
// two names at the same moment both found nothing before: now at least one of them
// sees the other, and withdraws. If both do, they try again after different waits,
// and the one that comes second is refused.
//
// A crash in here leaves a cursor that is not looked at again.
func (o *opening) confirmAlone(ctx context.Context, apiName string) error {
	s := o.session
	if apiName == "" {
		return nil // the API does not say
	}
	cursors, err := s.target.Cursors(ctx, s.topics[target.Offsets].Partitions, true)
	if err != nil {
		return err
	}
	name, unreadable := window.OtherName(s.name, apiName, cursors)
	if name == "" && unreadable == nil {
		return nil
	}
	if err := o.withdraw(ctx); err != nil {
		return err
	}
	if unreadable != nil {
		return refused(unreadable)
	}
	return fmt.Errorf("%s is being opened under the name %s at this moment", apiName, name)
}

// withdraw undoes a first run that has written no event. A cursor that says "start over"
// says so again. If we crash before it is committed, the cursor stays, and the next start
// goes on from it: see "What is not guaranteed" in docs/design.md.
func (o *opening) withdraw(ctx context.Context) error {
	s := o.session
	undone := txlog.Change{Key: auditlog.CursorKey(s.name)}
	if o.known != nil {
		var err error
		reset := window.Reset(s.name, o.known.Cursor.Openers, auditlog.SecondOf(s.now()))
		reset.Seal = o.known.Cursor.Seal // as after the reset
		if undone.Value, err = reset.Encode(); err != nil {
			return err
		}
	}
	if _, err := s.ledger.WriteBeside(ctx, undone); err != nil {
		return err
	}
	s.opened = false
	return nil
}

// cursors returns every organization's cursor, by partition. It is asked for on
// first runs only.
func (o *opening) cursors(ctx context.Context) ([]map[string][]byte, error) {
	s := o.session
	if o.peeked == nil {
		all, err := s.target.Cursors(ctx, s.topics[target.Offsets].Partitions, false)
		if err != nil {
			return nil, err
		}
		o.peeked = all
	}
	return o.peeked, nil
}
