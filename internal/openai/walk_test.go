package openai_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// start is when the events of most tests begin. It is before the time at which
// a synctest bubble begins, 2000-01-01.
var start = auditlog.SecondOf(time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC))

// newClient returns a client of the API. change may be nil.
func newClient(t *testing.T, api *simulator.API, change func(*openai.Config)) *openai.Client {
	t.Helper()
	cfg := openai.Config{
		BaseURL:   "https://api.example.com/v1",
		Key:       func() (string, error) { return simulator.Key, nil },
		Transport: simulator.Transport(api),
	}
	if change != nil {
		change(&cfg)
	}
	client, err := openai.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var all = openai.Query{Scope: auditlog.ScopeOrganization, From: start}

// read walks a list and returns what it showed. done says that the walk was
// complete.
func read(ctx context.Context, c *openai.Client, q openai.Query) (pages []openai.Page, events []auditlog.Event, done bool, err error) {
	for page, err := range c.Pages(ctx, q) {
		if err != nil {
			return pages, events, done, err
		}
		pages, events, done = append(pages, page), append(events, page.Events...), page.Last
	}
	return pages, events, done, nil
}

// patiently walks a list again and again until a walk is complete, as the
// connector does, and returns what that one showed.
func patiently(t *testing.T, c *openai.Client, q openai.Query) []auditlog.Event {
	t.Helper()
	var last error
	for range 50 {
		_, events, done, err := read(t.Context(), c, q)
		if err == nil && done {
			return events
		}
		if err == nil {
			t.Fatal("a walk ended without an error and without a last page")
		}
		last = err
		time.Sleep(time.Minute) // of the bubble
	}
	t.Fatalf("no walk was complete; the last error: %v", last)
	return nil
}

// checkComplete reports what of the truth is missing from events, is doubled in
// them, or differs.
func checkComplete(t *testing.T, api *simulator.API, scope auditlog.Scope, events []auditlog.Event) {
	t.Helper()
	want := map[string]string{}
	for e := range api.Truth() {
		if slices.Contains(e.Scopes, scope) && !e.Hidden {
			want[e.ID] = string(e.Raw)
		}
	}
	got := map[string]bool{}
	for _, e := range events {
		switch raw, ok := want[e.ID]; {
		case got[e.ID]:
			t.Errorf("%s came twice", e.ID)
		case !ok:
			t.Errorf("%q is not in the log", e.ID)
		case raw != string(e.Raw):
			t.Errorf("%s differs: %s, want %s", e.ID, e.Raw, raw)
		}
		got[e.ID] = true
	}
	if len(got) != len(want) {
		t.Errorf("%d events of %d", len(got), len(want))
	}
}

func checkKind(t *testing.T, err error, want openai.Kind) *openai.Error {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("the error is %v, want one of kind %s", err, want)
	}
	return e
}

// fill adds n events of the organization, one a second.
func fill(api *simulator.API, n int) {
	for i := range n {
		id := "audit_log-" + strings.Repeat("x", i%3) + time.Duration(i).String()
		api.Add(simulator.Event{ID: id, EffectiveAt: start + auditlog.Second(i)})
	}
}

func TestFirstPageOnly(t *testing.T) {
	for _, test := range []struct{ events, requests int }{
		{0, 1}, {1, 1}, {99, 1}, {100, 2}, {101, 2}, {199, 2}, {200, 3}, {201, 3}, {10_001, 101},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			fill(api, test.events)
			_, events, done, err := read(t.Context(), newClient(t, api, nil), all)
			if err != nil || !done {
				t.Errorf("%d events: complete %v, error %v", test.events, done, err)
			}
			checkComplete(t, api, auditlog.ScopeOrganization, events)
			if n := api.Requests().Total; n != test.requests {
				t.Errorf("%d events: %d requests, want %d", test.events, n, test.requests)
			}
		})
	}
}

func TestBothScopesAreListedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Seed: 1})
		api.Generate(2000, start, start+3600)
		c := newClient(t, api, nil)
		for _, scope := range auditlog.Scopes() {
			events := patiently(t, c, openai.Query{Scope: scope, From: start})
			checkComplete(t, api, scope, events)
			if i := slices.IndexFunc(events, func(e auditlog.Event) bool { return e.Scope != scope }); i >= 0 {
				t.Errorf("an event of the %s list says %s", scope, events[i].Scope)
			}
		}
	})
}

func TestWindowIsHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 50)
		q := openai.Query{Scope: auditlog.ScopeOrganization, From: start + 10, To: start + 21, Bounded: true, Class: openai.History}
		_, events, _, err := read(t.Context(), newClient(t, api, nil), q)
		if err != nil || len(events) != 11 || events[0].EffectiveAt != start+20 || events[10].EffectiveAt != start+10 {
			t.Errorf("%d events, error %v; want the eleven from second 20 down to 10", len(events), err)
		}
	})
}

func TestPageDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Faults: map[simulator.Fault]float64{simulator.Reversed: 1}})
		fill(api, 1000)
		_, _, done, err := read(t.Context(), newClient(t, api, nil), all)
		e := checkKind(t, err, openai.KindDisordered)
		if done || !strings.Contains(e.Error(), "oldest first") {
			t.Errorf("complete %v, error %v; want one that names the direction", done, err)
		}
	})
}

func TestOrderDrift(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.Shuffled, simulator.Reversed, simulator.HeadRestart, simulator.Duplicated, simulator.IgnoreWindow} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Seed: 2, IgnoreUnknown: true})
			fill(api, 950)
			api.Add(simulator.Event{ID: "older", EffectiveAt: start - 1})
			for at := range 10 { // the fault hits each page in turn
				api.Script(append(slices.Repeat([]simulator.Fault{simulator.None}, at), fault)...)
				events := patiently(t, newClient(t, api, nil), all)
				if len(events) != 950 {
					t.Errorf("%s on page %d: %d events of 950", fault, at+1, len(events))
				}
				for api.Scripted() > 0 {
					patiently(t, newClient(t, api, nil), all)
				}
			}
		})
	}
}

func TestMidSweepFailure(t *testing.T) {
	faults := []simulator.Fault{
		simulator.RateLimitSeconds, simulator.ServerError, simulator.BadGateway, simulator.Unavailable, simulator.RequestTimeout,
		simulator.Conflict, simulator.WrongKey, simulator.Refused401, simulator.Refused403, simulator.Hang, simulator.HangInBody,
		simulator.Reset, simulator.ResetInBody, simulator.CutBody, simulator.HTML, simulator.Redirect,
	}
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			for page := range 3 {
				for _, times := range []int{1, 2, 7, 20} {
					synctest.Test(t, func(t *testing.T) {
						api := simulator.New(simulator.Config{})
						fill(api, 250)
						api.Script(slices.Repeat([]simulator.Fault{simulator.None}, page)...)
						api.Script(slices.Repeat([]simulator.Fault{fault}, times)...)
						events := patiently(t, newClient(t, api, nil), all)
						checkComplete(t, api, auditlog.ScopeOrganization, events)
						if n := api.Requests().Faults[fault]; n != times {
							t.Errorf("the fault came %d times, want %d", n, times)
						}
					})
				}
			}
		})
	}
}

func TestInsertWhilePaging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{Faults: map[simulator.Fault]float64{simulator.InsertAtHead: 1}})
		fill(api, 1050)
		_, events, done, err := read(t.Context(), newClient(t, api, nil), all)
		if err != nil || !done {
			t.Fatalf("complete %v, error %v", done, err)
		}
		ids := map[string]int{}
		for _, e := range events {
			ids[e.ID]++
		}
		for e := range api.Truth() {
			if e.EffectiveAt < start+1050 && ids[e.ID] != 1 {
				t.Errorf("%s, which was there from the start, came %d times", e.ID, ids[e.ID])
			}
		}
	})
}

func TestNoProgressPage(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.EmptyWithMore, simulator.HasMoreTrue, simulator.RepeatedPage} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			fill(api, 150)
			c := newClient(t, api, nil)
			api.SetFaults(map[simulator.Fault]float64{fault: 1})
			_, _, done, err := read(t.Context(), c, all)
			checkKind(t, err, openai.KindDisordered)
			if n := api.Requests().Total; done || n > 4 {
				t.Errorf("%s: complete %v after %d requests, want an error soon", fault, done, n)
			}
		})
	}
}

