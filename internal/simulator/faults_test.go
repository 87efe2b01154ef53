package simulator_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// ask does one request by way of Transport, and gives up after a minute.
func ask(t *testing.T, api *simulator.API, query string, zip bool) (res *http.Response, body []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com"+simulator.Path+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	if zip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	res, err = simulator.Transport(api).RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	var from io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		if from, err = gzip.NewReader(res.Body); err != nil {
			return res, nil, err
		}
	}
	body, err = io.ReadAll(from)
	return res, body, err
}

func isPage(body []byte) bool {
	var l list
	d := json.NewDecoder(bytes.NewReader(body))
	return d.Decode(&l) == nil && !d.More() && l.Object == "list"
}

// TestEveryFaultIsOne holds that each fault makes a difference, and that the
// request after it is served as if nothing had been.
func TestEveryFaultIsOne(t *testing.T) {
	const middle = "?limit=10&effective_at[gte]=1760000010&after=e30"
	harmless := []simulator.Fault{ // the page is as ever
		simulator.DateOff, simulator.DateBehind, simulator.DateMissing, simulator.InsertAtHead, simulator.HasMoreTrue, simulator.IgnoreWindow,
	}
	for _, fault := range simulator.Faults() {
		for _, zip := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				api := simulator.New(simulator.Config{Seed: 1, EndlessBytes: 3 << 20})
				for i := range 50 {
					api.Add(simulator.Event{ID: "e" + string(rune('0'+i/10)) + string(rune('0'+i%10)), EffectiveAt: epoch + auditlog.Second(i)})
				}
				_, first, _ := ask(t, api, "", zip)
				_, want, err := ask(t, api, middle, zip)
				if err != nil || !isPage(first) || !isPage(want) {
					t.Fatalf("without a fault: %v", err)
				}
				api.Script(fault)
				res, got, err := ask(t, api, middle, zip)
				good := err == nil && res.StatusCode == http.StatusOK && bytes.Equal(got, want)
				if slices.Contains(harmless, fault) {
					if !good {
						t.Errorf("%s: %v, %s", fault, err, got)
					}
				} else if good {
					t.Errorf("%s: the page is as without it", fault)
				}
				if _, got, err := ask(t, api, middle, zip); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: the request after it: %v, %s", fault, err, got)
				}
				if n := api.Requests().Faults[fault]; n != 1 {
					t.Errorf("%s was counted %d times", fault, n)
				}
			})
		}
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	for _, fault := range []simulator.Fault{simulator.Hang, simulator.HangInBody} {
		synctest.Test(t, func(t *testing.T) {
			api := simulator.New(simulator.Config{})
			api.Generate(100, epoch, epoch+100)
			api.Script(fault)
			begin := time.Now()
			if _, _, err := ask(t, api, "", false); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
				t.Errorf("%s: %v after %v", fault, err, time.Since(begin))
			}
		})
	}
}

func TestFaultsReplayBySeed(t *testing.T) {
	run := func(seed uint64) (codes []int) {
		now := epoch.Time()
		api := simulator.New(simulator.Config{Seed: seed, Now: func() time.Time { return now },
			Faults: map[simulator.Fault]float64{simulator.ServerError: 0.3, simulator.RateLimitBare: 0.3}})
		for range 50 {
			_, res := get(t, api, nil)
			codes = append(codes, res.StatusCode)
		}
		return codes
	}
	if !slices.Equal(run(1), run(1)) || slices.Equal(run(1), run(2)) {
		t.Error("the faults of a seed are not its own")
	}
}

func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := simulator.New(simulator.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		api.Feed(ctx, 5)
		if n := api.Len(); n != 50 {
			t.Errorf("%d events in ten seconds at five a second", n)
		}
		for e := range api.Truth() {
			if !e.EffectiveAt.Time().Equal(e.VisibleAt.Truncate(time.Second)) {
				t.Errorf("an event of %v shows up at %v", e.EffectiveAt, e.VisibleAt)
			}
		}
	})
}
