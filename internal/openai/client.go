package openai

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config is what a Client needs. BaseURL and Key are required.
type Config struct {
	// BaseURL is the API's, for example https://api.openai.com/v1, without a
	// user, a query or a fragment.
	BaseURL string
	// Key returns the admin key. It is called for each request, so a replaced
	// file is used at once, and from many goroutines. The key is never printed.
	Key func() (string, error)
	// KeySetting is the name of the setting that gives the key, for messages; empty:
	// OPENAI_ADMIN_KEY.
	KeySetting string
	// BaseURLSetting is the same for BaseURL; empty: OPENAI_BASE_URL.
	BaseURLSetting string
	// Transport does the requests. Nil: one of ours, see newTransport.
	Transport http.RoundTripper
	// Limiter is shared by all walks of an organization. Nil: a limiter of the
	// client's own without limits, which still waits when the server says so.
	Limiter *Limiter
	// Clock is the API's clock, shared by all clients of an organization. Nil: one of
	// the client's own.
	Clock *Clock
	// Now is the local clock. Nil: time.Now.
	Now func() time.Time
	// Logger logs pages that are asked for again. It may be nil.
	Logger *slog.Logger
	// OnRequest is called for each request, with the HTTP status, 0 if no answer came,
	// and the time to the end of the body. It may be nil.
	OnRequest func(code int, took time.Duration)
	// OnRefused is called for each answer 401 or 403, with what it says is wrong. It may
	// be nil.
	OnRefused func(kind Kind)
	// OnRateLimited is called when a 429 made a request wait, with what that adds to the
	// time in which at least one request waits. It may be nil.
	OnRateLimited func(wait time.Duration)
	// MaxBodyBytes bounds a page after decompression; default 32 MiB. A larger
	// page is asked for again with half the events, down to one, before it is an
	// error. One page of history at a time may be larger than 2 MiB.
	MaxBodyBytes int64
	// Timeout bounds one request, from its start to the end of the body; default
	// 30 s.
	Timeout time.Duration
	// Attempts is how often a page is asked for when failures may pass; default
	// 5. Waits that a 429 ordered are not counted, see orderedWaits.
	Attempts int
}

func (c Config) withDefaults() Config {
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Limiter == nil {
		c.Limiter = NewLimiter(LimiterConfig{Now: c.Now})
	}
	if c.Clock == nil {
		c.Clock = new(Clock)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnRequest == nil {
		c.OnRequest = func(int, time.Duration) {}
	}
	if c.OnRefused == nil {
		c.OnRefused = func(Kind) {}
	}
	if c.OnRateLimited == nil {
		c.OnRateLimited = func(time.Duration) {}
	}
	if c.MaxBodyBytes <= 0 {
		c.MaxBodyBytes = 32 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
	return c
}

// Client reads the audit log of one organization. It may be used by many
// goroutines at once.
type Client struct {
	cfg      Config
	endpoint string
	// lastID keeps the note that last_id is not the last record's id to one.
	lastID sync.Once
	strays strays
}

// New returns a client. It sends nothing. The error names what in cfg cannot be
// used and never quotes it, since a URL may hold a password.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("the API's base URL is not one: give it as https://host/v1")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the API's base URL holds a user, a query or a fragment: give it as https://host/v1")
	case cfg.Key == nil:
		return nil, errors.New("no admin key was given")
	}
	return &Client{
		cfg:      cfg.withDefaults(),
		endpoint: strings.TrimRight(u.String(), "/") + "/organization/audit_logs",
	}, nil
}
