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
	an := answer{api: a, w: w, r: r, fault: fault}
	an.give()
}

// answer is the answer to one request, broken if there is a fault.
type answer struct {
	api   *API
	w     http.ResponseWriter
	r     *http.Request
	fault Fault
}

// give sends the answer.
func (an *answer) give() {
	an.header()
	switch {
	case an.fault == Hang:
		<-an.r.Context().Done()
	case an.fault == Reset:
		reset(an.w)
	case an.r.URL.Path != Path:
		an.fail(http.StatusNotFound, apiError{Type: "invalid_request_error", Message: "Unknown request URL."})
	case an.r.Method != http.MethodGet:
		an.fail(http.StatusMethodNotAllowed, apiError{Type: "invalid_request_error", Message: "Not allowed: " + an.r.Method + "."})
	case an.fails() || !an.allowed():
	default:
		an.serve()
	}
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

// header sets the header that every answer has.
func (an *answer) header() {
	a, h := an.api, an.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", fmt.Sprintf("req_%08d", a.stats.total()))
	if a.cfg.Organization != "" {
		h.Set("Openai-Organization", a.cfg.Organization)
	}
	date := a.cfg.Now().Add(a.cfg.DateOffset)
	switch an.fault {
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
func (an *answer) allowed() bool {
	a := an.api
	key, ok := strings.CutPrefix(an.r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	accepted, tenant := ok && slices.Contains(a.keys, key), a.tenant
	a.mu.Unlock()
	switch {
	case !ok:
		an.fail(http.StatusUnauthorized, apiError{Type: "invalid_request_error", Message: "You didn't provide an API key."})
		return false
	case !accepted:
		// As the real one does, the answer quotes what was sent.
		an.fail(http.StatusUnauthorized, wrongKey(key))
		return false
	case !tenant && an.r.URL.Query().Get("tenant_only") == "true":
		an.fail(http.StatusForbidden, missingScope)
		return false
	}
	if wait := a.limit.take(a.cfg.Now()); wait > 0 {
		an.w.Header().Set("Retry-After", strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1)))
		an.fail(http.StatusTooManyRequests, rateLimited)
		return false
	}
	return true
}

// serve answers with a page.
func (an *answer) serve() {
	a := an.api
	p, err := parseParams(an.r.URL.Query(), a.cfg.IgnoreUnknown)
	if err == nil {
		if an.fault == InsertAtHead {
			a.Step(5, 0, 0)
		}
		var page page
		if page, err = an.page(p); err == nil {
			a.stats.page(len(page.events))
			an.send(page)
			return
		}
	}
	e := apiError{Type: "invalid_request_error", Message: err.Error()}
	if bad := (badParam{}); errors.As(err, &bad) {
		e.Param = &bad.param
	}
	status := http.StatusBadRequest
	if an.fault == VanishedGone {
		status = http.StatusNotFound
	}
	an.fail(status, e)
}

// page is a page before it is rendered.
type page struct {
	events  []number
	hasMore bool
}

// page lists what the parameters ask for.
func (an *answer) page(p params) (page, error) {
	a := an.api
	a.store.order()
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	q := query{
		scope: organizationBit, from: p.from, to: p.to, limit: p.limit,
		now: a.cfg.Now().UnixNano(), match: p.match(),
		reversed: an.fault == Reversed, repeated: an.fault == RepeatedPage,
	}
	if p.tenantOnly {
		q.scope = tenantBit
	}
	switch an.fault {
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
	if q.after, err = a.store.cursor("after", p.after, q.now); err != nil {
		return page{}, err
	}
	if q.before, err = a.store.cursor("before", p.before, q.now); err != nil {
		return page{}, err
	}
	events, hasMore := a.store.list(q)
	return an.twist(page{events, hasMore}), nil
}

// cursor finds the event that a cursor names: one that is shown.
func (s *store) cursor(name, id string, now int64) (*number, error) {
	if id == "" {
		return nil, nil
	}
	n, ok := s.find(id)
	if !ok || s.records[n].hidden || s.records[n].visible > now {
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
