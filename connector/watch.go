package connector

import (
	"context"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ledger"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// watchEvery is how often a standby looks at what the instance at work wrote.
const watchEvery = 15 * time.Second

// report leaves in the topic, for those that stand by, why this instance is not
// ready, or that it is again. What they cannot read there, they cannot know of it. An
// error ends the session, as that of any commit.
func (s *session) report(ctx context.Context, reason string) error {
	// A reason may have another number in it each time. That is no news.
	if !s.shared || reason == s.reported || reason != "" && s.reported != "" && s.now().Sub(s.reportedAt) < ledger.CursorEvery {
		return nil
	}
	now := s.now()
	if s.reported == "" {
		s.unreadySince = auditlog.SecondOf(now)
	}
	change := txlog.Change{Key: auditlog.ReportKey(s.name)} // without a value: ready
	if reason != "" {
		var err error
		r := auditlog.Report{Host: s.me.host, At: auditlog.SecondOf(now), Since: s.unreadySince, Reason: reason}
		if change.Value, err = r.Encode(); err != nil {
			return err
		}
	}
	// A crash before or inside this leaves the report that was there, which the next
	// opening makes old. The state is not touched.
	out, err := s.ledger.WriteBeside(ctx, change)
	if !out.Sent {
		return nil // told to stop
	}
	s.tellCommit(out, err)
	s.reported, s.reportedAt = reason, now
	return err
}

// watch reports what the topic says about the instances that work for the organizations
// that wait, until ctx ends. It reads committed records and nothing else: no transactional
// id, no fence, no member of the group. So a standby can look as often as it likes, and the
// instance at work does not notice.
func (b *standby) watch(ctx context.Context, partitions int32) {
	followers := map[*organization]*txlog.Follower{}
	defer func() {
		for _, f := range followers {
			f.Close()
		}
	}()
	for {
		for o, waits := range b.all() {
			f := followers[o]
			if !waits {
				if f != nil {
					f.Close()
					delete(followers, o)
				}
				continue
			}
			if f == nil {
				var err error
				if f, err = o.target.Follow(ctx, o.target.Partition(partitions), kafka.LogStart); err != nil {
					continue // the settings are at fault, which others tell
				}
				followers[o] = f
			}
			leader, err := o.lookAt(ctx, f)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				o.log.Debug("the instance at work cannot be seen now", "error", err)
				continue // what was seen last gets older, and that is shown
			}
			o.telemetry.Watched(o.name, leader)
		}
		if wait(ctx, watchEvery) != nil {
			return
		}
	}
}

// lookAt returns who works for the organization, as the topic has it. A cursor or report
// that cannot be read is an error here and is logged only: to judge it is for the one that
// opens the log.
func (o *organization) lookAt(ctx context.Context, f *txlog.Follower) (Leader, error) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	records, err := f.Look(ctx)
	if err != nil {
		return Leader{}, err
	}
	o.tellVerified(records)
	var c auditlog.Cursor
	if value, ok := records[auditlog.CursorKey(o.name)]; ok {
		if c, err = auditlog.DecodeCursor(value); err != nil {
			return Leader{}, err
		}
	}
	var r auditlog.Report
	if value, ok := records[auditlog.ReportKey(o.name)]; ok {
		if r, err = auditlog.DecodeReport(value); err != nil {
			return Leader{}, err
		}
	}
	return leaderOf(c, r), nil
}

// leaderOf is who works for an organization by its cursor and the report beside it;
// the zero Leader if the last one left. A report is of an instance that may not have
// opened yet. One that is older than the last opening is of before it.
func leaderOf(c auditlog.Cursor, r auditlog.Report) Leader {
	var last auditlog.Opener
	if n := len(c.Openers); n > 0 {
		last = c.Openers[n-1]
	}
	reported := r.Reason != "" && r.At >= last.At && (!last.Closed || r.Host != last.Host)
	var l Leader
	switch {
	case !last.Closed && last.Host != "" && (!reported || r.Host == last.Host):
		l = Leader{Host: last.Host, Since: last.At.Time(), Seen: c.WrittenAt.Time()}
	case reported:
		l = Leader{Host: r.Host, Since: r.Since.Time()}
	}
	if reported {
		l.Reason, l.UnreadySince = r.Reason, r.Since.Time()
		if at := r.At.Time(); at.After(l.Seen) {
			l.Seen = at
		}
	}
	return l
}
