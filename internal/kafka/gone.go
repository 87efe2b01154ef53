package kafka

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// answering is a connection of a client that may know its settings to be right,
// since a broker has answered it.
//
// A connection that closes before its first answer is to kgo a sign of wrong
// settings (no TLS where the broker wants it), and no request that meets it is tried
// again. But it is also what a load balancer or a container's port does for a broker
// that is gone. So, once any broker has answered, it is reported as a reset connection,
// and the request goes to another broker. Without this, one dead broker of three kept
// every session from starting.
type answering struct {
	net.Conn
	known *atomic.Bool // of the client: some broker has answered
	began bool         // this one has; only its one reader looks
}

// Read implements net.Conn.
func (c *answering) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.began {
		c.began = true
		c.known.Store(true)
	}
	if errors.Is(err, io.EOF) && !c.began && c.known.Load() {
		err = &net.OpError{Op: "read", Net: c.RemoteAddr().Network(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	return n, err
}
