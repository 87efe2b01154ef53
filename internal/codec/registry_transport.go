package codec

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
)

func (c RegistryConfig) transport() (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CAFile == "" {
		return transport, nil
	}
	pem, err := files.Read(c.CAFile)
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

// eachOf asks the addresses of one registry in turn, until one answers as a registry
// does. Requests are made for the first.
type eachOf struct {
	http.RoundTripper
	addresses []*url.URL
}

// RoundTrip sends the request. The last address's answer counts, whatever it is.
func (t eachOf) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	rest := strings.TrimPrefix(req.URL.EscapedPath(), t.addresses[0].EscapedPath())
	for i, address := range t.addresses {
		if i > 0 {
			if err == nil {
				resp.Body.Close()
			}
			if req, err = elsewhere(req, address, rest); err != nil {
				return nil, err
			}
		}
		resp, err = t.RoundTripper.RoundTrip(req)
		if err == nil && isRegistrys(resp) {
			break
		}
	}
	return resp, err
}

// isRegistrys reports whether an answer is one of a registry that works: what was asked
// for, or an error with an error_code. The body can still be read.
func isRegistrys(resp *http.Response) bool {
	switch {
	case resp.StatusCode >= 500:
		return false
	case resp.StatusCode < 300:
		return strings.Contains(resp.Header.Get("Content-Type"), "json")
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer sr.ResponseError
	return err == nil && json.Unmarshal(body, &answer) == nil && answer.ErrorCode > http.StatusNotFound
}

// elsewhere is a request that was sent, for another address.
func elsewhere(req *http.Request, address *url.URL, path string) (*http.Request, error) {
	again := req.Clone(req.Context())
	u, err := url.Parse(strings.TrimRight(address.String(), "/") + path)
	if err != nil {
		return nil, err
	}
	u.RawQuery = req.URL.RawQuery
	again.URL, again.Host = u, ""
	if req.GetBody != nil {
		again.Body, err = req.GetBody()
	}
	return again, err
}

// proxyOf returns the host of the proxy that requests to the address go through, by
// HTTPS_PROXY or HTTP_PROXY; empty if there is none.
func proxyOf(transport *http.Transport, address *url.URL) string {
	if proxy, err := transport.Proxy(&http.Request{URL: address}); err == nil && proxy != nil {
		return proxy.Host
	}
	return ""
}
