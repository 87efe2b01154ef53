package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// follower shows the events of the topic as they are committed: a read_committed
// consumer like anybody's.
type follower struct {
	*screen
	source  string // ce_source of the events that are this run's
	decoder *codec.Decoder

	mu     sync.Mutex // guards what follows
	seen   map[string]bool
	live   bool // show events, and not only count them
	newest time.Time
	err    error
}

func newFollower(s *screen, source string) (*follower, error) {
	decoder, err := codec.NewDecoder(nil)
	return &follower{screen: s, source: source, decoder: decoder, seen: map[string]bool{}}, err
}

// run consumes until ctx ends.
func (f *follower) run(ctx context.Context, brokers []string) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(eventsTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond),
		// The connector makes the topic in a moment.
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.MetadataMaxAge(time.Second),
	)
	if err != nil {
		f.fail(err)
		return
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		var events []codec.Record
		fetches.EachRecord(func(r *kgo.Record) {
			if header(r, "ce_source") != f.source {
				return // of an earlier run
			}
			event, err := f.decoder.Decode(ctx, r.Value)
			if err != nil {
				f.fail(fmt.Errorf("offset %d: %w", r.Offset, err))
				return
			}
			events = append(events, event)
		})
		f.show(events)
	}
}

const (
	// shownAtOnce is how many events of a fetch are shown one by one.
	shownAtOnce = 6
	// noteworthy is how late an event is that is called late.
	noteworthy = 30 * time.Second
)

func (f *follower) show(events []codec.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := 0
	for i, e := range events {
		f.seen[e.ID] = true
		late := f.newest.Sub(e.EffectiveAt)
		switch {
		case !f.live:
		case i < shownAtOnce, late > noteworthy: // a late event is what the story is about
			f.event(e, note(e, late))
		default:
			more++
		}
		if e.EffectiveAt.After(f.newest) {
			f.newest = e.EffectiveAt
		}
	}
	if more > 0 {
		f.printf("  ... and %d more", more)
	}
}

func note(e codec.Record, late time.Duration) string {
	switch {
	case late > noteworthy:
		return "late by " + late.Round(time.Second).String()
	case e.EventScope != "organization":
		return e.EventScope + " scope"
	}
	return ""
}

// showFromNow begins to show events one by one.
func (f *follower) showFromNow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = true
}

// count returns how many different events there are.
func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("consuming %s: %w", eventsTopic, err)
	}
}

func (f *follower) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
