package openai

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// newTransport returns the transport used when none is given. The time to an
// answer is bounded by Config.Timeout, so only what comes before the request has
// bounds of its own here.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// Without it the error has no type, and a proxy's refusal cannot be recognized.
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode == http.StatusOK {
				return nil
			}
			return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: fmt.Errorf("the proxy answers HTTP %d", res.StatusCode)}
		},
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		// Without pings a connection that died silently is used again and again:
		// each request on it runs into its timeout and leaves it open.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		// The default of 2 would close and open connections all through a
		// parallel read of history.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		// We decompress: a cut stream must be an error, and what comes out of it
		// must be bounded.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
	}
}
