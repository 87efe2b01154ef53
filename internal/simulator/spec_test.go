package simulator_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// epoch is when the tests' events begin.
const epoch auditlog.Second = 1_760_000_000

type list struct {
	Object  string
	Data    []struct{ ID, Type string }
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
}

func (l list) ids() (ids []string) {
	for _, e := range l.Data {
		ids = append(ids, e.ID)
	}
	return ids
}

func get(t *testing.T, api http.Handler, query url.Values) (list, *http.Response) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, simulator.Path+"?"+query.Encode(), nil)
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, req)
	var l list
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil {
		t.Fatalf("the answer to %v is not JSON: %v", query, err)
	}
	return l, w.Result()
}

// newestFirst returns the ids that a scope's list must hold, from the truth.
func newestFirst(api *simulator.API, scope auditlog.Scope) (ids []string) {
	events := slices.Collect(api.Truth())
	slices.Reverse(events)
	slices.SortStableFunc(events, func(a, b simulator.Event) int { return int(b.EffectiveAt - a.EffectiveAt) })
	for _, e := range events {
		if slices.Contains(e.Scopes, scope) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func TestAfterIsTheNextPage(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 1})
	api.Generate(1000, epoch, epoch+3600)
	for _, scope := range auditlog.Scopes() {
		query := url.Values{"limit": {"70"}}
		if scope == auditlog.ScopeTenant {
			query.Set("tenant_only", "true")
		}
		var got []string
		for {
			l, _ := get(t, api, query)
			got = append(got, l.ids()...)
			if !l.HasMore {
				break
			}
			query.Set("after", *l.LastID)
		}
		if want := newestFirst(api, scope); !slices.Equal(got, want) {
			t.Errorf("%s: the pages hold %d ids, want these %d, newest first", scope, len(got), len(want))
		}
	}
}

func TestBeforeIsThePreviousPage(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 1})
	api.Generate(500, epoch, epoch+3600)
	want := newestFirst(api, auditlog.ScopeOrganization)
	l, _ := get(t, api, url.Values{"before": {want[50]}, "limit": {"20"}})
	if !slices.Equal(l.ids(), want[30:50]) || !l.HasMore {
		t.Errorf("before the 51st event come %v, more %v; want events 31 to 50, and more", l.ids(), l.HasMore)
	}
	l, _ = get(t, api, url.Values{"before": {want[10]}, "limit": {"20"}})
	if !slices.Equal(l.ids(), want[:10]) || l.HasMore {
		t.Errorf("before the 11th event come %d events, more %v; want the first ten and no more", len(l.Data), l.HasMore)
	}
}

func TestWindow(t *testing.T) {
	api := simulator.New(simulator.Config{})
	for i := range 10 {
		api.Add(simulator.Event{ID: string(rune('a' + i)), EffectiveAt: epoch + auditlog.Second(i)})
	}
	for _, test := range []struct {
		op, second string
		want       string
	}{
		{"gt", "1760000006", "jih"},
		{"gte", "1760000006", "jihg"},
		{"lt", "1760000002", "ba"},
		{"lte", "1760000002", "cba"},
	} {
		l, _ := get(t, api, url.Values{"effective_at[" + test.op + "]": {test.second}})
		var got string
		for _, id := range l.ids() {
			got += id
		}
		if got != test.want {
			t.Errorf("effective_at[%s]=%s lists %q, want %q", test.op, test.second, got, test.want)
		}
	}
}

func TestDefaultLimit(t *testing.T) {
	api := simulator.New(simulator.Config{})
	api.Generate(100, epoch, epoch+60)
	if l, _ := get(t, api, nil); len(l.Data) != 20 || l.Object != "list" {
		t.Errorf("without a limit there are %d events in a %q, want 20 in a list", len(l.Data), l.Object)
	}
}

func TestBadParameters(t *testing.T) {
	api := simulator.New(simulator.Config{})
	api.Add(simulator.Event{ID: "a", EffectiveAt: epoch}, simulator.Event{ID: "hidden", EffectiveAt: epoch})
	api.Hide(true, "hidden")
	for _, query := range []string{
		"order=asc", "effective_at=1", "effective_at[eq]=1", "effective_at[gte]=now", "limit=0", "limit=101", "limit=ten",
		"limit=1&limit=2", "project_ids=a", "tenant_only=yes", "after=nobody", "before=nobody", "after=hidden",
		"after=a&before=a", "event_types[]=no.such", "tenant_only=true&event_types[]=login.succeeded",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, res := get(t, api, values); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", query, res.StatusCode)
		}
	}
}

