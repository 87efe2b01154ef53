package simulator

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	end := a.stats.begin()
	defer end()
	fault := a.nextFault()
	a.stats.fault(fault)
	if a.cfg.OnRequest != nil {
		a.cfg.OnRequest(r)
	}
	if a.cfg.Latency > 0 && !wait(r, a.cfg.Latency) {
		return
	}
	a.head(w, fault)
	switch {
	case fault == Hang:
		<-r.Context().Done()
		return
	case fault == Reset:
		reset(w)
		return
	case r.URL.Path != Path:
		a.fail(w, http.StatusNotFound, apiError{Type: "invalid_request_error", Message: "Unknown request URL."})
		return
	case r.Method != http.MethodGet:
		a.fail(w, http.StatusMethodNotAllowed, apiError{Type: "invalid_request_error", Message: "Not allowed: " + r.Method + "."})
		return
	}
	if a.fails(w, r, fault) || !a.allowed(w, r) {
		return
	}
	a.serve(w, r, fault)
}

// wait waits for d; false if the client went away first.
func wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// head sets the header that every answer has.
func (a *API) head(w http.ResponseWriter, fault Fault) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", fmt.Sprintf("req_%08d", a.stats.total()))
	if a.cfg.Organization != "" {
		h.Set("Openai-Organization", a.cfg.Organization)
	}
	date := a.cfg.Now().Add(a.cfg.DateOffset)
	switch fault {
	case DateMissing:
		h["Date"] = nil // net/http would set one
		return
	case DateOff:
		date = date.Add(6 * time.Hour)
	case DateBehind:
		date = date.Add(-6 * time.Hour)
	}
	h.Set("Date", date.UTC().Format(http.TimeFormat))
}

// allowed checks key and rate limit, and answers if one does not hold.
func (a *API) allowed(w http.ResponseWriter, r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	accepted, tenant := ok && slices.Contains(a.keys, key), a.tenant
	a.mu.Unlock()
	switch {
	case !ok:
		a.fail(w, http.StatusUnauthorized, apiError{Type: "invalid_request_error", Message: "You didn't provide an API key."})
		return false
	case !accepted:
		// As the real one does, the answer quotes what was sent.
		a.fail(w, http.StatusUnauthorized, wrongKey(key))
		return false
	case !tenant && r.URL.Query().Get("tenant_only") == "true":
		a.fail(w, http.StatusForbidden, missingScope)
		return false
	}
	if wait := a.takeToken(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1)))
		a.fail(w, http.StatusTooManyRequests, rateLimited)
		return false
	}
	return true
}

// serve answers with a page.
func (a *API) serve(w http.ResponseWriter, r *http.Request, fault Fault) {
	p, err := parseParams(r.URL.Query(), a.cfg.IgnoreUnknown)
	if err == nil {
		if fault == InsertAtHead {
			a.Step(5, 0, 0)
		}
		var page page
		if page, err = a.page(p, fault); err == nil {
			a.stats.page(len(page.events))
			a.send(w, r, page, fault)
			return
		}
	}
	e := apiError{Type: "invalid_request_error", Message: err.Error()}
	if bad := (badParam{}); errors.As(err, &bad) {
		e.Param = &bad.param
	}
	status := http.StatusBadRequest
	if fault == VanishedGone {
		status = http.StatusNotFound
	}
	a.fail(w, status, e)
}

// page is a page before it is rendered.
type page struct {
	events  []number
	hasMore bool
}

// page lists what the parameters ask for.
func (a *API) page(p params, fault Fault) (page, error) {
	a.store.order()
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	q := query{
		scope: organizationBit, from: p.from, to: p.to, limit: p.limit,
		now: a.cfg.Now().UnixNano(), match: p.match(),
		reversed: fault == Reversed, repeated: fault == RepeatedPage,
	}
	if p.tenantOnly {
		q.scope = tenantBit
	}
	switch fault {
	case SmallPage:
		q.limit = 1 + a.intN(max(p.limit-1, 1))
	case IgnoreWindow:
		q.from, q.to = minAt, maxAt
	case HeadRestart:
		p.after = ""
	case VanishedBad, VanishedGone:
		if p.after != "" {
			return page{}, badParam{"after", "No audit log has the id given as after."}
		}
	}
	var err error
	if q.after, err = a.cursor("after", p.after, q.now); err != nil {
		return page{}, err
	}
	if q.before, err = a.cursor("before", p.before, q.now); err != nil {
		return page{}, err
	}
	events, hasMore := a.store.list(q)
	return a.twist(page{events, hasMore}, fault), nil
}

// cursor finds the event that a cursor names: one that is shown.
func (a *API) cursor(name, id string, now int64) (*number, error) {
	if id == "" {
		return nil, nil
	}
	n, ok := a.store.find(id)
	if !ok || a.store.records[n].hidden || a.store.records[n].visible > now {
		return nil, badParam{name, "No audit log has the id given as " + name + "."}
	}
	return &n, nil
}

// Event finds one event by its id.
func (a *API) Event(id string) (Event, bool) {
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	n, ok := a.store.find(id)
	if !ok {
		return Event{}, false
	}
	return a.store.event(n), true
}
