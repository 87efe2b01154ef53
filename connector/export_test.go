package connector

import (
	"context"
	"net"
	"net/http"
	"time"
)

// NewUnchecked is New for tests whose polls are quicker than Validate allows, and whose
// brokers have the addresses of a virtual network.
func NewUnchecked(cfg Config) (*Connector, error) { return newConnector(cfg) }

// SetTransport replaces the network to the API.
func (c *Connector) SetTransport(t http.RoundTripper) { c.transport = t }

// SetDial replaces the network to the brokers.
func (c *Connector) SetDial(d func(ctx context.Context, network, addr string) (net.Conn, error)) {
	c.dial = d
}

// SetNow replaces the clock.
func (c *Connector) SetNow(now func() time.Time) { c.now = now }

// SetHost replaces the name of this host.
func (c *Connector) SetHost(host string) { c.host = host }
