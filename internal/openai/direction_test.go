package openai_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestPageThatHappensToRise: one page that is oldest first after pages that are not
// does not spoil those. As the last page it is complete; otherwise the rest can be read
// in windows.
func TestPageThatHappensToRise(t *testing.T) {
	for _, test := range []struct {
		rising string // which pages are oldest first
		on     int    // events of the second page, of 100
		events int
		done   bool
		order  bool // the error is ErrOutOfOrder
	}{
		{"second", 50, 150, true, false},
		{"second", 100, 100, false, true},
		{"both", 100, 0, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, nil, func(cfg *openai.Config) {
				cfg.Transport = simulator.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					page, events := 0, make([]string, 100)
					if r.URL.Query().Get("after") != "" {
						page, events = 1, events[:test.on]
					}
					for i := range events {
						n := 100*page + i
						events[i] = fmt.Sprintf(`{"id":"e%d","type":"login.succeeded","effective_at":%d}`, n, int64(start)+10_000-10*int64(n))
					}
					if page == 1 || test.rising == "both" {
						slices.Reverse(events)
					}
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"object":"list","data":[%s],"first_id":null,"last_id":null,"has_more":%v}`, strings.Join(events, ","), len(events) == 100)
				}))
			})
			_, events, done, err := read(t.Context(), c, all)
			if len(events) != test.events || done != test.done || (err == nil) != test.done || errors.Is(err, openai.ErrOutOfOrder) != test.order {
				t.Errorf("%+v: %d events, complete %v, %v", test, len(events), done, err)
			}
		})
	}
}
