package simulator

import (
	"maps"
	"sync"
)

// Stats counts what an API was asked and what it answered.
type Stats struct {
	Total       int // requests
	Pages       int // answers that were made from a page, broken later or not
	Events      int // in them
	RateLimited int // answers 429
	MaxInFlight int // most requests at once
	Statuses    map[int]int
	Faults      map[Fault]int
}

// Requests returns the counts up to now.
func (a *API) Requests() Stats {
	a.stats.mu.Lock()
	defer a.stats.mu.Unlock()
	s := a.stats.Stats
	s.Statuses, s.Faults = maps.Clone(s.Statuses), maps.Clone(s.Faults)
	return s
}

type counter struct {
	mu sync.Mutex // guards what follows
	Stats
	inFlight int
}

func (c *counter) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Total++
	c.inFlight++
	c.MaxInFlight = max(c.MaxInFlight, c.inFlight)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight--
	}
}

func (c *counter) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Total
}

func (c *counter) page(events int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Pages++
	c.Events += events
}

func (c *counter) fault(f Fault) {
	if f == None {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Faults == nil {
		c.Faults = make(map[Fault]int)
	}
	c.Faults[f]++
}

func (c *counter) status(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Statuses == nil {
		c.Statuses = make(map[int]int)
	}
	c.Statuses[code]++
	if code == 429 {
		c.RateLimited++
	}
}
