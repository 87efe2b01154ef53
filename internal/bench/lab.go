package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// lab is what the parts share.
type lab struct {
	options
	cluster *kafkatest.Cluster
	length  *kafkatest.Length
	dir     string // for files; removed in the end
	report  report // of the part that runs
	alone   bool   // what is measured has a core for itself
}

// say tells how far it is.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// topics are those of one run of the connector.
type topics struct{ events, dlq, offsets string }

func (l *lab) topics() topics {
	name := l.cluster.Name("bench")
	return topics{events: name, dlq: name + ".dlq", offsets: name + ".offsets"}
}

// create makes the topics before the connector would, for those who follow them
// from the beginning.
func (l *lab) create(t topics) {
	l.cluster.CreateTopic(t.events, 1, nil)
	l.cluster.CreateTopic(t.dlq, 1, nil)
	l.cluster.CreateTopic(t.offsets, 16, map[string]string{"cleanup.policy": "compact"})
}

// environ is the connector's whole environment. What is given in the end counts.
func (l *lab) environ(a *audit, t topics, more ...string) []string {
	return append([]string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + a.url(),
		"KAFKA_BROKERS=" + strings.Join(l.cluster.Brokers(), ","),
		"KAFKA_TOPIC=" + t.events, "KAFKA_DLQ_TOPIC=" + t.dlq, "KAFKA_OFFSETS_TOPIC=" + t.offsets,
		"HTTP_ADDR=off", "LOG_LEVEL=warn",
	}, more...)
}

// still is how long a topic must not grow to count as complete.
const still = 500 * time.Millisecond

// awaitRecords waits until the topic has n records and does not grow any more, and
// returns when it grew last. Markers are counted as well, so the end is found by
// the standstill; the caller compares the ids afterwards.
func (l *lab) awaitRecords(ctx context.Context, p *process, topic string, n int, limit time.Duration) (time.Time, error) {
	grew, last := time.Now(), int64(-1)
	for deadline := time.Now().Add(limit); ; {
		now, err := l.length.Committed(ctx, topic)
		if err != nil {
			return grew, err
		}
		if now != last {
			grew, last = time.Now(), now
		}
		switch {
		case now >= int64(n) && time.Since(grew) > still:
			return grew, nil
		case time.Now().After(deadline):
			return grew, fmt.Errorf("%d of %d records after %v", now, n, limit)
		case p.ended():
			return grew, fmt.Errorf("the program ended by itself:\n%s", p.words())
		}
		look := 20 * time.Millisecond
		if now < int64(n)*9/10 {
			look = 100 * time.Millisecond // each look costs the broker some
		}
		if err := pause(ctx, look); err != nil {
			return grew, err
		}
	}
}

// compare compares the topic with what the API has, by id.
func (l *lab) compare(ctx context.Context, a *audit, topic string) (kafkatest.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return l.cluster.CompareIDs(ctx, a.ids(), topic)
}

// lossless is compare for what may not lose or double anything.
func (l *lab) lossless(ctx context.Context, a *audit, names ...string) error {
	for _, topic := range names {
		r, err := l.compare(ctx, a, topic)
		if err != nil {
			return err
		}
		if !r.OK() {
			return fmt.Errorf("the topic is not the log: %v", r)
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// until waits until ok, and not longer than the limit.
func until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", limit, what)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// freeAddr returns an address that nobody listens on.
func freeAddr() (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
