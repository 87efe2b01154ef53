package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

const (
	// dialTimeout bounds one connection with its TLS handshake.
	dialTimeout = 10 * time.Second
	// metadataMinAge replaces kgo's 5 s. A produce that meets the markers of the
	// transaction before it (CONCURRENT_TRANSACTIONS) is tried again only after a
	// metadata refresh: with the default that is a stall of five seconds, and
	// after a broker failed the new leader is found as late.
	metadataMinAge = 250 * time.Millisecond
	// retryFirst replaces kgo's 250 ms, after which a request is tried again that a broker
	// has no answer to yet, and retryMost stays what it is there. What is asked about a
	// topic that was just created fails once, and every first start waited for that.
	retryFirst, retryMost = 25 * time.Millisecond, 5 * time.Second
)

// DialFunc opens a connection; that of net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Client is kgo's, for those who only pass one on.
type Client = kgo.Client

// Connection says how to reach the brokers. It is a value: each call of Client makes a
// new client from it.
type Connection struct {
	// Brokers are the bootstrap servers, host:port; at least one.
	Brokers []string
	// ClientID is what broker logs and quotas call us.
	ClientID string
	// TLS is off if zero.
	TLS TLS
	// SASL is off if zero.
	SASL SASL
	// Dial opens the TCP connection; nil means net.Dialer. TLS, if on, is spoken
	// over what it returns.
	Dial DialFunc
	// Logger gets the client's log; nil means none.
	Logger *slog.Logger
	// Metrics counts what the clients do; nil counts nothing.
	Metrics *Metrics
}

// Client returns a client with c's options and then those of the caller, who
// must Close it. It does not connect yet.
//
// All that it does ends with ctx. The end of a request's own context does not end the
// wait for a broker that took the connection and is silent: kgo begins each connection
// with a request of its own, and waits ten seconds for that answer.
func (c Connection) Client(ctx context.Context, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(append(opts, kgo.WithContext(ctx)), extra...)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	return cl, nil
}

// Options returns the options that all our clients have. What they lack is as
// deliberate: no AllowAutoTopicCreation, since a mistyped name must not become a
// topic with the broker's defaults; and no RecordDeliveryTimeout, since kgo counts
// it from the record's timestamp and fails every record of an old event at once.
func (c Connection) Options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("no brokers to connect to")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return nil, errors.New("a client certificate needs both a certificate file and a key file")
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(func(failures int) time.Duration {
			return pause.Backoff(max(1, failures), retryFirst, retryMost)
		}),
		// A dialer of our own rather than DialTLSConfig, so that certificates
		// that were renewed on disk are used by the next connection.
		kgo.Dialer(c.dialer()),
	}
	mechanism, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(kslog.New(slog.New(quietHandler{c.Logger.Handler()}))))
	}
	if c.Metrics != nil {
		opts = append(opts, kgo.WithHooks(c.Metrics))
	}
	return opts, nil
}

// dialer returns how one client dials.
func (c Connection) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	known := new(atomic.Bool)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := c.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &answering{Conn: conn, known: known}, nil
	}
}

func (c Connection) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil || !c.TLS.Enabled {
		return conn, err
	}
	return c.TLS.handshake(ctx, conn, addr)
}

// quietHandler logs what kgo calls information (each metadata update, each new
// producer id) for those who debug only. Its warnings, such as a connection
// refused, are for everybody.
type quietHandler struct{ slog.Handler }

func quiet(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return level + slog.LevelDebug - slog.LevelInfo
	}
	return level
}

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, quiet(level))
}

func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = quiet(r.Level)
	return h.Handler.Handle(ctx, r)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}