func TestLastIDIsNotNeeded(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.LastIDNull, simulator.LastIDMissing, simulator.LastIDWrong, simulator.SmallPage} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			api := simulator.New(simulator.Config{Faults: map[simulator.Fault]float64{fault: 1}})
			fill(api, 550)
			c := newClient(t, api, func(cfg *openai.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			_, events, _, err := read(t.Context(), c, all)
			if err != nil {
				t.Errorf("%s: %v", fault, err)
			}
			checkComplete(t, api, auditlog.ScopeOrganization, events)
			want := 0
			if fault == simulator.LastIDWrong {
				want = 1
			}
			if n := strings.Count(log.String(), "last_id"); n != want {
				t.Errorf("%s: the log tells of last_id %d times, want %d:\n%s", fault, n, want, &log)
			}
		})
	}
}

func TestHasMoreFalseOnAFullPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 550)
		api.Script(simulator.None, simulator.HasMoreFalse)
		pages, events, done, err := read(t.Context(), newClient(t, api, nil), all)
		if err != nil || !done {
			t.Fatalf("complete %v, error %v", done, err)
		}
		checkComplete(t, api, auditlog.ScopeOrganization, events)
		for i, p := range pages[:len(pages)-1] {
			if p.Last {
				t.Errorf("page %d of %d says that it is the last", i+1, len(pages))
			}
		}
	})
}

func TestVanishedCursor(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.VanishedBad, simulator.VanishedGone} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			fill(api, 250)
			c := newClient(t, api, nil)
			api.Script(simulator.None, simulator.None, fault)
			_, _, done, err := read(t.Context(), c, all)
			checkKind(t, err, openai.KindVanishedCursor)
			if !errors.Is(err, openai.ErrVanishedCursor) || done {
				t.Errorf("%s: complete %v, error %v, want ErrVanishedCursor", fault, done, err)
			}
			checkComplete(t, api, auditlog.ScopeOrganization, patiently(t, c, all))
		})
	}
}

func TestSortKeyMismatch(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{Seed: seed, OrderSkew: 120 * time.Second})
			api.Generate(3000, start, start+7200)
			// Pages of one event are the hardest: neighbours can be furthest apart.
			api.SetFaults(map[simulator.Fault]float64{simulator.SmallPage: 0.3})
			_, events, done, err := read(t.Context(), newClient(t, api, nil), all)
			if err != nil || !done {
				t.Fatalf("seed %d: complete %v, a false alarm: %v", seed, done, err)
			}
			checkComplete(t, api, auditlog.ScopeOrganization, events)
		})
	}
}

func TestSameSecondStraggler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		for i := range 501 {
			e := simulator.Event{ID: "e" + time.Duration(i).String(), EffectiveAt: start}
			if i == 500 {
				e.VisibleAt = time.Now().Add(time.Minute)
			}
			api.Add(e)
		}
		c := newClient(t, api, nil)
		second := openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 1, Bounded: true}
		if _, events, _, err := read(t.Context(), c, second); err != nil || len(events) != 500 {
			t.Errorf("%d events of one second, error %v; want 500", len(events), err)
		}
		time.Sleep(time.Minute)
		_, events, _, err := read(t.Context(), c, second)
		if err != nil {
			t.Fatal(err)
		}
		checkComplete(t, api, auditlog.ScopeOrganization, events)
	})
}

func TestEventsWithoutID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 120)
		want := map[string]bool{}
		for _, raw := range []string{`{"type":"a"}`, `{"id":5}`, `7`, `null`, `["x"]`, `{"id":""}`} {
			// In the middle of the list, where a page ends.
			api.AddRaw(auditlog.ScopeOrganization, start+20, []byte(raw))
			want[raw] = true
		}
		_, events, done, err := read(t.Context(), newClient(t, api, nil), all)
		if err != nil || !done || len(events) != 126 {
			t.Fatalf("%d events, complete %v, error %v; want 126", len(events), done, err)
		}
		for _, e := range events {
			if e.ID == "" {
				delete(want, string(e.Raw))
				// Listed behind the events of second 20 and 21, so in their minute.
				if e.Timed || e.Neighbour < start+20 || e.Neighbour > start+21 {
					t.Errorf("%s: timed %v, neighbour %v; want that of second 20 or 21", e.Raw, e.Timed, e.Neighbour)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("these are missing: %v", slices.Collect(maps.Keys(want)))
		}
	})
}

func TestNeighbourOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		api.AddRaw(auditlog.ScopeOrganization, start, []byte(`{"id":"a","effective_at":"soon"}`))
		c := newClient(t, api, nil)
		q := openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 10, Bounded: true}
		if _, events, _, _ := read(t.Context(), c, q); len(events) != 1 || events[0].Neighbour != start+9 {
			t.Errorf("%+v, want the last second of the window as its neighbour", events)
		}
		now := auditlog.SecondOf(time.Now())
		if _, events, _, _ := read(t.Context(), c, all); len(events) != 1 || events[0].Neighbour != now {
			t.Errorf("%+v, want the walk's beginning %v as its neighbour", events, now)
		}
	})
}

