package kafka

import (
	"net"
	"regexp"
	"strconv"
)

var hostSyntax = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)

// IsHost reports whether s is the name of a host, or an IP address.
func IsHost(s string) bool { return hostSyntax.MatchString(s) || net.ParseIP(s) != nil }

// IsBroker reports whether s is a host, or a host and a port.
func IsBroker(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "9092" // the client's default
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && IsHost(host)
}

// IsRemote reports whether what is sent to s, a host or a host and a port, leaves this
// host, so that others can read it on its way.
func IsRemote(s string) bool {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		host = s
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}
