package txlog

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Search finds out whether a topic holds committed records with a header, for many that ask.
// All of the topic has to be read to say no. So it is read once for all of them, and then only
// what came since: a hundred organizations that were added to one of a million events each
// read all of it, at the same time, and were ready after six minutes. What takes the offsets of
// records that a broker lost between two reads may be overlooked, as with any reader.
type Search struct {
	header  string
	begun   atomic.Int64  // how many reads
	reading chan struct{} // has one while the topic is read; who put it there owns what follows
	done    int64         // which of the reads was the last that came to its end
	topic   string        // the id of the topic
	next    map[int32]int64
	seen    map[string]struct{} // values
}

// NewSearch returns a search for records with a header of that key.
func NewSearch(header string) *Search {
	return &Search{header: header, reading: make(chan struct{}, 1)}
}

// Holds reports whether the topic holds a committed record whose header has the value. It knows
// of all that was committed when it was called.
func (s *Search) Holds(ctx context.Context, conn kafka.Connection, topic kafka.Topic, value string) (holds bool, err error) {
	came := s.begun.Load()
	select {
	case s.reading <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-s.reading }()
	if topic.ID == "" || topic.ID != s.topic {
		s.topic, s.done, s.next, s.seen = topic.ID, 0, nil, map[string]struct{}{}
	}
	if s.done <= came { // no read that began since we came has ended
		err = s.read(ctx, conn, topic, value)
	}
	// It was seen while somebody else looked, and may have been deleted since.
	if _, seen := s.seen[value]; seen && err == nil {
		s.done, s.next, s.seen = 0, nil, map[string]struct{}{}
		err = s.read(ctx, conn, topic, value)
	}
	switch {
	case errors.Is(err, errFound):
		return true, nil
	case err != nil:
		return false, kafka.Explained("looking through "+topic.Name, err)
	}
	return false, nil
}

var errFound = errors.New("found")

// read reads what came since the last read that came to its end. It ends with errFound where it
// finds the value: what it passed by then is read again for the next one.
func (s *Search) read(ctx context.Context, conn kafka.Connection, topic kafka.Topic, value string) error {
	number := s.begun.Add(1)
	ends := map[int32]int64{}
	part := func(partition int32, now kafka.Offsets) kafka.Span {
		from := max(now.Start, s.next[partition])
		if from > now.Stable { // the broker lost what was there, and other records may follow
			from = now.Start
		}
		ends[partition] = now.Stable
		return kafka.Span{Next: from, End: now.Stable}
	}
	err := readAll(ctx, conn, topic.Name, topic.Partitions, part, func(r *kgo.Record) error {
		for _, h := range r.Headers {
			if h.Key != s.header {
				continue
			}
			if string(h.Value) == value {
				return errFound
			}
			if _, known := s.seen[string(h.Value)]; !known {
				s.seen[string(h.Value)] = struct{}{}
			}
		}
		return nil
	})
	if err == nil {
		s.next, s.done = ends, number
	}
	return err
}