func TestBegan(t *testing.T) {
	for _, test := range []struct {
		name  string
		api   simulator.Config
		fault simulator.Fault
		want  time.Duration // from now
		skew  time.Duration
	}{
		{"clocks agree", simulator.Config{}, simulator.None, 0, 0},
		{"the server is ahead", simulator.Config{}, simulator.DateOff, 0, 6 * time.Hour},
		{"the server is behind", simulator.Config{}, simulator.DateBehind, -6 * time.Hour, -6 * time.Hour},
		{"no date", simulator.Config{}, simulator.DateMissing, 0, 0},
		{"a slow answer", simulator.Config{Latency: 10 * time.Second}, simulator.None, 0, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			test.api.Organization = "org-x"
			api := simulator.New(test.api)
			fill(api, 150)
			api.Script(test.fault)
			now := time.Now()
			pages, _, _, err := read(t.Context(), newClient(t, api, nil), all)
			if err != nil || len(pages) != 2 {
				t.Fatalf("%s: %d pages, error %v", test.name, len(pages), err)
			}
			for _, p := range pages {
				if want := auditlog.SecondOf(now.Add(test.want)); p.Began != want || p.Skew != test.skew || p.Organization != "org-x" {
					t.Errorf("%s: began %v, skew %v, of %q; want %v, %v", test.name, p.Began, p.Skew, p.Organization, want, test.skew)
				}
			}
		})
	}
}

func TestNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		c := newClient(t, api, nil)
		if p, err := c.Newest(t.Context(), auditlog.ScopeOrganization, 1); err != nil || !p.Last || len(p.Events) != 0 {
			t.Errorf("an empty log: %+v, %v", p, err)
		}
		fill(api, 5)
		if p, err := c.Newest(t.Context(), auditlog.ScopeOrganization, 2); err != nil || len(p.Events) != 2 || p.Last || p.Events[0].EffectiveAt != start+4 {
			t.Errorf("the newest two: %+v, %v", p, err)
		}
		if p, err := c.Newest(t.Context(), auditlog.ScopeTenant, 100); err != nil || len(p.Events) != 0 {
			t.Errorf("the tenant's newest: %+v, %v", p, err)
		}
		api.AddRaw(auditlog.ScopeOrganization, start+9, []byte(`{"type":"login.succeeded"}`))
		if p, err := c.Newest(t.Context(), auditlog.ScopeOrganization, 1); err != nil || len(p.Events) != 1 || p.Last {
			t.Errorf("the newest has no id, from which a next page could begin: %+v, %v", p, err)
		}
	})
}

func TestLeavingAWalkEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		fill(api, 500)
		for range newClient(t, api, nil).Pages(t.Context(), all) {
			break
		}
		if n := api.Requests().Total; n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, done, err := read(ctx, newClient(t, api, nil), all); done || !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled walk: complete %v, error %v", done, err)
		}
	})
}

// A window that is read to its end is complete in whatever order the list comes: by a
// time of arrival far from effective_at, or oldest first.
func TestWindowInAnyOrder(t *testing.T) {
	for name, cfg := range map[string]simulator.Config{
		"by arrival":   {Seed: 3, OrderSkew: 30 * time.Minute},
		"oldest first": {Seed: 3, Faults: map[simulator.Fault]float64{simulator.Reversed: 1}},
		"shuffled":     {Seed: 3, Faults: map[simulator.Fault]float64{simulator.Shuffled: 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(cfg)
			api.Generate(3000, start, start+7200)
			var events []auditlog.Event
			for from := start; from <= start+7200; from += 1800 {
				q := openai.Query{Scope: auditlog.ScopeOrganization, From: from, To: from + 1800, Bounded: true, ToEnd: true}
				_, found, done, err := read(t.Context(), newClient(t, api, nil), q)
				if err != nil || !done {
					t.Fatalf("%s: complete %v, %v", name, done, err)
				}
				events = append(events, found...)
			}
			checkComplete(t, api, auditlog.ScopeOrganization, events)
		})
	}
}