func TestFilters(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 3})
	api.Generate(3000, epoch, epoch+60)
	api.AddRaw(auditlog.ScopeOrganization, epoch, []byte(`{"id":"x","type":"user.added","effective_at":1760000000,"project":{"id":"p"},
		"actor":{"type":"session","session":{"user":{"id":"u","email":"u@example.com"}}},"user.added":{"id":"r"}}`))
	for _, query := range []url.Values{
		{"project_ids[]": {"p", "q"}}, {"actor_ids[]": {"u"}}, {"actor_emails[]": {"u@example.com"}}, {"resource_ids[]": {"r"}},
	} {
		if l, _ := get(t, api, query); !slices.Equal(l.ids(), []string{"x"}) {
			t.Errorf("%v lists %v, want x alone", query, l.ids())
		}
	}
	l, _ := get(t, api, url.Values{"event_types[]": {"login.failed", "user.added"}, "limit": {"100"}})
	for _, e := range l.Data {
		if e.Type != "login.failed" && e.Type != "user.added" {
			t.Errorf("the filter of types let %s through", e.Type)
		}
	}
	if len(l.Data) < 10 {
		t.Errorf("the filter of types lists %d events, want some", len(l.Data))
	}
}

func TestKeys(t *testing.T) {
	api := simulator.New(simulator.Config{TenantForbidden: true})
	status := func(key, query string) int {
		req := httptest.NewRequest(http.MethodGet, simulator.Path+query, nil)
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		return w.Code
	}
	for _, test := range []struct {
		key, query string
		want       int
	}{
		{"", "", 401}, {"wrong", "", 401}, {simulator.Key, "", 200}, {simulator.Key, "?tenant_only=true", 403},
	} {
		if got := status(test.key, test.query); got != test.want {
			t.Errorf("key %q, %q: status %d, want %d", test.key, test.query, got, test.want)
		}
	}
	api.SetKeys("other")
	if got := status(simulator.Key, ""); got != 401 {
		t.Errorf("a replaced key gets %d, want 401", got)
	}
}

func TestLateEventShowsUpLater(t *testing.T) {
	now := epoch.Time()
	api := simulator.New(simulator.Config{Now: func() time.Time { return now }})
	api.Add(simulator.Event{ID: "a", EffectiveAt: epoch}, simulator.Event{ID: "late", EffectiveAt: epoch - 1, VisibleAt: now.Add(time.Minute)})
	if l, _ := get(t, api, nil); !slices.Equal(l.ids(), []string{"a"}) {
		t.Errorf("before its time the list is %v, want a alone", l.ids())
	}
	now = now.Add(time.Minute)
	if l, _ := get(t, api, nil); !slices.Equal(l.ids(), []string{"a", "late"}) {
		t.Errorf("after its time the list is %v, want a and late", l.ids())
	}
}

func TestBothScopes(t *testing.T) {
	api := simulator.New(simulator.Config{})
	api.Add(simulator.Event{ID: "both", EffectiveAt: epoch, Scopes: auditlog.Scopes()}, simulator.Event{ID: "one", EffectiveAt: epoch})
	if l, _ := get(t, api, nil); !slices.Equal(l.ids(), []string{"one", "both"}) {
		t.Errorf("the organization lists %v", l.ids())
	}
	if l, _ := get(t, api, url.Values{"tenant_only": {"true"}}); !slices.Equal(l.ids(), []string{"both"}) {
		t.Errorf("the tenant lists %v", l.ids())
	}
}

