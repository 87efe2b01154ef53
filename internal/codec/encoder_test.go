package codec_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// TestHeaders is written by hand from the contract: names, values and order.
func TestHeaders(t *testing.T) {
	encoder := newEncoder(t, codec.Config{Headers: []kafka.Header{{Key: "splunk.header.index", Value: []byte("audit")}, {Key: "env", Value: []byte("")}}})
	message := encode(t, encoder, eventOf(t, readTestdata(t, "invite.deleted.json")))
	want := []string{
		"ce_specversion=1.0",
		"ce_id=audit_log-Ex0000000000000000000001",
		"ce_type=com.openai.audit.invite.deleted",
		"ce_source=/openai/organizations/acme",
		"ce_time=2025-09-30T14:40:37Z",
		"ce_subject=invite-Example0000000000001",
		"ce_dataschema=urn:avro:crc64:5d6629bb2191bf3e",
		"content-type=application/avro",
		"splunk.header.index=audit",
		"env=",
	}
	if diff := cmp.Diff(want, headers(message)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(message.Key); got != "audit_log-Ex0000000000000000000001" {
		t.Errorf("key %q", got)
	}
}

func TestJSON(t *testing.T) {
	encoder := newEncoder(t, codec.Config{Copies: copyNamed(t, "json"), Headers: []kafka.Header{{Key: "content-type", Value: []byte("mine")}, {Key: "ce_dataschema", Value: []byte("mine")}}})
	ev := eventOf(t, readTestdata(t, "login.succeeded.json"))
	message := aCopy(t, encoder, ev)
	want := []string{
		"ce_specversion=1.0",
		"ce_id=audit_log-25bf005e-f060-10c3-a3cc-e4f43e6479af",
		"ce_type=com.openai.audit.login.succeeded",
		"ce_source=/openai/organizations/acme",
		"ce_time=2025-07-21T09:11:56Z",
		"content-type=application/json",
		"content-type=mine",
		"ce_dataschema=mine",
	}
	if diff := cmp.Diff(want, headers(message)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if string(message.Key) != ev.ID || string(message.Value) != string(ev.Raw) {
		t.Errorf("key %q, value %q", message.Key, message.Value)
	}
}

// TestOCSF: what is in the event is tested in package ocsf.
func TestOCSF(t *testing.T) {
	ev := eventOf(t, readTestdata(t, "invite.deleted.json"))
	form := copyNamed(t, "ocsf")
	whole := aCopy(t, newEncoder(t, codec.Config{Copies: form}), ev)
	if diff := cmp.Diff(headers(aCopy(t, newEncoder(t, codec.Config{Copies: copyNamed(t, "json")}), ev)), headers(whole)); diff != "" || string(whole.Key) != ev.ID {
		t.Errorf("key %q, headers (-JSON +OCSF):\n%s", whole.Key, diff)
	}
	if text := string(whole.Value); !strings.Contains(text, `"raw_data"`) || !strings.Contains(text, `"type_uid":300404`) {
		t.Errorf("value %s", text)
	}
	brief := aCopy(t, newEncoder(t, codec.Config{Copies: form, MaxBytes: whole.Size() - 1}), ev)
	if !strings.Contains(string(brief.Value), `"is_truncated":true`) || brief.Size() >= whole.Size() {
		t.Errorf("too large: value %s", brief.Value)
	}
	encode(t, newEncoder(t, codec.Config{MaxBytes: brief.Size() - 1}), ev) // without the copy, it fits
	_, _, err := newEncoder(t, codec.Config{Copies: form, MaxBytes: brief.Size() - 1}).Encode(ev, ingestedAt)
	if u, ok := errors.AsType[*codec.Undeliverable](err); !ok || u.Reason != codec.ReasonTooLarge {
		t.Errorf("much too large: %v", err)
	}
}

// TestHeadersHoldNoPersonalData: headers are logged and shown without care.
func TestHeadersHoldNoPersonalData(t *testing.T) {
	encoder := newEncoder(t, codec.Config{})
	subject := func(target string) string {
		ev := eventOf(t, []byte(`{"id":"a","type":"x.y","effective_at":1,"x.y":{"id":"`+target+`"}}`))
		return header(encode(t, encoder, ev), "ce_subject")
	}
	for _, kept := range []string{
		"user-Example00000000000001", "key_abc", "proj_1", "urn:thing:1", "v1.2.3", "f.a.c.e", "ws-1__connector-1", "öäü 日本",
		"role_assignment_role-api-organization-owner__api-organization__org-1_user-1", strings.Repeat("x", 256),
	} {
		if got := subject(kept); got != kept {
			t.Errorf("target %q: ce_subject %q", kept, got)
		}
	}
	for _, personal := range []string{
		"alice@example.com", "user-alice@example.com", "Alice Smith@example.com", "alice%40example.com", "@",
		"203.0.113.10", "203.0.113.0/24", "ip-203.0.113.10-x", "203.0.113.10:443", "2001:db8::1", "2001:DB8::1/64", "[2001:db8::1]:443", "::ffff:203.0.113.10", "net 2001:db8::1 x",
		`a\u0000b`, `a\nb`, `\u007f`, `\u0085`, `\ufffe`, `\ud800`, strings.Repeat("x", 257), "",
	} {
		if got := subject(personal); got != "" {
			t.Errorf("target %q: ce_subject %q", personal, got)
		}
	}
	ceType := func(eventType string) string {
		return header(encode(t, encoder, auditlog.Event{ID: "a", Type: eventType, Timed: true, Raw: []byte(`{}`)}), "ce_type")
	}
	for eventType, want := range map[string]string{
		"login.failed": "login.failed", "brand.new_type.v2-x": "brand.new_type.v2-x", "": "", "a b": "a b", "Anmeldung.geprüft": "Anmeldung.geprüft",
		"a/b;c=d": "a/b;c=d", "a\x00b\nc": "a\uFFFDb\uFFFDc", strings.Repeat("x", 4096): strings.Repeat("x", 4096),
		"alice@example.com": "unknown", "seen.203.0.113.10": "unknown", strings.Repeat("x", 4097): "unknown",
	} {
		if got := ceType(eventType); got != "com.openai.audit."+want {
			t.Errorf("type %q: ce_type %q", eventType, got)
		}
	}
}

// TestOddText: half of a surrogate pair and a NUL are U+FFFD in every column, and
// raw_event has the event as it was sent. The key has the id as it was sent: two
// events with different ids stay two.
func TestOddText(t *testing.T) {
	const raw = `{"id":"a\u0000b","type":"odd\u0000type","effective_at":1,"project":{"id":"p\u0000","name":"\u0000P"},
		"actor":{"type":"\u0000","session":{"user":{"id":"u\u0000","email":"\u0000e"},"ip_address":"1\u0000","user_agent":"\ud800\u0000"}},
		"odd\u0000type":{"id":"t\u0000","scopes":["\u0000"],"changes_requested":{"k\u0000":1}}}`
	message := encode(t, newEncoder(t, codec.Config{}), eventOf(t, []byte(raw)))
	record := decode(t, message.Value)
	for column, text := range columns(t, record) {
		if strings.Contains(text, "\x00") {
			t.Errorf("%s is %q", column, text)
		}
	}
	if string(message.Key) != "a\x00b" || record.RawEvent != raw || codec.IDOf(message.Key, record) != "a\x00b" || codec.IDOf([]byte("x"), record) != "a\uFFFDb" {
		t.Errorf("key %q, raw_event %q", message.Key, record.RawEvent)
	}
	got := []string{record.ID, record.Type, *record.ProjectID, *record.ProjectName, *record.ActorType, *record.ActorEmail, *record.SourceIP, *record.UserAgent, *record.TargetID, record.Scopes[0], record.ChangedFields[0]}
	want := []string{"a\uFFFDb", "odd\uFFFDtype", "p\uFFFD", "\uFFFDP", "\uFFFD", "\uFFFDe", "1\uFFFD", "\uFFFD\uFFFD", "t\uFFFD", "\uFFFD", "k\uFFFD"}
	if !slices.Equal(got, want) {
		t.Errorf("columns %q\nwant    %q", got, want)
	}
	// The reader of pages gives no type that is not Unicode text; the column has one.
	ev := auditlog.Event{ID: "a", EffectiveAt: 1, Timed: true, Raw: []byte(`{"type":"x\ud800","x\ud800":{"id":"t"}}`)}
	record = decode(t, encode(t, newEncoder(t, codec.Config{}), ev).Value)
	if record.Type != "x\uFFFD" || *record.TargetID != "t" {
		t.Errorf("type %q, target id %v", record.Type, record.TargetID)
	}
}

func TestInfo(t *testing.T) {
	encoder := newEncoder(t, codec.Config{})
	var got []codec.Info
	for _, ev := range pageOf(t, "page.json") {
		_, info, err := encoder.Encode(ev, ingestedAt)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info)
	}
	want := []codec.Info{
		{Type: "service_account.created", KnownType: true, Actor: "sa-Example000000000000001"},
		{Type: "api_key.updated", KnownType: true, Actor: "alice@example.com", IP: "203.0.113.10"},
		{Type: "login.failed", KnownType: true, Actor: "bob@example.com", IP: "198.51.100.7"},
		{Type: "role.assignment.created", KnownType: true, Actor: "alice@example.com"},
		{Type: "example.unknown.type"},
		{Type: "login.succeeded", KnownType: true, Actor: "alice@example.com", IP: "2001:db8::1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFraming is written by hand from the specifications of the two framings.
func TestFraming(t *testing.T) {
	ev := eventOf(t, []byte(`{"id":"a","type":"x.y","effective_at":1}`))
	for name, test := range map[string]struct {
		framing codec.Framing
		want    string
		name    string
	}{
		"zero value":    {codec.Framing{}, "c3013ebf9121bb29665d", "single-object"},
		"single object": {codec.SingleObject(), "c3013ebf9121bb29665d", "single-object"},
		"confluent":     {codec.Confluent(0x01020304), "0001020304", "confluent"},
	} {
		t.Run(name, func(t *testing.T) {
			value := encode(t, newEncoder(t, codec.Config{Framing: test.framing}), ev).Value
			if got := hex.EncodeToString(value[:len(test.want)/2]); got != test.want || test.framing.Name() != test.name {
				t.Errorf("%s: value begins with %s, want %s", test.framing.Name(), got, test.want)
			}
			// The body begins with the id: length 1 as zigzag, then the letter.
			if body := value[len(test.want)/2:]; body[0] != 2 || body[1] != 'a' {
				t.Errorf("body begins with %x", body[:2])
			}
		})
	}
	if codec.Confluent(1) == codec.Confluent(2) || codec.SingleObject() != (codec.Framing{}) {
		t.Error("framings cannot be compared")
	}
}

// TestPoisonRecord: an event that cannot be a record says why, by a name of the
// closed set, and not one word of it.
func TestPoisonRecord(t *testing.T) {
	encoder := newEncoder(t, codec.Config{MaxBytes: 4000})
	event := func(raw string) auditlog.Event {
		return auditlog.Event{ID: "a", Type: "x.y", EffectiveAt: 1, Timed: true, Raw: []byte(raw)}
	}
	noID, noTime := event(`{"secret":1}`), event(`{"secret":1}`)
	noID.ID, noTime.Timed = "", false
	for name, test := range map[string]struct {
		ev   auditlog.Event
		want codec.Reason
	}{
		"invalid UTF-8 in a value": {event("{\"secret\":\"\xff\"}"), codec.ReasonInvalidUTF8},
		"invalid UTF-8 in a name":  {event("{\"\xc3\x28\":1}"), codec.ReasonInvalidUTF8},
		"surrogate as UTF-8":       {event("{\"secret\":\"\xed\xa0\x80\"}"), codec.ReasonInvalidUTF8},
		"overlong":                 {event("{\"secret\":\"\xc0\xaf\"}"), codec.ReasonInvalidUTF8},
		"text":                     {event(`"secret"`), codec.ReasonNotAnObject},
		"null":                     {event(`null`), codec.ReasonNotAnObject},
		"list":                     {event(` [{"secret":1}]`), codec.ReasonNotAnObject},
		"nothing":                  {event(``), codec.ReasonNotAnObject},
		"half an object":           {event(`{"secret":`), codec.ReasonInvalidJSON},
		"two objects":              {event(`{"secret":1}{}`), codec.ReasonInvalidJSON},
		"no id":                    {noID, codec.ReasonMissingID},
		"no time":                  {noTime, codec.ReasonInvalidEffectiveAt},
		"too large":                {event(`{"secret":"` + strings.Repeat("x", 4000) + `"}`), codec.ReasonTooLarge},
		"too large as a record":    {event(`{"x.y":{"secret":"` + strings.Repeat("x", 2500) + `"}}`), codec.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, info, err := encoder.Encode(test.ev, ingestedAt)
			u, ok := errors.AsType[*codec.Undeliverable](err)
			if !ok || u.Reason != test.want {
				t.Fatalf("error %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(u.Detail, "xx") {
				t.Errorf("the error quotes the event: %v", err)
			}
			if !slices.Contains(codec.Reasons(), u.Reason) {
				t.Errorf("%s is not among the reasons", u.Reason)
			}
			if info.Type != "x.y" {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// TestLargestRecord: what is exactly as large as the topic takes is a record.
func TestLargestRecord(t *testing.T) {
	ev := eventOf(t, readTestdata(t, "invite.deleted.json"))
	size := encode(t, newEncoder(t, codec.Config{}), ev).Size()
	if _, _, err := newEncoder(t, codec.Config{MaxBytes: size}).Encode(ev, ingestedAt); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, _, err := newEncoder(t, codec.Config{MaxBytes: size - 1}).Encode(ev, ingestedAt)
	if u, ok := errors.AsType[*codec.Undeliverable](err); !ok || u.Reason != codec.ReasonTooLarge {
		t.Errorf("above the limit: %v", err)
	}
}

// TestOddButDeliverable: none of this is a reason to withhold an event.
func TestOddButDeliverable(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 20_000) + strings.Repeat(`]}`, 20_000)
	for name, raw := range map[string]string{
		"no type":                 `{"id":"a","effective_at":1}`,
		"lone surrogate":          `{"id":"a","type":"x.y","effective_at":1,"actor":{"type":"\ud800"}}`,
		"NUL":                     `{"id":"a","type":"x.y","effective_at":1,"actor":{"type":"\u0000"}}`,
		"DEL and C1":              "{\"id\":\"a\",\"type\":\"x.y\",\"effective_at\":1,\"z\":\"\x7f\u0085\"}",
		"white space":             " \n\t{ \"id\" : \"a\" ,\r\n \"type\":\"x.y\", \"effective_at\":1 } \n",
		"repeated names":          `{"id":"a","type":"x.y","effective_at":1,"effective_at":1,"actor":null,"actor":1}`,
		"number above 2^53":       `{"id":"a","type":"x.y","effective_at":1,"x.y":{"n":9007199254740993,"m":1e400}}`,
		"deep nesting":            `{"id":"a","type":"x.y","effective_at":1,"x.y":{"changes_requested":{"d":` + deep + `}}}`,
		"type named like a field": `{"id":"a","type":"actor","effective_at":1,"actor":{"id":"x"}}`,
		"year 9999":               `{"id":"a","type":"x.y","effective_at":253402300799}`,
		"year 1":                  `{"id":"a","type":"x.y","effective_at":-62135596800}`,
	} {
		t.Run(name, func(t *testing.T) {
			ev := auditlog.Event{ID: "a", Type: "x.y", EffectiveAt: 1, Timed: true, Raw: []byte(raw)}
			if strings.HasPrefix(name, "year") {
				ev = eventOf(t, []byte(raw))
			}
			record := decode(t, encode(t, newEncoder(t, codec.Config{}), ev).Value)
			if record.RawEvent != raw || !record.EffectiveAt.Equal(ev.EffectiveAt.Time()) {
				t.Errorf("raw_event %.200q, effective_at %v", record.RawEvent, record.EffectiveAt)
			}
		})
	}
}

// TestRecord is the whole record of one event, written by hand.
func TestRecord(t *testing.T) {
	ev := pageOf(t, "page.json")[3]
	ev.Scope = auditlog.ScopeTenant
	record := decode(t, encode(t, newEncoder(t, codec.Config{}), ev).Value)
	s := func(s string) *string { return &s }
	want := codec.Record{
		ID: "audit_log-Ex0000000000000000000103", Type: "role.assignment.created", EventScope: "tenant",
		EffectiveAt: time.Date(2026, 2, 13, 10, 51, 41, 0, time.UTC), IngestedAt: ingestedAt, Organization: "acme", Outcome: "success",
		ActorType: s("api_key"), ActorID: s("user-Example00000000000001"), ActorEmail: s("alice@example.com"),
		ActorUserID: s("user-Example00000000000001"), ActorAPIKeyID: s("key_Example00000000000001"), ActorAPIKeyType: s("user"),
		TargetType:  s("role.assignment"),
		TargetID:    s("role_assignment_role-api-organization-owner__api-organization__org-Example0001_user-Example00000000000002"),
		PrincipalID: s("user-Example00000000000002"), PrincipalType: s("user"), Role: s("role-api-organization-owner"),
		ResourceID: s("org-Example0001"), ResourceType: s("api.organization"),
		Scopes: []string{}, Permissions: []string{}, PermissionsAdded: []string{}, PermissionsRemoved: []string{}, AllowedIPs: []string{}, ChangedFields: []string{},
		RawEvent: string(ev.Raw),
	}
	if record.Details == nil || !strings.Contains(want.RawEvent, `"role.assignment.created": `+*record.Details) {
		t.Errorf("details %v", record.Details)
	}
	record.Details = nil
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSamples: every published record keeps its bytes.
func TestSamples(t *testing.T) {
	var events []auditlog.Event
	for _, page := range []string{"page.json", "page-tenant.json", "docs-list-response.json"} {
		events = append(events, pageOf(t, page)...)
	}
	for _, file := range []string{"invite.deleted.json", "login.succeeded.json", "docs-audit-log-object.json"} {
		events = append(events, eventOf(t, readTestdata(t, file)))
	}
	for _, ev := range events {
		message := encode(t, newEncoder(t, codec.Config{}), ev)
		record := decode(t, message.Value)
		if record.RawEvent != string(ev.Raw) || record.ID != ev.ID || record.Type != ev.Type || string(message.Key) != ev.ID {
			t.Errorf("%s: not the event that was encoded", ev.ID)
		}
	}
}

// TestMessagesAreTheirOwn: a later event does not write into an earlier message.
func TestMessagesAreTheirOwn(t *testing.T) {
	encoder := newEncoder(t, codec.Config{})
	events := pageOf(t, "page.json")
	before := encode(t, encoder, events[0])
	value, want := string(before.Value), headers(before)
	for _, ev := range events {
		_ = append(encode(t, encoder, ev).Key, "x"...)
	}
	if string(before.Value) != value || !slices.Equal(headers(before), want) || string(before.Key) != events[0].ID {
		t.Error("the first message has changed")
	}
}

func TestNewEncoderRefuses(t *testing.T) {
	for name, c := range map[string]codec.Config{
		"no organization": {Schema: schemas.Latest()},
		"no schema":       {Organization: "acme"},
	} {
		if _, err := codec.NewEncoder(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSafeJSON: what the form is, package rawjson tests; here, that the setting
// chooses it, for the copy as received alone.
func TestSafeJSON(t *testing.T) {
	ev := eventOf(t, []byte(`{"id":"a", "type":"x.y","effective_at":1, "n":"\ud800"}`))
	for _, safe := range []bool{false, true} {
		want := map[bool]string{false: string(ev.Raw), true: `{"id":"a","type":"x.y","effective_at":1,"n":"\ufffd"}`}[safe]
		encoder := newEncoder(t, codec.Config{Copies: copyNamed(t, "json"), SafeJSON: safe})
		if got := aCopy(t, encoder, ev); string(got.Value) != want {
			t.Errorf("safe %v: %s", safe, got.Value)
		}
		if record := decode(t, encode(t, encoder, ev).Value); record.RawEvent != string(ev.Raw) {
			t.Errorf("safe %v: raw_event %s", safe, record.RawEvent)
		}
		ecs := aCopy(t, newEncoder(t, codec.Config{Copies: copyNamed(t, "ecs"), SafeJSON: safe}), ev)
		if header(ecs, "content-type") != "application/json" || !strings.Contains(string(ecs.Value), `"@timestamp":"1970-01-01T00:00:01.000Z"`) {
			t.Errorf("ECS: %v %s", headers(ecs), ecs.Value)
		}
	}
}
