package openai

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// pageOf returns a page with the given elements of data.
func pageOf(elements ...string) []byte {
	return []byte(`{"object":"list","data":[` + strings.Join(elements, ",") + `],"first_id":null,"last_id":"z","has_more":true}`)
}

func TestBadPages(t *testing.T) {
	for _, body := range []string{
		``, ` `, `null`, `[]`, `{}`, `"list"`, `{"object":"list"}`,
		`{"object":"list","data":[]}`,
		`{"object":"list","has_more":false}`,
		`{"data":[],"has_more":false}`,
		`{"object":"error","data":[],"has_more":false}`,
		`{"Object":"list","Data":[],"Has_more":false}`,
		`{"object":"list","data":null,"has_more":false}`,
		`{"object":"list","data":{},"has_more":false}`,
		`{"object":"list","data":[],"has_more":null}`,
		`{"object":"list","data":[],"has_more":"false"}`,
		`{"object":"list","data":[],"has_more":0}`,
		`{"object":"list","data":[],"data":[],"has_more":false}`,
		`{"object":"list","data":[],"has_more":false,"has_more":true}`,
		`{"object":"list","data":[],"has_more":false}{}`,
		`{"object":"list","data":[],"has_more":false},`,
		"{\"object\":\"list\",\"data\":[],\"has_more\":false}\x00",
		"\ufeff" + `{"object":"list","data":[],"has_more":false}`,
		`{"object":"list","data":[{"id":"a"},],"has_more":false}`,
		`{"object":"list","data":[{"id":"a"}{"id":"b"}],"has_more":false}`,
		`{"object":"list","data":[{"id":"a",}],"has_more":false}`,
		`{"object":"list","data":[{"id":01}],"has_more":false}`,
		`{"object":"list","data":[{"id":"a"}`,
		`<html></html>`,
	} {
		if l, err := parsePage([]byte(body), auditlog.ScopeOrganization); err == nil {
			t.Errorf("%q is taken for a page: %+v", body, l)
		}
	}
}

func TestEventsAreReadLeniently(t *testing.T) {
	for _, test := range []struct {
		raw   string
		id    string
		kind  string
		at    auditlog.Second
		timed bool
	}{
		{`{"id":"a","type":"t","effective_at":5}`, "a", "t", 5, true},
		{`{ "effective_at" : -5 , "id" : "a" }`, "a", "", -5, true},
		{`{"id":"a","effective_at":0}`, "a", "", 0, true},
		{`{"id":"first","id":"last","effective_at":1,"effective_at":2}`, "last", "", 2, true},
		{`{"id":"first","id":null,"effective_at":1,"effective_at":"2"}`, "", "", 0, false},
		{`{"ID":"a","Type":"t","Effective_At":5}`, "", "", 0, false},
		{`{"\u0069d":"a","type":"\u00e9\ud83d\ude00\n\/"}`, "a", "é😀\n/", 0, false},
		{`{"id":5,"type":["t"],"effective_at":{}}`, "", "", 0, false},
		{`{"id":""}`, "", "", 0, false},
		{"{\"id\":\"a\xff\",\"type\":\"t\xff\"}", "", "", 0, false},
		{`{"id":"\ud800"}`, "", "", 0, false},
		{`{"id":"\ud800\u0041"}`, "", "", 0, false},
		{`{"id":"\udc00\ud800"}`, "", "", 0, false},
		{`{"effective_at":1.0}`, "", "", 0, false},
		{`{"effective_at":1e9}`, "", "", 0, false},
		{`{"effective_at":1722461446000}`, "", "", 0, false},
		{`{"effective_at":9223372036854775808}`, "", "", 0, false},
		{`{"effective_at":true}`, "", "", 0, false},
		{`{"nested":{"id":"no","effective_at":7}}`, "", "", 0, false},
		{`7`, "", "", 0, false},
		{`"text"`, "", "", 0, false},
		{`null`, "", "", 0, false},
		{`[{"id":"no"}]`, "", "", 0, false},
		{`{}`, "", "", 0, false},
	} {
		l, err := parsePage(pageOf(test.raw), auditlog.ScopeTenant)
		if err != nil || len(l.events) != 1 {
			t.Errorf("%s: %d events, error %v", test.raw, len(l.events), err)
			continue
		}
		e := l.events[0]
		if e.ID != test.id || e.Type != test.kind || e.Timed != test.timed || (e.Timed && e.EffectiveAt != test.at) {
			t.Errorf("%s: id %q, type %q, time %d (%v); want %q, %q, %d (%v)", test.raw,
				e.ID, e.Type, e.EffectiveAt, e.Timed, test.id, test.kind, test.at, test.timed)
		}
		if string(e.Raw) != test.raw || e.Scope != auditlog.ScopeTenant {
			t.Errorf("%s: raw %s, scope %s", test.raw, e.Raw, e.Scope)
		}
	}
}

