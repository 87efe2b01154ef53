package auditlog_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

func at(text string) auditlog.Second {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return auditlog.SecondOf(t)
}

// Every release reads the cursors of all before it: this one was written by
// version 1, and stays as it is.
func TestGoldenCursor(t *testing.T) {
	golden, err := os.ReadFile("testdata/cursor_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	want := auditlog.Cursor{
		Version: 1, Organization: "acme", APIOrganization: "org-Example0001",
		Start: at("2026-03-01T00:00:00Z"), Floor: at("2026-05-31T11:50:00Z"),
		Scopes: map[auditlog.Scope]auditlog.Position{
			auditlog.ScopeOrganization: {
				State: auditlog.StateOn, Live: at("2026-06-01T12:00:00Z"), Deep: at("2026-06-01T11:50:00Z"),
				History: []auditlog.Range{
					{From: at("2026-03-04T00:00:00Z"), To: at("2026-05-31T11:50:00Z")},
					{From: at("2026-05-31T11:50:00Z"), To: at("2026-06-01T00:00:00Z"), HoldsFloor: true},
				},
			},
			auditlog.ScopeTenant: {
				State: auditlog.StateRefused, Since: at("2026-05-30T08:00:00Z"), Frozen: true,
				Live: at("2026-05-30T08:00:00Z"), Deep: at("2026-05-30T07:50:00Z"),
				History: []auditlog.Range{
					{From: at("2026-05-30T07:50:00Z"), To: at("2026-05-30T08:10:00Z"), HoldsFloor: true, Remembered: true},
				},
			},
		},
		Framing: "single-object",
		Topics: map[string]auditlog.Topic{
			"events":  {Name: "openai.audit.events", ID: "l1kBiYe_GtsLMWbRXzJiwA"},
			"dlq":     {Name: "openai.audit.events.dlq", ID: "ke6cgJEcUrbneEV1-t7tTw"},
			"offsets": {Name: "openai.audit.offsets"},
		},
		WrittenAt: at("2026-06-01T12:00:05Z"),
		Openers: []auditlog.Opener{
			{Host: "host-1", At: at("2026-05-01T00:00:00Z"), Closed: true},
			{Host: "host-2", At: at("2026-06-01T09:00:00Z")},
		},
	}
	got, err := auditlog.DecodeCursor(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reading it (-want +got):\n%s", diff)
	}
	written, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	counted, err := auditlog.DecodeCursor(bytes.Replace(golden, []byte(`,"written_at"`), []byte(`,"seen_records":12,"written_at"`), 1))
	if want.SeenRecords = 12; err != nil || !cmp.Equal(want, counted) {
		t.Errorf("with a count it is read as %+v, %v", counted, err)
	}
	if auditlog.CursorVersion == 1 && string(written) != strings.TrimSpace(string(golden)) {
		t.Errorf("writing it:\n got %s\nwant %s", written, golden)
	}
}

