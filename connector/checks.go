package connector

import (
	"context"
	"fmt"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// checkFirstRun makes sure that there is nothing to go on from. To take a lost
// state for a first run would emit everything again, in silence.
func (s *session) checkFirstRun(ctx context.Context) error {
	topic := s.topics[target.Events]
	found, err := txlog.Holds(ctx, s.conn, topic.Name, topic.Partitions, kafka.Header{
		Key: codec.HeaderSource, Value: []byte(codec.Source(s.Name)),
	})
	if err != nil {
		return err
	}
	if found {
		return refuse("if the offsets topic was lost, restore it, or give the connector a new events topic; `cursor reset` says that writing everything again is meant",
			"there is no cursor of %s in %s, and %s holds its events", s.Name, s.cfg.Kafka.OffsetsTopic, topic.Name)
	}
	return nil
}

// checkPartition refuses a first run of an organization whose cursor is in another
// partition than its own. It is looked at before the fence: an instance that began
// with fewer partitions may be at work.
func (o *organization) checkPartition(ctx context.Context, offsets kafka.Topic) error {
	own, key := txlog.Partition(o.Name, offsets.Partitions), auditlog.CursorKey(o.Name)
	isOurs := func(k string) bool { return k == key }
	astray := func(cursors []map[string][]byte) int {
		for p, c := range cursors {
			if len(c) > 0 && p != int(own) {
				return p
			}
		}
		return -1
	}
	cursors, err := txlog.PeekAll(ctx, o.conn, offsets.Name, offsets.Partitions, isOurs)
	if err == nil && astray(cursors) >= 0 {
		// What a `cursor reset` of a moment ago has removed may not be stable yet: the
		// markers of a transaction come after the answer to it.
		cursors, err = txlog.SettledAll(ctx, o.conn, offsets.Name, offsets.Partitions, isOurs)
	}
	if err != nil || astray(cursors) < 0 {
		return err
	}
	return refuse("somebody added partitions: restore their number from before (make the topic anew and copy it), or `cursor reset` starts anew and emits again",
		"the cursor of %s is in partition %d of %s, and belongs into %d now", o.Name, astray(cursors), offsets.Name, own)
}

// checkSame refuses a cursor that speaks of other topics, or of values framed in
// another way: consumers could not read on.
func (o *organization) checkSame(ctx context.Context, c auditlog.Cursor, topics target.Found, values *values) error {
	if err := sameTopics(topics, c); err != nil {
		return err
	}
	if framing := values.framing.Name(); c.Framing != "" && c.Framing != framing {
		return refuse("set SCHEMA_REGISTRY_URL as it was, or give the connector a new events topic and run `cursor set --accept-topics`",
			"the values in %s are framed as %s, and the settings ask for %s", o.cfg.Kafka.Topic, c.Framing, framing)
	}
	if o.cfg.Registry.URL == "" {
		return nil
	}
	moved, err := codec.MovedID(ctx, o.registry(), c.SchemaIDs, values.framing, values.schema)
	if err == nil && moved != 0 {
		err = refuse("restore the registry with the ids it had, or give the connector a new events topic and run `cursor set --accept-topics`",
			"values in %s carry the schema id %d, which the registry does not have for their schema any more: it was restored without its ids, or is another one",
			o.cfg.Kafka.Topic, moved)
	}
	return err
}

// checkOrganization refuses to mix organizations: a cursor of another one than the
// key's, or one that is read under another name already.
func (s *session) checkOrganization(ctx context.Context, apiName string) error {
	if apiName == "" {
		return nil // the API does not say
	}
	if err := s.checkCursors(ctx, apiName); err != nil {
		return refused(err)
	}
	if name := s.claims.claim(apiName, s.Name); name != s.Name {
		return refused(window.ReadAlready(apiName, name))
	}
	return nil
}

// checkPage refuses a page of another organization than the one that is read: the
// key was replaced by one of another's while we run. Nothing of it may be written.
func (s *session) checkPage(page openai.Page) error {
	return refused(window.CheckOrganization(s.Name, s.apiName, page.Organization))
}

// checkCursors compares the API's name with the cursors that are there.
func (s *session) checkCursors(ctx context.Context, apiName string) error {
	if s.known != nil && s.known.Cursor.APIOrganization != "" {
		return window.CheckOrganization(s.Name, s.known.Cursor.APIOrganization, apiName)
	}
	cursors, err := s.cursors(ctx)
	if err != nil {
		return err
	}
	name, err := window.OtherName(s.Name, apiName, cursors)
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
func (s *session) confirmAlone(ctx context.Context, apiName string) error {
	if apiName == "" {
		return nil // the API does not say
	}
	cursors, err := s.settledCursors(ctx)
	if err != nil {
		return err
	}
	name, unreadable := window.OtherName(s.Name, apiName, cursors)
	if name == "" && unreadable == nil {
		return nil
	}
	if err := s.withdraw(ctx); err != nil {
		return err
	}
	if unreadable != nil {
		return refused(unreadable)
	}
	return fmt.Errorf("%s is being opened under the name %s at this moment", apiName, name)
}

// withdraw makes a first run that has written no event undone. What was to start
// anew still is.
func (s *session) withdraw(ctx context.Context) error {
	undone := txlog.Change{Key: auditlog.CursorKey(s.Name)}
	if s.known != nil {
		var err error
		reset := window.Reset(s.Name, s.known.Cursor.Openers, auditlog.SecondOf(s.now()))
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

// settledCursors returns every organization's cursor, by partition, once no
// transaction is open there.
func (s *session) settledCursors(ctx context.Context) ([]map[string][]byte, error) {
	return txlog.SettledAll(ctx, s.conn, s.cfg.Kafka.OffsetsTopic, s.topics[target.Offsets].Partitions, isCursor)
}

func isCursor(key string) bool { return strings.HasPrefix(key, auditlog.CursorKey("")) }

// cursors returns every organization's cursor, by partition. It is asked for on
// first runs only.
func (s *session) cursors(ctx context.Context) ([]map[string][]byte, error) {
	if s.peeked == nil {
		all, err := txlog.PeekAll(ctx, s.conn, s.cfg.Kafka.OffsetsTopic, s.topics[target.Offsets].Partitions,
			isCursor)
		if err != nil {
			return nil, err
		}
		s.peeked = all
	}
	return s.peeked, nil
}