func TestDeepNesting(t *testing.T) {
	const depth = 2_000_000 // far above what encoding/json takes
	deep := `{"id":"deep","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
	l, err := parsePage(pageOf(`{"id":"a"}`, deep, `{"id":"b"}`), auditlog.ScopeOrganization)
	if err != nil || len(l.events) != 3 || string(l.events[1].Raw) != deep || l.events[2].ID != "b" {
		t.Errorf("%d events, error %v", len(l.events), err)
	}
	if _, err := parsePage(pageOf(deep[:len(deep)-2]), auditlog.ScopeOrganization); err == nil {
		t.Error("an array that is not closed is taken for one")
	}
}

func TestRawsDoNotGrowIntoEachOther(t *testing.T) {
	l, err := parsePage(pageOf(`{"id":"a"}`, `{"id":"b"}`), auditlog.ScopeOrganization)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(l.events[0].Raw, "xxxxxxxx"...)
	if string(l.events[1].Raw) != `{"id":"b"}` {
		t.Errorf("appending to one event changed the next: %s", l.events[1].Raw)
	}
}

// FuzzParsePage compares pages with what encoding/json finds: a page is JSON, and has
// the same events.
func FuzzParsePage(f *testing.F) {
	for _, kind := range simulator.Types() {
		f.Add(pageOf(string(simulator.Example(kind.Name, "audit_log-x", 1_760_000_000, 1))))
	}
	for _, seed := range []string{
		`{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`,
		`{"object":"list","data":[1,-0.5e+10,"x\u00e9\ud83d\ude00",null,true,[[],{}],{"a":{"b":[1,2]}}],"has_more":true} `,
		`{"object":"list","data":[{"id":"a","id":"b","effective_at":1e3}],"last_id":5,"has_more":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parsePage(bytes.Clone(body), auditlog.ScopeOrganization)
		if err != nil {
			return
		}
		var page map[string]json.RawMessage
		var data []json.RawMessage
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatalf("a page that is no JSON: %v", err)
		}
		if err := json.Unmarshal(page["data"], &data); err != nil {
			t.Fatalf("data that is no array: %v", err)
		}
		if len(data) != len(l.events) {
			t.Fatalf("%d events, encoding/json finds %d", len(l.events), len(data))
		}
		for i, e := range l.events {
			checkEvent(t, e, data[i])
		}
	})
}

func checkEvent(t *testing.T, e auditlog.Event, raw json.RawMessage) {
	t.Helper()
	if !bytes.Equal(e.Raw, raw) {
		t.Fatalf("raw %q, encoding/json finds %q", e.Raw, raw)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		fields = nil // no object
	}
	var id string
	// encoding/json puts U+FFFD for what is no text; those we leave out.
	if v := fields["id"]; json.Unmarshal(v, &id) != nil || !utf8.Valid(v) || strings.ContainsRune(id, utf8.RuneError) {
		return
	}
	if e.ID != id {
		t.Fatalf("id %q of %s, encoding/json finds %q", e.ID, raw, id)
	}
	var at int64
	number := fields["effective_at"]
	timed := json.Unmarshal(number, &at) == nil && !bytes.Equal(number, []byte("null")) && auditlog.Second(at).Usable()
	if e.Timed != timed || (timed && int64(e.EffectiveAt) != at) {
		t.Fatalf("time %d (%v) of %s, encoding/json finds %d (%v)", e.EffectiveAt, e.Timed, raw, at, timed)
	}
}

// TestSamples reads the pages that the specification and public records show.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l, err := parsePage(body, auditlog.ScopeOrganization)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var want struct {
			Data []struct {
				ID, Type    string
				EffectiveAt auditlog.Second `json:"-"`
				At          int64           `json:"effective_at"`
			}
			HasMore bool `json:"has_more"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		if len(l.events) != len(want.Data) || l.hasMore != want.HasMore {
			t.Errorf("%s: %d events, more %v; want %d, %v", file, len(l.events), l.hasMore, len(want.Data), want.HasMore)
			continue
		}
		for i, e := range l.events {
			if w := want.Data[i]; e.ID != w.ID || e.Type != w.Type || int64(e.EffectiveAt) != w.At || !e.Timed {
				t.Errorf("%s: event %d is %q %q %d", file, i, e.ID, e.Type, e.EffectiveAt)
			}
		}
	}
}

func BenchmarkParsePage(b *testing.B) {
	var elements []string
	for kind := range slices.Values(simulator.Types()[:100]) {
		elements = append(elements, string(simulator.Example(kind.Name, "audit_log-"+kind.Name, 1_760_000_000, 1)))
	}
	body := pageOf(elements...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parsePage(body, auditlog.ScopeOrganization); err != nil {
			b.Fatal(err)
		}
	}
}
