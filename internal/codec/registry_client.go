package codec

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// RegistryConfig says where the schema registry is and what may be done there.
type RegistryConfig struct {
	// URL of the registry. A user part counts as Username and Password where
	// those are not given, and is never shown.
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

// client returns a client of the registry, to be used for one call.
func (c RegistryConfig) client() (*sr.Client, func(), error) {
	address, err := url.Parse(c.URL)
	if err != nil || address.Host == "" {
		return nil, nil, errors.New("the schema registry's URL cannot be read") // err quotes it, with its user part
	}
	username, password := c.Username, c.Password
	if user := address.User; user != nil && username == "" {
		username = user.Username()
		password = func() (string, error) { p, _ := user.Password(); return p, nil }
	}
	address.User = nil // or errors and logs would show it
	transport, err := c.transport()
	if err != nil {
		return nil, nil, &RegistryError{Kind: ErrRegistryUnavailable, Doing: "reading the CA file", Cause: err}
	}
	opts := []sr.ClientOpt{
		sr.URLs(address.String()),
		sr.UserAgent("openai-audit-kafka"),
		sr.HTTPClient(&http.Client{Timeout: registryTimeout, Transport: limitedTransport{transport}}),
	}
	if username != "" {
		opts = append(opts, sr.PreReq(basicAuth(username, password)))
	}
	client, err := sr.NewClient(opts...)
	return client, transport.CloseIdleConnections, err
}

func (c RegistryConfig) transport() (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CAFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", c.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return transport, nil
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

// limitedTransport bounds what an answer may be: the client reads it whole.
type limitedTransport struct{ http.RoundTripper }

// RoundTrip sends the request.
func (t limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxRegistryBody)
	}
	return resp, err
}

// LookupSchemas returns how a Decoder finds the schemas of the registry.
func LookupSchemas(c RegistryConfig) SchemaLookup {
	return func(ctx context.Context, id int) (string, error) {
		client, done, err := c.client()
		if err != nil {
			return "", err
		}
		defer done()
		schema, err := client.SchemaByID(ctx, id)
		if isNotFound(err) {
			return "", ErrUnknownSchema
		}
		return schema.Schema, registryError(ctx, "reading a schema", err)
	}
}
