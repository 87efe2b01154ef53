package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Config is what the commands work with, for one organization.
type Config struct {
	target.Target // where its events go
	API           API
	// Lookback and DeepLookback are how far back the connector reads, and so for how long
	// it remembers what it wrote.
	Lookback, DeepLookback time.Duration
	// StopGrace is how long a transaction of a repair may still take when it is stopped; zero:
	// four seconds.
	StopGrace time.Duration
	// Progress is called often with how far a long command is. It may be nil.
	Progress Progress
}

// API says how to ask the API.
type API struct {
	openai.Account // without a Key where none is needed
	// Tenant says whether tenant events are read.
	Tenant Tenant
	// Client asks the API in place of a new one; nil: one is made. Wait is called before
	// each request, and may hold it up, or end the command with an error; nil: nothing does.
	// The connector has both.
	Client *openai.Client
	Wait   func(ctx context.Context) error
}

// wait holds a request up for as long as Wait does.
func (a API) wait(ctx context.Context) error {
	if a.Wait == nil {
		return nil
	}
	return a.Wait(ctx)
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

// readLimit bounds the read of a topic that an open transaction holds up. It is
// counted for each piece, so a large topic may take as long as it needs.
const readLimit = 3 * time.Minute

func (c Config) progress(doing string, done, total int64) {
	if c.Progress != nil {
		c.Progress(doing, done, total)
	}
}

// client returns a client of the API that tries each page that many times; 0: as many
// as usual.
func client(c Config, attempts int) (*openai.Client, error) {
	if c.API.Client != nil {
		return c.API.Client, nil
	}
	if c.API.Key == nil {
		return nil, fmt.Errorf("there is no admin key: give one in %s or its file", c.API.keySetting())
	}
	api := c.API.Config(c.Now, c.Logger)
	api.Attempts = attempts
	return openai.New(api)
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

// explained adds cause and remedy to an error of Kafka.
func explained(err error) error { return fmt.Errorf("%w: %s", err, kafka.Explain(err)) }
