package config

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// Settings are all settings, read and checked.
type Settings struct {
	// Connector lacks a Logger and Telemetry.
	Connector connector.Config
	HTTP      HTTP
	Log       Log
	// Warnings are about what is allowed and probably not meant.
	Warnings []string

	effective   []Effective
	secretsWait time.Duration
}

// HTTP is the status server.
type HTTP struct {
	// Addr is host:port; empty if there is to be none.
	Addr string
	// ShowEvents shows the latest events, which are personal data.
	ShowEvents bool
}

// Log is the log.
type Log struct {
	Level  slog.Level
	Format string // auto, text or json
}

// Options says what Load needs.
type Options struct {
	// WithoutKey takes settings in which admin keys are missing, for commands that
	// never ask the API. An organization then may have none.
	WithoutKey bool
	// Now is the time from which ages count; zero means now.
	Now time.Time
}

// Environ returns the environment of the process. Only this package reads it, so that
// Effective shows what is in force. The AWS SDK also reads its own variables.
func Environ() []string { return os.Environ() }

// Load makes settings of an environment (of the form of os.Environ). Any error
// is a Faults, with everything that is wrong; the settings hold then what could
// be read, for those who only look.
func Load(environ []string, opts Options) (*Settings, error) {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	e, v := newEnvironment(environ), defaultValues()
	checkNames(e)
	checkSecretsElsewhere(e)
	e.parse(&v, "")

	s := &Settings{Connector: connector.DefaultConfig(), secretsWait: time.Duration(v.SecretsWait)}
	e.apply(v, &s.Connector)
	checkRetention(e, v, &s.Connector.Kafka)
	e.takeTLS(v, &s.Connector.Kafka.TLS)
	e.takeSASL(v, &s.Connector.Kafka)
	e.takeRegistry(v, &s.Connector.Registry)
	checkOperation(e, v, s)
	s.Connector.Organizations = e.organizations(opts)
	e.check(s.Connector, opts)
	if len(e.numbers()) > 0 {
		s.Warnings = append(s.Warnings, replaced(e)...)
	}
	s.Warnings = append(s.Warnings, e.warnings...)
	s.effective = effective(e, s)
	if len(e.faults) > 0 {
		return s, e.faults.sorted()
	}
	return s, nil
}

// LoadWhenThere is Load for a start: it waits for as long as SECRETS_WAIT says for
// secrets whose files are missing or empty, which a sidecar may write. waiting is called
// once, with what is missing.
func LoadWhenThere(ctx context.Context, environ []string, opts Options, waiting func(*Settings, Faults)) (*Settings, error) {
	began := time.Now()
	for told := false; ; told = true {
		s, err := Load(environ, opts)
		faults, _ := errors.AsType[Faults](err)
		otherwise := slices.ContainsFunc(faults, func(f Fault) bool { return !f.absent })
		if len(faults) == 0 || otherwise || time.Since(began) >= s.secretsWait {
			return s, err
		}
		if !told {
			waiting(s, faults)
		}
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return s, err
		}
	}
}
