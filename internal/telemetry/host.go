package telemetry

import (
	"net"
	"net/http"
	"strings"
)

// answersTo lets a listener on loopback answer to loopback's names only, and to the
// one it was given. A page elsewhere can make its own name mean 127.0.0.1, and a
// browser would then let it read ours. A listener on more than loopback has other
// names, which are not known here.
func answersTo(addr string, listens net.Addr, next http.Handler) http.Handler {
	tcp, ok := listens.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return next
	}
	given := hostOf(addr)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		ip := net.ParseIP(host)
		// Without a name it is no browser: those always send one.
		if host == "" || host == "localhost" || host == given || ip != nil && ip.IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		guarded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			plain(w, http.StatusMisdirectedRequest, "This page listens on loopback and answers to the names of loopback only: open http://"+
				listens.String()+"/. A reverse proxy in front of it must send Host: localhost.\n")
		})).ServeHTTP(w, r)
	})
}

// hostOf is the host of host:port, in small letters and without brackets.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}
