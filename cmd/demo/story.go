package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// story is one run of the demo.
type story struct {
	options
	*screen
	api      *simulator.API // nil with the real one
	settings settings
	follower *follower
	process  *process
	feeding  sync.WaitGroup

	// beforeProof lets a test change the truth.
	beforeProof func(*simulator.API)
}

func newStory(o options, out io.Writer) *story {
	return &story{options: o, screen: &screen{out: out}}
}

// tell runs the demo from beginning to end. When ctx ends, it goes to the end.
func (s *story) tell(ctx context.Context) error {
	// What serves the demo outlives a Ctrl-C, for the proof.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()

	closeWorld, err := s.setUp(life)
	defer closeWorld()
	if err != nil {
		return err
	}
	if s.follower, err = newFollower(s.screen, s.source()); err != nil {
		return err
	}
	background.Go(func() { s.follower.run(life, s.settings.Brokers) }) // ends with life

	err = s.act(ctx)
	if s.process != nil {
		defer s.process.kill() // does nothing after a stop
	}
	if err != nil {
		return err
	}
	return s.prove(life)
}

// source is the header by which this run's events are known.
func (s *story) source() string { return codec.Source(s.settings.Organization) }

// setUp makes the broker and the API, as far as they are not real.
func (s *story) setUp(ctx context.Context) (closeWorld func(), err error) {
	var closers []func()
	closeWorld = func() {
		for _, c := range closers {
			c()
		}
	}
	s.settings = settings{Organization: "demo", Brokers: s.brokers, Verbose: s.verbose}
	s.step("Kafka")
	if len(s.brokers) == 0 {
		cluster, err := kafkatest.StartInProcess()
		if err != nil {
			return closeWorld, err
		}
		closers = append(closers, cluster.Close)
		s.settings.Brokers = cluster.Brokers()
		s.printf("  a broker inside this process, at %s", strings.Join(s.settings.Brokers, ","))
	} else {
		s.printf("  yours, at %s", strings.Join(s.brokers, ","))
		if !s.realAPI {
			// The topics may hold events of an earlier run, which are not this API's.
			s.settings.Organization = fmt.Sprintf("demo-%x", time.Now().Unix())
		}
	}
	s.printf("  topics %s, %s and %s", eventsTopic, offsetsTopic, dlqTopic)

	s.step("OpenAI's audit log")
	if s.realAPI {
		s.settings.KeyFile, s.settings.BaseURL = s.keyFile, cmp.Or(s.realURL, "https://api.openai.com/v1")
		s.settings.Since, s.settings.Poll = time.Now().Add(-s.since).Truncate(time.Second), 2*time.Second
		s.printf("  the real one, from %s on", s.settings.Since.UTC().Format(time.RFC3339))
		return closeWorld, nil
	}
	s.api = simulated(s.seed, s.history)
	server, err := serve(ctx, "127.0.0.1:0", s.api)
	if err != nil {
		return closeWorld, err
	}
	closers = append(closers, server.stop)
	s.settings.Key, s.settings.BaseURL = simulator.Key, server.baseURL
	s.settings.Since, s.settings.Poll = time.Now().Add(-31*24*time.Hour), time.Second
	s.printf("  a simulated one, at %s", server.baseURL)
	s.printf("  with %s events of the last 30 days, 100 a page, newest first", thousands(s.history))
	return closeWorld, nil
}

