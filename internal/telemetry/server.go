package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the status page, /metrics, /healthz, /readyz and /api/status.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready, text := t.ready(); ready {
			plain(w, http.StatusOK, text)
		} else {
			plain(w, http.StatusServiceUnavailable, text)
		}
	})
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.MarshalIndent(t.Status(), "", "  ")
		if err != nil {
			panic("telemetry: a status that is not JSON: " + err.Error()) // the types are ours
		}
		write(w, http.StatusOK, "application/json", append(body, '\n'))
	})
	t.pages(mux)
	return guarded(mux)
}

// guarded gives the same headers to every answer.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, code int, text string) {
	write(w, code, "text/plain; charset=utf-8", []byte(text))
}

func write(w http.ResponseWriter, code int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_, _ = w.Write(body) // an error means that the client is gone
}

// Server serves a Handler on an address.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// Listen opens the address, so that one that is taken is found before any work
// begins.
func Listen(ctx context.Context, addr string, handler http.Handler) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the status page, HTTP_ADDR=%s: %w; choose another address, or off", addr, err)
	}
	return &Server{l, &http.Server{
		Handler: answersTo(addr, l.Addr(), handler),
		// Against clients that are slow on purpose. A scrape is written within
		// a second.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr is the address it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is where a browser on this host finds the page.
func (s *Server) URL() string {
	host, port, _ := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens everywhere
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// shutdownGrace is what answers under way may take when the process leaves; it
// has eight seconds for everything.
const shutdownGrace = time.Second

// Serve answers until ctx ends, and then lets answers under way finish.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // ends below
		defer close(done)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if s.server.Shutdown(grace) != nil {
			_ = s.server.Close() // they had their time
		}
	})
	err := s.server.Serve(s.listener)
	if stop() {
		return fmt.Errorf("serving the status page: %w", err) // nobody asked it to end
	}
	<-done
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the status page: %w", err)
	}
	return nil
}

// Probe asks the server at addr for a path, for containers without a shell. It
// returns whether the answer was 200, and its text.
func Probe(ctx context.Context, addr, path string) (bool, string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, "", fmt.Errorf("HTTP_ADDR=%s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens everywhere
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return false, "", err
	}
	// No proxy: it would be asked for localhost.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode == http.StatusOK, string(text), err
}
