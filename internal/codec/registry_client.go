package codec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// RegistryConfig says where the schema registry is and what may be done there.
type RegistryConfig struct {
	// URL of the registry, or several of the same one, comma separated, which are
	// asked in turn. A user part counts as Username and Password where those are not
	// given, and is never shown.
	URL string
	// Username for basic authentication; empty: none.
	Username string
	// Password is asked for each request, so that it can change; nil: none.
	Password func() (string, error)
	// CAFile holds the certificates to trust in place of the system's. It is
	// read when a client is made, which is at every call here.
	CAFile string
	// AutoRegister allows to write to the registry.
	AutoRegister bool
	// Subject is the name of the schema there: schemas.Subject of the topic.
	Subject string
}

const (
	// registryTimeout bounds one request. A registry on Kafka takes seconds for
	// the first write after a start.
	registryTimeout = 30 * time.Second
	// maxRegistryBody bounds an answer; schemas have kilobytes.
	maxRegistryBody = 8 << 20
)

// open returns the registry, to be used for one call.
func (c RegistryConfig) open(logger *slog.Logger) (r registry, done func(), err error) {
	addresses, user, err := c.addresses()
	if err != nil {
		return registry{}, nil, err
	}
	username, password := c.Username, c.Password
	if user != nil && username == "" {
		username = user.Username()
		password = func() (string, error) { p, _ := user.Password(); return p, nil }
	}
	transport, err := c.transport()
	if err != nil {
		return registry{}, nil, &RegistryError{Kind: ErrRegistryUnavailable, Doing: "reading the CA file", Cause: err}
	}
	opts := []sr.ClientOpt{
		sr.URLs(addresses[0].String()),
		sr.UserAgent(auditlog.UserAgent),
		sr.HTTPClient(&http.Client{Timeout: registryTimeout, Transport: eachOf{limitedTransport{transport}, addresses}}),
	}
	if username != "" {
		opts = append(opts, sr.PreReq(basicAuth(username, password)))
	}
	client, err := sr.NewClient(opts...)
	return registry{client, c.Subject, proxyOf(transport, addresses[0]), logger}, transport.CloseIdleConnections, err
}

// addresses returns the registry's URLs without their user part, or errors and logs
// would show it, and the first user that is named.
func (c RegistryConfig) addresses() (addresses []*url.URL, user *url.Userinfo, err error) {
	for text := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, nil, errors.New("the schema registry's URL cannot be read") // err quotes it, with its user part
		}
		user = cmp.Or(user, u.User)
		u.User = nil
		addresses = append(addresses, u)
	}
	return addresses, user, nil
}

func basicAuth(username string, password func() (string, error)) func(*http.Request) error {
	return func(req *http.Request) error {
		secret := ""
		if password != nil {
			var err error
			if secret, err = password(); err != nil {
				return fmt.Errorf("reading the schema registry's password: %w", err)
			}
		}
		req.SetBasicAuth(username, secret)
		return nil
	}
}

// LookupSchemas returns how a Decoder finds the schemas of the registry.
func LookupSchemas(c RegistryConfig) SchemaLookup {
	return func(ctx context.Context, id int) (string, error) {
		r, done, err := c.open(slog.New(slog.DiscardHandler))
		if err != nil {
			return "", err
		}
		defer done()
		schema, err := r.client.SchemaByID(ctx, id)
		if isNotFound(err) {
			return "", ErrUnknownSchema
		}
		return schema.Schema, r.failed(ctx, "reading a schema", err)
	}
}
