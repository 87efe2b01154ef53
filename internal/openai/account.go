package openai

import (
	"log/slog"
	"net/http"
	"time"
)

// Account is how the log of an organization is asked for: where, as whom, and how fast.
type Account struct {
	// BaseURL, Key, KeySetting and BaseURLSetting are those of Config.
	BaseURL        string
	Key            func() (string, error)
	KeySetting     string
	BaseURLSetting string
	// Transport does the requests; nil: one of ours.
	Transport http.RoundTripper
	// Concurrency and RequestsPerMinute are those of LimiterConfig.
	Concurrency       int
	RequestsPerMinute int
}

// Config returns what a client of the account needs. All clients that are made of it
// share one limiter and one clock: the API counts requests by organization.
func (a Account) Config(now func() time.Time, log *slog.Logger) Config {
	return Config{
		BaseURL:        a.BaseURL,
		Key:            a.Key,
		KeySetting:     a.KeySetting,
		BaseURLSetting: a.BaseURLSetting,
		Transport:      a.Transport,
		Limiter: NewLimiter(LimiterConfig{
			Concurrency:       a.Concurrency,
			RequestsPerMinute: a.RequestsPerMinute,
			Now:               now,
		}),
		Clock:  new(Clock),
		Now:    now,
		Logger: log,
	}
}
