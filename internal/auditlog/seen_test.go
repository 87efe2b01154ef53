package auditlog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

func TestBucketKeys(t *testing.T) {
	minute := at("2026-06-01T12:34:00Z")
	for key, want := range map[string]auditlog.Bucket{
		"seen/acme/2026-06-01T12:34:00Z":    {Minute: minute},
		"seen/acme/2026-06-01T12:34:00Z/1":  {Minute: minute, Part: 1},
		"seen/acme/2026-06-01T12:34:00Z/12": {Minute: minute, Part: 12},
	} {
		if got := want.Key("acme"); got != key {
			t.Errorf("the key of %+v is %q, want %q", want, got, key)
		}
		if got, ok, err := auditlog.ParseBucketKey("acme", key); got != want || !ok || err != nil {
			t.Errorf("%q is %+v, %v, %v", key, got, ok, err)
		}
	}
	for _, foreign := range []string{"", "seen/", "seen/acm/2026-06-01T12:34:00Z", "cursor/acme", "seen/acmee/2026-06-01T12:34:00Z"} {
		if _, ok, err := auditlog.ParseBucketKey("acme", foreign); ok || err != nil {
			t.Errorf("%q: %v, %v; want it to be somebody else's", foreign, ok, err)
		}
	}
	for _, broken := range []string{
		"seen/acme/", "seen/acme/yesterday", "seen/acme/2026-06-01T12:34:00Z/", "seen/acme/2026-06-01T12:34:00Z/0",
		"seen/acme/2026-06-01T12:34:00Z/-1", "seen/acme/2026-06-01T12:34:00Z/01", "seen/acme/2026-06-01T12:34:00Z/1/2",
		"seen/acme/2026-06-01T14:34:00+02:00",
	} {
		if _, ok, err := auditlog.ParseBucketKey("acme", broken); !ok || !errors.Is(err, auditlog.ErrUnreadableSeen) {
			t.Errorf("%q: %v, %v; want it to be unreadable", broken, ok, err)
		}
	}
}

func TestSeenValues(t *testing.T) {
	names := []string{"audit_log-1", "sha256:00", "with \"quotes\""}
	value, err := auditlog.EncodeSeen(names)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"version":1,"ids":["audit_log-1","sha256:00","with \"quotes\""]}`; string(value) != want {
		t.Errorf("written as %s, want %s", value, want)
	}
	if got, err := auditlog.DecodeSeen(value); err != nil || !slices.Equal(got, names) {
		t.Errorf("read as %q, %v", got, err)
	}
	for broken, want := range map[string]error{
		"":                            auditlog.ErrUnreadableSeen,
		"[]":                          auditlog.ErrUnreadableSeen,
		`{}`:                          auditlog.ErrUnreadableSeen,
		`{"version":1,"ids":[]}`:      auditlog.ErrUnreadableSeen,
		`{"version":1,"ids":[1]}`:     auditlog.ErrUnreadableSeen,
		`{"version":2,"ids":["a"]}`:   auditlog.ErrNewerCursor,
		`{"version":1,"ids":["a"]}{}`: auditlog.ErrUnreadableSeen,
	} {
		if _, err := auditlog.DecodeSeen([]byte(broken)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", broken, err, want)
		}
	}
}

// Identity is the id, whatever else differs; without one it is the bytes. What is
// remembered leads back to the same identity.
func TestIdentity(t *testing.T) {
	one := auditlog.Event{ID: "a", Scope: auditlog.ScopeOrganization, Raw: []byte("1")}
	same := auditlog.Event{ID: "a", Scope: auditlog.ScopeTenant, Raw: []byte("2"), EffectiveAt: 9, Timed: true}
	if one.Identity() != same.Identity() {
		t.Error("one id is two identities")
	}
	unnamed, other := auditlog.Event{Raw: []byte("1")}, auditlog.Event{Raw: []byte("2")}
	if unnamed.Identity() == other.Identity() {
		t.Error("two events without an id are one identity")
	}
	long := auditlog.Event{ID: strings.Repeat("x", 1<<20)}
	if n := len(long.Name()); n > 100 {
		t.Errorf("a long id is remembered by %d bytes", n)
	}
	longer := auditlog.Event{ID: long.ID + "y"}
	if long.Identity() == longer.Identity() {
		t.Error("two long ids are one identity")
	}
	for _, ev := range []auditlog.Event{one, unnamed, long} {
		if auditlog.IdentityOf(ev.Name()) != ev.Identity() {
			t.Errorf("the name %.20q leads to another identity", ev.Name())
		}
	}
}

func TestSeconds(t *testing.T) {
	for s, minute := range map[auditlog.Second]auditlog.Second{0: 0, 59: 0, 60: 60, 61: 60, -1: -60, -60: -60, -61: -120} {
		if got := s.Minute(); got != minute {
			t.Errorf("the minute of %d is %d, want %d", s, got, minute)
		}
	}
	for _, unusable := range []auditlog.Second{auditlog.MaxSecond + 1, auditlog.MinSecond - 1, 1_759_243_237_000} {
		if _, err := unusable.MarshalText(); unusable.Usable() || err == nil {
			t.Errorf("%d is usable: %v", unusable, err)
		}
	}
	for _, edge := range []auditlog.Second{auditlog.MinSecond, 0, auditlog.MaxSecond} {
		text, err := edge.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back auditlog.Second
		if err := back.UnmarshalText(text); err != nil || back != edge {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
}

// Oldest first, then by id; an event without a time stands by its neighbour.
func TestSortEvents(t *testing.T) {
	events := []auditlog.Event{
		{ID: "c", EffectiveAt: 3, Timed: true},
		{ID: "b", EffectiveAt: 1, Timed: true},
		{ID: "untimed", Neighbour: 2},
		{ID: "a", EffectiveAt: 1, Timed: true},
	}
	auditlog.SortEvents(events)
	var order []string
	for _, ev := range events {
		order = append(order, ev.ID)
	}
	if got := strings.Join(order, " "); got != "a b untimed c" {
		t.Errorf("sorted as %s", got)
	}
}

// A key that is read is exactly how it is written.
func FuzzParseBucketKey(f *testing.F) {
	f.Add("seen/acme/2026-06-01T12:34:00Z/3")
	f.Add("seen/acme/0001-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, key string) {
		b, ok, err := auditlog.ParseBucketKey("acme", key)
		if ok && err == nil && b.Key("acme") != key {
			t.Errorf("%q is read as %+v, which is written %q", key, b, b.Key("acme"))
		}
	})
}

// A value that is read can be written and read again, as the same ids. One that cannot
// be read says why in a way that a start knows.
func FuzzDecodeSeen(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"ids":["audit_log-1","sha256:00"]}`, `{"version":2,"ids":["a"]}`, `{"version":1,"ids":[null]}`,
		`{"version":1,"ids":[""]}`, `{"version":1,"ids":["\ud800"]}`, `{"version":1,"ids":["a"],"ids":["b"]}`, `{"version":1,"ids":[]}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		names, err := auditlog.DecodeSeen(value)
		if err != nil {
			if !errors.Is(err, auditlog.ErrUnreadableSeen) && !errors.Is(err, auditlog.ErrNewerCursor) || len(names) > 0 {
				t.Fatalf("%q, with the error %v", names, err)
			}
			return
		}
		if len(names) == 0 {
			t.Fatal("a record of no ids is read without an error")
		}
		again, err := auditlog.EncodeSeen(names)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auditlog.DecodeSeen(again); err != nil || !slices.Equal(got, names) {
			t.Fatalf("%q is written as %s, which is read as %q, %v", names, again, got, err)
		}
	})
}
