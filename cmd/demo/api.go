package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// latency makes the simulated API a little like one that is far away.
const latency = 25 * time.Millisecond

// simulated returns an API with history of thirty days.
func simulated(seed uint64, history int) *simulator.API {
	api := simulator.New(simulator.Config{Seed: seed, Latency: latency})
	now := time.Now()
	api.Generate(history, auditlog.SecondOf(now.Add(-30*24*time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
	return api
}

// apiServer is an API on a listener.
type apiServer struct {
	baseURL string
	server  *http.Server
	done    chan struct{}
}

// serve listens on the address and serves the API until stop.
func serve(ctx context.Context, addr string, api http.Handler) (*apiServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the simulated API: %w", err)
	}
	s := &apiServer{
		baseURL: "http://" + l.Addr().String() + "/v1",
		server:  &http.Server{Handler: api, ReadHeaderTimeout: 5 * time.Second},
		done:    make(chan struct{}),
	}
	go func() { // ends with stop, which waits
		defer close(s.done)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("demo: the simulated API stopped: " + err.Error()) // nobody asked it to
		}
	}()
	return s, nil
}

func (s *apiServer) stop() {
	_ = s.server.Close() // clients that still read were told to stop before
	<-s.done
}

// probeLimit is below the timeouts that probes usually have.
const probeLimit = 3 * time.Second

// probe asks the simulated API at the address for an event.
func probe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	url := "http://" + addr + simulator.Path + "?limit=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("--addr %q: %w", addr, err)
	}
	req.Header.Set("Authorization", "Bearer "+simulator.Key)
	// The default client would send this to a proxy if the environment names one.
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the simulated API: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the simulated API at %s: %s", addr, resp.Status)
	}
	return nil
}

func apiGreeting(baseURL string, history int, rate float64) string {
	return fmt.Sprintf(`The simulated API is at %[1]s
It holds %[3]s events of 30 days; %[4]g more come a second. Ctrl-C ends it.

Look at it:
  curl -s '%[1]s/organization/audit_logs?limit=2' -H 'Authorization: Bearer %[2]s'

Let the connector read it:
  OPENAI_BASE_URL=%[1]s OPENAI_ADMIN_KEY=%[2]s BACKFILL_START_TIME=30d openai-audit-kafka
`, baseURL, simulator.Key, thousands(history), rate)
}
