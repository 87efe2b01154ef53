package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// FuzzRoundTrip: every event either becomes a record that holds its bytes, or is
// undeliverable for a reason that its bytes show.
func FuzzRoundTrip(f *testing.F) {
	for _, page := range []string{"page.json", "page-tenant.json", "docs-list-response.json"} {
		for _, ev := range pageOf(f, page) {
			f.Add(ev.Type, ev.Raw)
		}
	}
	f.Add("x.updated", []byte(`{"x.updated":{"changes_requested":{"a":{"b":1}},"id":"\ud800"},"actor":{"session":{"ip_address_details":{"asn":"AS1"}}}}`))
	f.Add("", []byte("\xff"))
	f.Add("a@b", []byte(` {} `))
	f.Add("\x00", []byte(`{"\u0000":{"id":"\u0000","data":{"scopes":["\u0000"]},"changes_requested":{"\u0000":1}},"project":{"name":"\u0000"}}`))
	encoder, decoder := newEncoder(f, codec.Config{}), newDecoder(f, nil)
	f.Fuzz(func(t *testing.T, eventType string, raw []byte) {
		ev := auditlog.Event{ID: "a", Type: eventType, EffectiveAt: 1, Timed: true, Scope: auditlog.ScopeTenant, Raw: raw}
		messages, _, err := encoder.Encode(ev, ingestedAt)
		if parsed, errParsed := new(rawjson.Tape).Parse(textOf(raw)); errParsed == nil && parsed.IsOf(textOf(raw)) {
			again, _, errAgain := encoder.EncodeIn(nil, parsed, ev, ingestedAt)
			if fmt.Sprint(err) != fmt.Sprint(errAgain) || !reflect.DeepEqual(messages, again) {
				t.Fatalf("%v, %+v; parsed before: %v, %+v", err, messages, errAgain, again)
			}
		}
		if err != nil {
			u, ok := errors.AsType[*codec.Undeliverable](err)
			isRecord := utf8.Valid(raw) && utf8.ValidString(eventType) && isObject(raw)
			if !ok || isRecord {
				t.Fatalf("%v, of %q", err, raw)
			}
			encoder.DeadLetter(ev, u)
			return
		}
		record, err := decoder.Decode(t.Context(), messages[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		wantType := strings.ReplaceAll(eventType, "\x00", "\uFFFD")
		if record.RawEvent != string(raw) || record.Type != wantType && eventType != "" {
			t.Fatalf("raw_event %q, type %q, of %q", record.RawEvent, record.Type, raw)
		}
		for column, text := range columns(t, record) {
			if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
				t.Fatalf("%s is %q, of %q", column, text, raw)
			}
		}
		for _, h := range messages[0].HeaderList() {
			if !utf8.Valid(h.Value) || h.Key == "ce_subject" && strings.ContainsAny(string(h.Value), "@\x00\n") {
				t.Fatalf("header %s=%q", h.Key, h.Value)
			}
		}
	})
}

// TestParsedOfAnother: what is parsed of another event, even an equal one, is not used.
func TestParsedOfAnother(t *testing.T) {
	encoder := newEncoder(t, codec.Config{})
	ev := eventOf(t, readTestdata(t, "invite.deleted.json"))
	want, _, err := encoder.Encode(ev, ingestedAt)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(ev.Raw), strings.Replace(string(ev.Raw), "invite", "invote", 1)} {
		parsed, err := new(rawjson.Tape).Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.IsOf(textOf(ev.Raw)) {
			t.Fatal("another text is taken for that of the event")
		}
		if got, _, err := encoder.EncodeIn(nil, parsed, ev, ingestedAt); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("encoded with what is parsed of another event: %v, %+v", err, got)
		}
	}
}

func textOf(raw []byte) string { return unsafe.String(unsafe.SliceData(raw), len(raw)) }

func isObject(raw []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(raw, &object) == nil && object != nil
}

// TestRoundTrip makes events of every type with every shape of member, valid or
// not, white space included.
func TestRoundTrip(t *testing.T) {
	encoder, decoder := newEncoder(t, codec.Config{}), newDecoder(t, nil)
	types := flat.Types()
	rapid.Check(t, func(t *rapid.T) {
		eventType := rapid.SampledFrom(types).Draw(t, "type").Name
		raw := fmt.Sprintf(`{"id":"a",%s"type":%q,"actor":%s,"project":%s,%q:%s}`,
			rapid.StringMatching(`[ \n\t\r]{0,3}`).Draw(t, "space"), eventType,
			anyJSON(t, 4), anyJSON(t, 2), eventType, anyJSON(t, 4))
		ev := auditlog.Event{ID: "a", Type: eventType, EffectiveAt: 1, Timed: true, Raw: []byte(raw)}
		messages, _, err := encoder.Encode(ev, ingestedAt)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		record, err := decoder.Decode(t.Context(), messages[0].Value)
		if err != nil || record.RawEvent != raw {
			t.Fatalf("%v: raw_event %s, want %s", err, record.RawEvent, raw)
		}
		for _, text := range []*string{record.ProjectName, record.ActorEmail, record.UserAgent, record.TargetID, record.TargetName} {
			if text != nil && strings.ContainsRune(*text, 0) {
				t.Fatalf("a column is %q, of %s", *text, raw)
			}
		}
	})
}

// names are those that the columns are read from.
var names = strings.Fields(`id name type email role user session api_key service_account data changes_requested scopes
	permissions permissions_added allowed_ips ip_address ip_address_details asn latitude country resource_id principal_id error_code x`)

func anyJSON(t *rapid.T, depth int) string {
	kinds := 5
	if depth > 0 {
		kinds = 9
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return "null"
	case 1:
		return "true"
	case 2:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
	case 3, 4:
		text, _ := json.Marshal(rapid.String().Draw(t, "text"))
		return string(text)
	case 5:
		return rapid.SampledFrom([]string{`""`, `"\ud800"`, `"\u0000"`, `"AS1"`, `"role_assignment_a__b__c_d"`, `"1.5"`}).Draw(t, "special")
	case 6:
		var items []string
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			items = append(items, anyJSON(t, depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		var members []string
		for range rapid.IntRange(0, 6).Draw(t, "members") {
			members = append(members, fmt.Sprintf("%q : %s", rapid.SampledFrom(names).Draw(t, "name"), anyJSON(t, depth-1)))
		}
		return "{" + strings.Join(members, ",\n") + "}"
	}
}
