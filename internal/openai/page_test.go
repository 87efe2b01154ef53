package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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
		if l, err := parseBoth(t, []byte(body), auditlog.ScopeOrganization); err == nil {
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
		l, err := parseBoth(t, pageOf(test.raw), auditlog.ScopeTenant)
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
	l, err := parseBoth(t, pageOf(`{"id":"a"}`, deep, `{"id":"b"}`), auditlog.ScopeOrganization)
	if err != nil || len(l.events) != 3 || string(l.events[1].Raw) != deep || l.events[2].ID != "b" {
		t.Errorf("%d events, error %v", len(l.events), err)
	}
	if _, err := parseBoth(t, pageOf(deep[:len(deep)-2]), auditlog.ScopeOrganization); err == nil {
		t.Error("an array that is not closed is taken for one")
	}
}

func TestRawsDoNotGrowIntoEachOther(t *testing.T) {
	l, err := parseBoth(t, pageOf(`{"id":"a"}`, `{"id":"b"}`), auditlog.ScopeOrganization)
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
		l, err := parseBoth(t, bytes.Clone(body), auditlog.ScopeOrganization)
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
		l, err := parseBoth(t, body, auditlog.ScopeOrganization)
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
	for name, parsed := range map[string]bool{"its events": false, "its events parsed": true} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				l, err := parsePage(body, auditlog.ScopeOrganization, parsed)
				if err != nil {
					b.Fatal(err)
				}
				Page{Events: l.events, tape: l.tape}.Release()
			}
		})
	}
}

// parseBoth parses the page with its events kept parsed and without: that changes nothing
// else, and what is kept is the event.
func parseBoth(t interface{ Fatalf(string, ...any) }, body []byte, scope auditlog.Scope) (listing, error) {
	plain, err := parsePage(body, scope, false)
	kept, errKept := parsePage(body, scope, true)
	if fmt.Sprint(err) != fmt.Sprint(errKept) {
		t.Fatalf("%v; kept parsed: %v", err, errKept)
	}
	if err != nil {
		return plain, err
	}
	page := Page{Events: kept.events, tape: kept.tape}
	for i, e := range kept.events {
		object := page.Parsed(e)
		if fits := object.IsOf(unsafe.String(unsafe.SliceData(e.Raw), len(e.Raw))); fits != (e.Parsed > 0) {
			t.Fatalf("event %d is kept at %d, and is what is kept: %v", i, e.Parsed, fits)
		}
		if e.Raw[0] == '{' && e.Parsed == 0 && len(body) < tapeValues {
			t.Fatalf("event %d of a small page is not kept", i)
		}
		kept.events[i].Parsed = 0
	}
	kept.tape = nil
	if diff := cmp.Diff(plain, kept, cmp.AllowUnexported(listing{})); diff != "" {
		t.Fatalf("kept parsed it differs: %s", diff)
	}
	return plain, nil
}

// TestHugeEventsAreNotKept: what a page keeps parsed is bounded, and what is not kept is
// read all the same.
func TestHugeEventsAreNotKept(t *testing.T) {
	huge := `{"id":"huge","x":[` + strings.Repeat("0,", tapeValues) + `0],"id":"last"}`
	many := make([]string, 0, 200)
	for i := range 200 {
		many = append(many, fmt.Sprintf(`{"id":"e%d","x":[%s0]}`, i, strings.Repeat("0,", 100)))
	}
	for name, test := range map[string]struct {
		events []string
		kept   int
	}{
		"one":  {[]string{`{"id":"a"}`, huge, `{"id":"b"}`}, 2},
		"many": {many, tapeValues / 104}, // the object, the id, the array, a hundred and one numbers
	} {
		body := pageOf(test.events...)
		if _, err := parseBoth(t, body, auditlog.ScopeOrganization); err != nil {
			t.Fatal(err)
		}
		l, _ := parsePage(body, auditlog.ScopeOrganization, true)
		kept := 0
		for _, e := range l.events {
			if e.Parsed > 0 {
				kept++
			}
			if e.ID == "" || e.ID == "huge" {
				t.Errorf("%s: an event has the id %q", name, e.ID)
			}
		}
		if len(l.events) != len(test.events) || kept != test.kept {
			t.Errorf("%s: %d events, of which %d are kept; want %d, %d", name, len(l.events), kept, len(test.events), test.kept)
		}
	}
}

// TestPagesInMemoryOfOthers: a page that is read in memory which another gave back is what it
// is, and has nothing of the other.
func TestPagesInMemoryOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var given []auditlog.Event
		for range 5 {
			raws := []string{`{"x":"` + strings.Repeat("x", chunkBytes/4) + `"}`} // or the body is not kept
			for range rapid.IntRange(1, 5).Draw(t, "events") {
				_, raw := drawEvent(t)
				raws = append(raws, raw)
			}
			body := takeBody([][]byte{pageOf(raws...)})
			l, err := parsePage(body, auditlog.ScopeOrganization, true)
			if err != nil {
				t.Fatal(err)
			}
			page := Page{Events: l.events, body: body, tape: l.tape}
			for i, e := range page.Events {
				object := page.Parsed(e)
				if string(e.Raw) != raws[i] || !object.IsOf(unsafe.String(unsafe.SliceData(e.Raw), len(e.Raw))) {
					t.Fatalf("%s is read as %s, kept as %s", raws[i], e.Raw, object.Raw())
				}
			}
			for _, e := range given {
				page.Parsed(e).IsOf("") // may be asked, and there may be anything
			}
			given = append(given, page.Events...)
			page.Release()
		}
	})
}

// TestParsedIsOfItsPage: an event of another page has nothing here, or not its own text.
func TestParsedIsOfItsPage(t *testing.T) {
	first, err := parsePage(pageOf(`{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`), auditlog.ScopeOrganization, true)
	if err != nil {
		t.Fatal(err)
	}
	second, err := parsePage(pageOf(`{"id":"a"}`), auditlog.ScopeOrganization, true)
	if err != nil {
		t.Fatal(err)
	}
	page := Page{Events: second.events, tape: second.tape}
	for _, e := range first.events {
		if page.Parsed(e).IsOf(unsafe.String(unsafe.SliceData(e.Raw), len(e.Raw))) {
			t.Errorf("%s of one page is taken for that of another", e.ID)
		}
	}
	if (Page{}).Parsed(first.events[0]).IsOf("") {
		t.Error("a page that keeps nothing has an event")
	}
}
