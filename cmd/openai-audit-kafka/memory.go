package main

import (
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// What the garbage collector is told to stay below, in bytes. Without it the heap
// grows to twice of what lives before anything is collected, and half of a small
// container is waste. It is a wish, not a bound: nothing fails above it.
const (
	// Reading history in windows. 64 MiB are promised, and some 21 of them are of the program
	// itself; what lives comes closest to this where the API is slow, and much waits.
	memoryBase = 42 << 20
	memoryCopy = 24 << 20 // more for each copy of the events that is written
	// More for each other organization that reads history at once: clients, pages and windows
	// of its own. With 8 MiB the heap of twelve organizations was full, and the collector
	// used more CPU than all else.
	memoryReader       = 20 << 20
	memoryOrganization = 7 << 17 // more for each other organization: seven eighths of a MiB
	memoryID           = 128     // for each remembered id, twice what it takes
	memoryVerified     = 80      // for each event that the connector verifies by itself, likewise
	memoryStep         = 8 << 20 // a smaller change is not passed on
)

// memoryKeeper is a telemetry that moves the collector's limit with the number of
// remembered ids, which is what a busy organization needs memory for.
type memoryKeeper struct {
	*telemetry.Telemetry
	base int64
	// verifies says that the connector compares the topic with the API by itself.
	verifies bool

	mu       sync.Mutex // guards what follows
	seen     map[string]int
	verified int   // events of the largest comparison; one is under way at a time
	inForce  int64 // the limit
}

// keepMemory sets the limit, unless GOMEMLIMIT in the environment did: "off", too.
func keepMemory(tel *telemetry.Telemetry, cfg connector.Config, environ []string) connector.Telemetry {
	if slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") && v != "GOMEMLIMIT=" }) {
		return tel
	}
	others := len(cfg.Organizations) - 1
	m := &memoryKeeper{Telemetry: tel, seen: map[string]int{}, verifies: cfg.VerifyEvery > 0}
	m.base = memoryBase + int64(others)*memoryOrganization + int64(min(others, connector.HistoryAtOnce-1))*memoryReader
	for _, topic := range cfg.Kafka.CopyTopics() {
		if *topic != "" {
			m.base += memoryCopy
		}
	}
	m.inForce = m.base
	debug.SetMemoryLimit(m.base)
	return m
}

// Positions moves the limit, and passes the positions on.
func (m *memoryKeeper) Positions(organization string, p connector.Positions) {
	m.Telemetry.Positions(organization, p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[organization] = p.SeenIDs
	m.set()
}

// Verified makes room for the next comparison, which will be about as large.
func (m *memoryKeeper) Verified(organization string, v connector.Verification) {
	m.Telemetry.Verified(organization, v)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.verifies {
		m.verified = max(m.verified, v.Counts["topic"])
		m.set()
	}
}

// set moves the limit. The caller holds mu.
func (m *memoryKeeper) set() {
	limit := m.base + int64(m.verified)*memoryVerified
	for _, n := range m.seen {
		limit += int64(n) * memoryID
	}
	if limit-m.inForce > memoryStep || m.inForce-limit > memoryStep {
		m.inForce = limit
		debug.SetMemoryLimit(limit)
	}
}

// keepTight has the collector run often, for a command whose memory holds next to
// no pointers: that costs little, and without it half of its memory is waste. It
// leaves alone what GOGC set.
func keepTight() {
	const percent, usual = 25, 100
	if was := debug.SetGCPercent(percent); was != usual {
		debug.SetGCPercent(was)
	}
}
