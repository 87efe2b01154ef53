package simulator

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Path is where the endpoint lies under the host.
const Path = "/v1/organization/audit_logs"

// Key is a key that is accepted when Config.Keys is empty.
const Key = "sk-admin-simulated-0000000000000000"

// Config says how the API behaves. The zero value is a well-behaved API of one
// empty organization.
type Config struct {
	// Seed makes what is random the same in each run.
	Seed uint64
	// Now is the API's clock; nil: time.Now.
	Now func() time.Time
	// Organization is sent as the header openai-organization, if not empty.
	Organization string
	// Keys are accepted as bearer tokens; empty: Key alone.
	Keys []string
	// TenantForbidden answers tenant_only=true with 403.
	TenantForbidden bool
	// OrderSkew orders the list by a time of arrival that is up to this much
	// before or after effective_at.
	OrderSkew time.Duration
	// IgnoreUnknown lets undocumented parameters pass; else they are a 400.
	IgnoreUnknown bool
	// Latency is waited before each answer.
	Latency time.Duration
	// RequestsPerMinute is a rate limit, a bucket that holds Burst requests; 0:
	// none. Above it the answer is 429 with Retry-After in seconds.
	RequestsPerMinute int
	// Burst is at least 1; 0: a tenth of RequestsPerMinute.
	Burst int
	// RetryAfter is what the 429s of Faults say; 0: one second.
	RetryAfter time.Duration
	// DateOffset is added to the header Date.
	DateOffset time.Duration
	// NoGzip never compresses.
	NoGzip bool
	// Faults gives the probability of each fault for each request.
	Faults map[Fault]float64
	// EndlessBytes is where endless bodies end after all; 0: 1 GiB.
	EndlessBytes int64
	// OnRequest is called before each answer, and may change what the API holds.
	OnRequest func(*http.Request)
}

// API is the simulated endpoint. Its methods may be called while it serves.
type API struct {
	cfg   Config
	store store
	stats counter
	limit *bucket

	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	keys   []string
	tenant bool // tenant events are allowed
	faults []faultChance
	script []Fault
}

// New returns an API without events.
func New(cfg Config) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RetryAfter == 0 {
		cfg.RetryAfter = time.Second
	}
	if cfg.EndlessBytes == 0 {
		cfg.EndlessBytes = 1 << 30
	}
	if cfg.Burst == 0 {
		cfg.Burst = max(cfg.RequestsPerMinute/10, 1)
	}
	if len(cfg.Keys) == 0 {
		cfg.Keys = []string{Key}
	}
	a := &API{
		cfg:    cfg,
		limit:  newBucket(cfg.RequestsPerMinute, cfg.Burst, cfg.Now()),
		rng:    rand.New(rand.NewPCG(cfg.Seed, 1)),
		keys:   cfg.Keys,
		tenant: !cfg.TenantForbidden,
	}
	a.store.init(cfg.Seed, int64(cfg.OrderSkew/time.Second))
	a.SetFaults(cfg.Faults)
	return a
}

// SetKeys replaces the accepted keys.
func (a *API) SetKeys(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = slices.Clone(keys)
}

// AllowTenant says whether tenant_only=true is answered, or forbidden.
func (a *API) AllowTenant(allowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tenant = allowed
}

// SetFaults replaces the probabilities of faults.
func (a *API) SetFaults(faults map[Fault]float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = sortedChances(faults)
}

// Script sets what happens to the next requests, one fault each, before the
// probabilities count again. None is a request without a fault.
func (a *API) Script(faults ...Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.script = append(a.script, faults...)
}

// Scripted returns how many faults of Script are still to come.
func (a *API) Scripted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.script)
}

// nextFault draws the fault of a request.
func (a *API) nextFault() Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.script) > 0 {
		f := a.script[0]
		a.script = a.script[1:]
		return f
	}
	for _, c := range a.faults {
		if a.rng.Float64() < c.chance {
			return c.fault
		}
	}
	return None
}

// intN returns a random number below n.
func (a *API) intN(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rng.IntN(n)
}

// Event is one event as the API holds it.
type Event struct {
	// ID is the event's id; empty for one without.
	ID string
	// Type is its type. When an event is added without Raw it says what to make;
	// empty: a login.
	Type string
	// Scopes are the lists that show it; empty: the organization's.
	Scopes []auditlog.Scope
	// EffectiveAt is its time, by which it is listed.
	EffectiveAt auditlog.Second
	// VisibleAt is when it shows up; zero: when it is added.
	VisibleAt time.Time
	// Hidden says that it is not shown any more.
	Hidden bool
	// Raw is its JSON; nil when added: made from the rest.
	Raw []byte
}