// A walk that goes on in the list of a shorter time is complete for that time, in whatever order
// the list comes, and asks for nothing that is older.
func TestShortenedWalk(t *testing.T) {
	for name, cfg := range map[string]simulator.Config{
		"newest first": {},
		"by arrival":   {OrderSkew: 30 * time.Minute},
		"oldest first": {Faults: map[simulator.Fault]float64{simulator.Reversed: 1}},
		"shuffled":     {Faults: map[simulator.Fault]float64{simulator.Shuffled: 1}},
		"odd ends":     {Faults: map[simulator.Fault]float64{simulator.LastIDWrong: 0.5, simulator.HasMoreFalse: 0.2}},
	} {
		t.Run(name, func(t *testing.T) {
			shortened := 0
			rapid.Check(t, func(rt *rapid.T) {
				cfg, asked := cfg, ""
				cfg.Seed = rapid.Uint64Range(1, 1000).Draw(rt, "seed")
				cfg.OnRequest = func(r *http.Request) { asked = r.URL.Query().Get("effective_at[gte]") }
				api := simulator.New(cfg)
				api.Generate(600, start, start+7200)
				shortened += checkShortened(rt, newClient(t, api, nil), api, &asked)
			})
			if shortened == 0 && name != "oldest first" { // there nothing of value is behind the place
				t.Error("no walk went on in a shorter list")
			}
		})
	}
}

// checkShortened walks a list, and shortens it on the way. It returns how often it could.
func checkShortened(t *rapid.T, c *openai.Client, api *simulator.API, asked *string) (times int) {
	q := openai.Query{Scope: auditlog.ScopeOrganization, From: start, To: start + 7201, Bounded: true, ToEnd: true}
	got := map[string]bool{}
	for page, err := range c.Pages(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if want := strconv.FormatInt(int64(q.From), 10); *asked != want {
			t.Fatalf("asked from %s, want %s", *asked, want)
		}
		place := q.To
		for _, e := range page.Events {
			got[e.ID] = true
			place = e.EffectiveAt
		}
		if page.Last || page.Repeats > 0 || rapid.IntRange(0, 2).Draw(t, "shorten") > 0 {
			continue // where an event came again, the place may be that one
		}
		if page.Shorten(place + 1) {
			t.Fatal("it goes on in a list that its place is not in")
		}
		if page.Shorten(q.From - 1) {
			t.Fatal("it goes on in a longer list")
		}
		from := q.From + auditlog.Second(rapid.Int64Range(0, int64(place-q.From)).Draw(t, "from"))
		if !page.Shorten(from) {
			t.Fatalf("it cannot go on from %v in the list from %v", place, from)
		}
		if from > q.From {
			times++
		}
		q.From = from
	}
	for e := range api.Truth() {
		if slices.Contains(e.Scopes, q.Scope) && !e.Hidden && e.EffectiveAt >= q.From && !got[e.ID] {
			t.Errorf("%s of %v is missing from the list from %v", e.ID, e.EffectiveAt, q.From)
		}
	}
	return times
}

// TestReleasedPages gives every second page back while the walk goes on: the memory is that
// of later pages then. What was kept of the others, and the ids of those given back, stay.
func TestReleasedPages(t *testing.T) {
	api := simulator.New(simulator.Config{Seed: 4})
	api.Generate(5000, start, start+86400)
	c := newClient(t, api, nil)
	_, want, _, err := read(t.Context(), c, all)
	if err != nil {
		t.Fatal(err)
	}
	at, pages := 0, 0
	var kept []auditlog.Event
	for page, err := range c.Pages(t.Context(), all) {
		if err != nil {
			t.Fatal(err)
		}
		for i, ev := range page.Events {
			if !bytes.Equal(ev.Raw, want[at+i].Raw) {
				t.Fatalf("event %d has other bytes", at+i)
			}
		}
		at += len(page.Events)
		kept = append(kept, page.Events...)
		if pages++; pages%2 == 0 {
			for i := len(kept) - len(page.Events); i < len(kept); i++ {
				kept[i].Raw = nil
			}
			page.Release()
		}
	}
	if len(kept) != len(want) || pages < 10 {
		t.Fatalf("%d of %d events on %d pages", len(kept), len(want), pages)
	}
	for i, ev := range kept {
		if ev.ID != want[i].ID || ev.Type != want[i].Type || ev.Raw != nil && !bytes.Equal(ev.Raw, want[i].Raw) {
			t.Fatalf("event %d was changed by a page after it", i)
		}
	}
}