// act is what there is to see. It returns early, without an error, when ctx ends.
func (s *story) act(ctx context.Context) error {
	s.step("Connector")
	page, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	s.settings.Page, s.settings.ShowEvents = page, !s.realAPI
	if err := s.startConnector(); err != nil {
		return err
	}
	s.printf("  a process of its own (pid %d), so that it can be killed", s.process.cmd.Process.Pid)
	s.printf("  its status page: http://%s/", s.settings.Page)
	if err := s.awaitHistory(ctx); err != nil {
		return err
	}

	s.step("Live, for %v: what a read_committed consumer sees", s.duration)
	s.heading()
	s.follower.showFromNow()
	stopFeed := s.feed(ctx)
	defer stopFeed()
	began := time.Now()
	for _, scene := range []struct {
		at  float64 // of the duration
		act func(context.Context) error
	}{
		{0.25, s.lateEvent}, {0.35, s.tenantEvent}, {0.5, s.crash}, {1, func(context.Context) error { return nil }},
	} {
		at := began.Add(time.Duration(scene.at * float64(s.duration)))
		if err := s.await(ctx, time.Until(at), func() bool { return false }); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := scene.act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress is one of loopback where nobody listens, for the status page of the
// connector and of the one after it.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *story) startConnector() error {
	p, err := start(s.settings, &logWriter{screen: s.screen})
	if err == nil {
		s.process = p
	}
	return err
}

// awaitHistory shows how history comes in.
func (s *story) awaitHistory(ctx context.Context) error {
	if s.realAPI {
		// Nobody knows how much there is; what comes is shown with the live ones.
		return nil
	}
	s.step("History: %s events, oldest first, in windows read in parallel", thousands(s.history))
	began, shown := time.Now(), 0
	err := s.await(ctx, 5*time.Minute, func() bool {
		n := s.follower.count()
		if quarter := 4 * n / max(1, s.history); quarter > shown {
			shown = quarter
			s.printf("  %7s committed after %v", thousands(n), time.Since(began).Round(10*time.Millisecond))
		}
		return n >= s.history
	})
	if err == nil && ctx.Err() == nil && s.follower.count() < s.history {
		err = errors.New("history did not arrive within five minutes")
	}
	return err
}

// feed adds live events until the function it returns is called.
func (s *story) feed(ctx context.Context) (stop func()) {
	if s.realAPI {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	s.feeding.Go(func() { s.api.Feed(ctx, s.rate) }) // ends with ctx
	return func() {
		cancel()
		s.feeding.Wait()
	}
}

func (s *story) lateEvent(context.Context) error {
	if !s.realAPI {
		s.printf("  -- now an event shows up three minutes after it took effect")
		s.api.Add(simulator.Event{
			ID: "audit_log-demoEventThatIsLate00000", Type: "api_key.created",
			EffectiveAt: auditlog.SecondOf(time.Now().Add(-3 * time.Minute)),
		})
	}
	return nil
}

func (s *story) tenantEvent(context.Context) error {
	if !s.realAPI {
		s.printf("  -- now one of the tenant scope, which is a list of its own")
		s.api.Add(simulator.Event{
			ID: "audit_log-demoEventOfTheTenant000", Type: "role.bound_to_resource",
			Scopes: []auditlog.Scope{auditlog.ScopeTenant}, EffectiveAt: auditlog.SecondOf(time.Now()),
		})
	}
	return nil
}

// burst is how many events there are at once when the connector is killed.
const burst = 500

// crash kills the connector at a moment that it does not choose, and starts it
// again.
func (s *story) crash(ctx context.Context) error {
	if !s.realAPI {
		s.printf("  -- now %d events at once, and kill -9 of the connector among them", burst)
		s.api.Step(burst, 0.5, s.settings.Poll)
	}
	// Somewhere in the next poll: before it, while it reads or writes, or after.
	if err := s.await(ctx, rand.N(s.settings.Poll), func() bool { return false }); err != nil {
		return err
	}
	pid := s.process.cmd.Process.Pid
	s.process.kill()
	s.printf("  -- killed (pid %d); nothing is read now, and events go on", pid)
	if err := s.await(ctx, min(2*time.Second, s.duration/8), func() bool { return false }); err != nil {
		return err
	}
	if err := s.startConnector(); err != nil {
		return err
	}
	s.printf("  -- started again (pid %d): it fences the old one, reads the topic, and goes on from there", s.process.cmd.Process.Pid)
	return nil
}

// await waits until done, or until the time is over, or until ctx ends. The error
// is that of a connector or a consumer that ended by itself.
func (s *story) await(ctx context.Context, most time.Duration, done func() bool) error {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var ended chan struct{}
	if s.process != nil {
		ended = s.process.ended
	}
	for !done() {
		select {
		case <-ctx.Done():
			return nil
		case <-deadline.C:
			return nil
		case <-ended:
			if s.process.killed {
				ended = nil // by us
				continue
			}
			return fmt.Errorf("the connector ended by itself (%w); --verbose shows its log", s.process.err)
		case <-tick.C:
			if err := s.follower.failed(); err != nil {
				return err
			}
		}
	}
	return nil
}
