package target_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func event(at time.Time) auditlog.Event {
	ev := auditlog.Event{
		ID: "audit_log-1", Type: "login.succeeded", EffectiveAt: auditlog.SecondOf(at), Timed: true,
		Scope: auditlog.ScopeOrganization,
	}
	ev.Raw = fmt.Appendf(nil, `{"id":"audit_log-1","type":"login.succeeded","effective_at":%d}`, at.Unix())
	return ev
}

// A record has the event's time only where every topic it goes to takes that time.
func TestTimestamp(t *testing.T) {
	const unbounded = 1<<63 - 1
	wide := kafka.Topic{Name: "events", TimestampBeforeMaxMs: unbounded, TimestampAfterMaxMs: time.Hour.Milliseconds()}
	day := kafka.Topic{Name: "json", TimestampBeforeMaxMs: (24 * time.Hour).Milliseconds(), TimestampAfterMaxMs: (10 * time.Minute).Milliseconds()}
	for name, test := range map[string]struct {
		json      kafka.Topic
		eventTime bool
		at, want  time.Duration // from now; a want of never is the time of writing
	}{
		"ingest time leaves it to the client":     {at: -time.Hour, want: never},
		"years ago":                               {eventTime: true, at: -3 * 8760 * time.Hour, want: -3 * 8760 * time.Hour},
		"a little ahead":                          {eventTime: true, at: 30 * time.Minute, want: 30 * time.Minute},
		"too far ahead":                           {eventTime: true, at: 2 * time.Hour, want: 0},
		"too far ahead for the copy":              {json: day, eventTime: true, at: 30 * time.Minute, want: 0},
		"older than the copy takes":               {json: day, eventTime: true, at: -25 * time.Hour, want: 0},
		"as old as the copy takes, but not later": {json: day, eventTime: true, at: -24*time.Hour + time.Minute, want: 0},
		"within what both take":                   {json: day, eventTime: true, at: -20 * time.Hour, want: -20 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := target.NewEncoder(target.EncoderConfig{
				Organization: "acme", Topics: target.Found{target.Events: wide, "json": test.json, target.DLQ: {Name: "dlq"}},
				Schema: schemas.Latest(), EventTime: test.eventTime, Now: func() time.Time { return now },
			})
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := e.Encode(event(now.Add(test.at)), now)
			if err != nil {
				t.Fatal(err)
			}
			want := now.Add(test.want)
			if test.want == never {
				want = time.Time{}
			}
			for _, r := range encoded.Records {
				if !r.Timestamp.Equal(want) {
					t.Errorf("the record in %s has %v, want %v", r.Topic, r.Timestamp, want)
				}
			}
		})
	}
}

const never = time.Duration(-1 << 63)

// An event is in all of its topics or, as a dead letter, in none: what is too large
// for the smallest is a dead letter.
func TestAllTopicsOrNone(t *testing.T) {
	e, err := target.NewEncoder(target.EncoderConfig{
		Organization: "acme", Topics: target.Found{
			target.Events: {Name: "events"}, target.DLQ: {Name: "dlq"}, "json": {Name: "json", MaxMessageBytes: 1500}, "ocsf": {Name: "ocsf"},
		},
		Schema: schemas.Latest(), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	small, large := event(now), event(now)
	large.Raw = append(large.Raw[:len(large.Raw)-1], fmt.Sprintf(`,"more":"%01500d"}`, 0)...)
	for name, test := range map[string]struct {
		ev   auditlog.Event
		want []string
	}{
		"small": {small, []string{"events", "json", "ocsf"}},
		"large": {large, []string{"dlq"}},
	} {
		encoded, err := e.Encode(test.ev, now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range encoded.Records {
			got = append(got, r.Topic)
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: in %v, want %v", name, got, test.want)
		}
	}
}