// What is not right is refused, and never taken for a missing cursor.
func TestUnreadableCursors(t *testing.T) {
	golden, err := os.ReadFile("testdata/cursor_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, with string) string {
		if !bytes.Contains(golden, []byte(old)) {
			t.Fatalf("the golden cursor does not hold %q", old)
		}
		return strings.Replace(string(golden), old, with, 1)
	}
	for name, test := range map[string]struct {
		value string
		want  error
	}{
		"empty":                         {"", auditlog.ErrUnreadableCursor},
		"not JSON":                      {"x", auditlog.ErrUnreadableCursor},
		"null":                          {"null", auditlog.ErrUnreadableCursor},
		"an empty object":               {"{}", auditlog.ErrUnreadableCursor},
		"two of them":                   {string(golden) + string(golden), auditlog.ErrUnreadableCursor},
		"a newer version":               {changed(`"version":1`, `"version":2`), auditlog.ErrNewerCursor},
		"a newer one with other fields": {`{"version":9,"scopes":[]}`, auditlog.ErrNewerCursor},
		"version 0":                     {changed(`"version":1`, `"version":0`), auditlog.ErrUnreadableCursor},
		"no organization":               {changed(`"organization":"acme"`, `"organization":""`), auditlog.ErrUnreadableCursor},
		"a start after the floor":       {changed(`"start":"2026-03-01`, `"start":"2027-03-01`), auditlog.ErrUnreadableCursor},
		"a time that is none":           {changed(`"floor":"2026-05-31T11:50:00Z"`, `"floor":"yesterday"`), auditlog.ErrUnreadableCursor},
		"a scope is missing":            {changed(`"tenant":{`, `"other":{`), auditlog.ErrUnreadableCursor},
		"an unknown state":              {changed(`"state":"on"`, `"state":"up"`), auditlog.ErrUnreadableCursor},
		"on and frozen":                 {changed(`"state":"on"`, `"state":"on","frozen":true`), auditlog.ErrUnreadableCursor},
		"a range that ends before it begins": {changed(`"to":"2026-05-31T11:50:00Z"`, `"to":"2026-03-03T00:00:00Z"`),
			auditlog.ErrUnreadableCursor},
		"ranges that overlap": {changed(`"from":"2026-05-31T11:50:00Z"`, `"from":"2026-05-31T11:49:00Z"`), auditlog.ErrUnreadableCursor},
		"history above the floor that does not hold it": {changed(`"to":"2026-06-01T00:00:00Z","holds_floor":true`, `"to":"2026-06-01T00:00:00Z"`),
			auditlog.ErrUnreadableCursor},
	} {
		if _, err := auditlog.DecodeCursor([]byte(test.value)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A reset cursor has no positions, and is read all the same.
func TestResetCursor(t *testing.T) {
	c, err := auditlog.DecodeCursor([]byte(`{"version":1,"organization":"acme","start_anew":true}`))
	if err != nil || !c.StartAnew {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	golden, err := os.ReadFile("testdata/cursor_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := auditlog.DecodeCursor(golden)
	if err != nil {
		t.Fatal(err)
	}
	clone := c.Clone()
	clone.Scopes[auditlog.ScopeOrganization].History[0].From = 1
	clone.Scopes[auditlog.ScopeTenant] = auditlog.Position{}
	clone.Topics["events"] = auditlog.Topic{}
	clone.Openers[0].Host = "other"
	again, err := auditlog.DecodeCursor(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, c); diff != "" {
		t.Errorf("changing the clone changed the cursor:\n%s", diff)
	}
}

// Whatever is read can be written, and is the same then.
func FuzzDecodeCursor(f *testing.F) {
	golden, err := os.ReadFile("testdata/cursor_v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"version":1,"organization":"acme","start_anew":true}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := auditlog.DecodeCursor(value)
		if err != nil {
			if !errors.Is(err, auditlog.ErrUnreadableCursor) && !errors.Is(err, auditlog.ErrNewerCursor) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		written, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := auditlog.DecodeCursor(written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		rewritten, err := again.Encode()
		if err != nil || !bytes.Equal(written, rewritten) {
			t.Errorf("%v\n%s\n%s", err, written, rewritten)
		}
	})
}

// A failing scope is stored as a refused one with a mark, since a release that knows no
// such state would call the cursor unreadable, and a rollback to it would be refused.
func TestFailingIsStoredForEveryRelease(t *testing.T) {
	golden, err := os.ReadFile("testdata/cursor_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	failing := strings.Replace(strings.TrimSpace(string(golden)), `"history":[{"from":"2026-05-30T07:50:00Z","to":"2026-05-30T08:10:00Z","holds_floor":true,"remembered":true}]`,
		`"history":[{"from":"2026-05-30T07:50:00Z","to":"2026-05-30T08:10:00Z","holds_floor":true,"remembered":true}],"failing":true`, 1)
	for name, stored := range map[string]string{
		"as it is stored": failing, "as it was stored for a while": strings.Replace(string(golden), `"state":"refused"`, `"state":"failing"`, 1),
	} {
		c, err := auditlog.DecodeCursor([]byte(stored))
		if err != nil || c.Scopes[auditlog.ScopeTenant].State != auditlog.StateFailing {
			t.Fatalf("%s: read as %s, %v", name, c.Scopes[auditlog.ScopeTenant].State, err)
		}
		if written, err := c.Encode(); err != nil || string(written) != failing {
			t.Errorf("%s: written as %s, %v", name, written, err)
		}
	}
}
