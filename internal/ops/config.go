package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Config is what the commands work with, for one organization.
type Config struct {
	// Organization is the name from the settings.
	Organization string
	Connection   kafka.Connection
	Topics       target.Topics
	// TransactionalID is the prefix of the transactional ids; empty: the name of
	// the offsets topic.
	TransactionalID string
	// Compression, Headers and EventTime are how the connector writes.
	Compression string
	Headers     []kafka.Header
	EventTime   bool
	API         API
	// Lookback and DeepLookback are how far back the connector reads, and so for how long
	// it remembers what it wrote.
	Lookback, DeepLookback time.Duration
	// Registry is the schema registry; without a URL there is none.
	Registry codec.RegistryConfig
	// Progress is called often with how far a long command is. It may be nil.
	Progress Progress
	Logger   *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// API says how to ask the API.
type API struct {
	BaseURL string
	// Key returns the admin key; nil where none is needed.
	Key func() (string, error)
	// KeySetting is the name of the setting that gives it; empty: OPENAI_ADMIN_KEY.
	KeySetting string
	// BaseURLSetting is the name of the setting that gives BaseURL; empty: OPENAI_BASE_URL.
	BaseURLSetting string
	// Transport does the requests; nil: one of package openai.
	Transport         http.RoundTripper
	Concurrency       int
	RequestsPerMinute int
	// Tenant says whether tenant events are read.
	Tenant Tenant
}

func (a API) keySetting() string { return cmp.Or(a.KeySetting, "OPENAI_ADMIN_KEY") }

// Tenant says whether tenant events are read.
type Tenant string

// The values of Tenant.
const (
	TenantAuto Tenant = "auto"
	TenantOn   Tenant = "on"
	TenantOff  Tenant = "off"
)

// Progress is called with what is being done, and how much of it is done.
type Progress func(doing string, done, total int64)

var (
	// ErrFenced says that another instance took the transactional id over.
	ErrFenced = txlog.ErrFenced
	// ErrUnconfirmed says that it is not known what was written.
	ErrUnconfirmed = txlog.ErrUnconfirmed
)

// userAgent is how the API's operators can know us.
const userAgent = "openai-audit-kafka"

// readLimit bounds the read of a topic that an open transaction holds up. It is
// counted for each piece, so a large topic may take as long as it needs.
const readLimit = 3 * time.Minute

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c Config) progress(doing string, done, total int64) {
	if c.Progress != nil {
		c.Progress(doing, done, total)
	}
}

// source is the header ce_source of the organization's records.
func (c Config) source() string { return codec.Source(c.Organization) }

// transactionalID returns the id under which the connector writes; with parts,
// those of others for the same organization.
func (c Config) transactionalID(parts ...string) string {
	owner := strings.Join(append([]string{c.Organization}, parts...), "/")
	return txlog.TransactionalID(c.TransactionalID, c.Topics.Offsets, owner)
}

// client returns a client of the API that asks so often for a page; 0: as often as
// usual.
func (c Config) client(attempts int) (*openai.Client, error) {
	if c.API.Key == nil {
		return nil, fmt.Errorf("there is no admin key: give one in %s or its file", c.API.keySetting())
	}
	return openai.New(openai.Config{
		BaseURL:        c.API.BaseURL,
		Key:            c.API.Key,
		KeySetting:     c.API.KeySetting,
		BaseURLSetting: c.API.BaseURLSetting,
		Transport:      c.API.Transport,
		Limiter: openai.NewLimiter(openai.LimiterConfig{
			Concurrency:       c.API.Concurrency,
			RequestsPerMinute: c.API.RequestsPerMinute,
			Now:               c.Now,
		}),
		Now:       c.Now,
		UserAgent: userAgent,
		Logger:    c.Logger,
		Attempts:  attempts,
	})
}

// decoder returns a decoder of the events topic's values. How it asks the registry can
// be wrapped; nil: as it is.
func (c Config) decoder(wrap func(codec.SchemaLookup) codec.SchemaLookup) (*codec.Decoder, error) {
	if c.Registry.URL == "" {
		return codec.NewDecoder(nil)
	}
	lookup := codec.LookupSchemas(c.Registry)
	if wrap != nil {
		lookup = wrap(lookup)
	}
	return codec.NewDecoder(lookup)
}

// remembering asks for each schema once, also for one that is not known: a registry
// that lost its ids would be asked again for each of a million records.
func remembering(lookup codec.SchemaLookup) codec.SchemaLookup {
	type answer struct {
		text string
		err  error
	}
	answers := map[int]answer{}
	return func(ctx context.Context, id int) (string, error) {
		a, asked := answers[id]
		if !asked {
			a.text, a.err = lookup(ctx, id)
			if a.err == nil || errors.Is(a.err, codec.ErrUnknownSchema) {
				answers[id] = a
			}
		}
		return a.text, a.err
	}
}

// describe returns the topics of these roles as the brokers have them. All must be there.
func (c Config) describe(ctx context.Context, roles ...string) (target.Found, error) {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = c.Topics.Of(role)
	}
	topics, err := kafka.DescribeTopics(ctx, c.Connection, names...)
	if err != nil {
		return nil, explained(err)
	}
	for _, name := range names {
		if _, ok := topics[name]; !ok {
			return nil, missingTopic(name)
		}
	}
	return c.Topics.Found(topics), nil
}

func missingTopic(name string) error {
	return fmt.Errorf("the topic %s does not exist, or may not be seen: `run` makes it, `check` says what is missing", name)
}

// explained adds cause and remedy to an error of Kafka.
func explained(err error) error { return fmt.Errorf("%w: %s", err, kafka.Explain(err)) }