func TestTruthIsWhatIsListed(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 5, OrderSkew: 2 * time.Minute})
	api.Generate(2000, epoch, epoch+86400)
	seen := map[string]bool{}
	kinds := map[string]bool{}
	for e := range api.Truth() {
		var v struct {
			ID          string
			Type        string
			EffectiveAt auditlog.Second `json:"-"`
			At          int64           `json:"effective_at"`
		}
		if err := json.Unmarshal(e.Raw, &v); err != nil {
			t.Fatalf("%s: %v in %s", e.Type, err, e.Raw)
		}
		if v.ID != e.ID || v.Type != e.Type || v.At != int64(e.EffectiveAt) || seen[e.ID] {
			t.Fatalf("the truth %q %q %d is not its JSON %s, or came twice", e.ID, e.Type, e.EffectiveAt, e.Raw)
		}
		if e.EffectiveAt < epoch || e.EffectiveAt > epoch+86400 {
			t.Errorf("%s is outside of the time asked for", e.EffectiveAt)
		}
		if found, ok := api.Event(e.ID); !ok || string(found.Raw) != string(e.Raw) {
			t.Fatalf("%s is not found by its id", e.ID)
		}
		seen[e.ID], kinds[e.Type] = true, true
	}
	if len(seen) != 2000 || len(kinds) < 140 {
		t.Errorf("%d events of %d types, want 2000 of nearly all 149", len(seen), len(kinds))
	}
}

func TestExampleOfEveryType(t *testing.T) {
	if n := len(simulator.Types()); n != 149 {
		t.Errorf("%d types, want 149", n)
	}
	for _, kind := range simulator.Types() {
		var v map[string]any
		if err := json.Unmarshal(simulator.Example(kind.Name, "audit_log-x", epoch, 1), &v); err != nil {
			t.Errorf("%s: %v", kind.Name, err)
		}
		if _, ok := v[kind.Name]; ok != (kind.Payload && kind.Fields != "") {
			t.Errorf("%s: payload %v", kind.Name, ok)
		}
	}
}

// The four forms of a provider are a oneOf in the specification, with all fields
// required: what OpenAI's own SDK, when strict, refuses anything else for.
func TestOneProvider(t *testing.T) {
	want := map[string][]string{
		"aws":   {"account_id", "bucket", "external_id", "region", "role_arn", "type"},
		"azure": {"account_name", "container", "region", "resource_group", "subscription_id", "tenant_id", "type"},
		"gcp": {
			"audience", "bucket", "region", "type", "workload_identity_pool_id", "workload_identity_project_number",
			"workload_identity_provider_id",
		},
		"oci": {"bucket", "region", "tenancy_ocid", "type"},
	}
	seen := map[string]bool{}
	for seed := range uint64(50) {
		var event struct {
			Registered struct {
				Data struct{ Provider map[string]string }
			} `json:"external_storage.registered"`
		}
		if err := json.Unmarshal(simulator.Example("external_storage.registered", "audit_log-x", epoch, seed), &event); err != nil {
			t.Fatal(err)
		}
		provider := event.Registered.Data.Provider
		if provider == nil {
			continue // it is optional
		}
		fields := slices.Sorted(maps.Keys(provider))
		if kind := provider["type"]; !slices.Equal(fields, want[kind]) {
			t.Errorf("a provider of the type %q has %v", kind, fields)
		} else {
			seen[kind] = true
		}
	}
	if len(seen) != len(want) {
		t.Errorf("of the four providers only %v came", seen)
	}
}

func TestRateLimitBucket(t *testing.T) {
	now := epoch.Time()
	api := simulator.New(simulator.Config{Now: func() time.Time { return now }, RequestsPerMinute: 60, Burst: 3})
	codes := map[int]int{}
	for range 10 {
		_, res := get(t, api, nil)
		codes[res.StatusCode]++
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q, want 1", res.Header.Get("Retry-After"))
		}
	}
	now = now.Add(2 * time.Second)
	for range 3 {
		_, res := get(t, api, nil)
		codes[res.StatusCode]++
	}
	if codes[200] != 5 || api.Requests().RateLimited != 8 {
		t.Errorf("%v, want 5 answers: a bucket of 3 and one a second", codes)
	}
}

func BenchmarkPage(b *testing.B) {
	api := simulator.New(simulator.Config{Seed: 1, NoGzip: true})
	api.Generate(1_000_000, epoch, epoch+30*86400)
	req := httptest.NewRequest(http.MethodGet, simulator.Path+"?limit=100&effective_at[lte]=1761000000", nil)
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	for b.Loop() {
		api.ServeHTTP(httptest.NewRecorder(), req)
	}
}
