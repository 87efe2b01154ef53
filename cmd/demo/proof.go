package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// errNotEqual says that the proof failed, which was shown.
var errNotEqual = errors.New("the topic does not equal the API")

// prove waits until nothing is missing, stops the connector, and compares the
// topic, read once more from its start, with the API.
func (s *story) prove(ctx context.Context) error {
	s.printf("  -- no more events; what is still on its way is waited for")
	report, err := s.settleDown(ctx)
	if err != nil {
		return err
	}
	s.step("Proof: all that the API holds, compared with all that a new read_committed consumer reads")
	if err := s.process.stop(); err != nil {
		return fmt.Errorf("stopping the connector: %w", err)
	}
	if s.beforeProof != nil {
		s.beforeProof(s.api)
	}
	if !s.realAPI { // of the real one more may have come since
		if report, err = s.compare(ctx); err != nil {
			return err
		}
	}
	s.printf("  %s", report)
	if !report.OK() {
		return errNotEqual
	}
	s.printf("  the topic equals the API, event by event and byte by byte")
	s.printf("%s", next)
	return nil
}

const next = `
Next:
  make demo ARGS='--duration 5m'    time to look at the status page
  make demo ARGS='--help'           your own Kafka, the real API
  make build                        the connector itself; README.md says what it needs`

// settleDown compares until all is equal, or for as long as an event may take.
func (s *story) settleDown(ctx context.Context) (kafkatest.Report, error) {
	for deadline := time.Now().Add(s.settle); ; {
		report, err := s.compare(ctx)
		if err != nil || report.OK() || time.Now().After(deadline) {
			return report, err
		}
		if err := s.await(ctx, 500*time.Millisecond, func() bool { return false }); err != nil {
			return report, err
		}
	}
}

// compare compares the topic with the API as both are now.
func (s *story) compare(ctx context.Context) (kafkatest.Report, error) {
	truth, err := s.truth(ctx)
	if err != nil {
		return kafkatest.Report{}, err
	}
	records, err := s.read(ctx)
	if err != nil {
		return kafkatest.Report{}, err
	}
	return kafkatest.Compare(truth, records), nil
}

// truth is all that the API holds.
func (s *story) truth(ctx context.Context) ([]kafkatest.Want, error) {
	if s.realAPI {
		return list(ctx, s.settings)
	}
	var all []kafkatest.Want
	for ev := range s.api.Truth() {
		for _, scope := range ev.Scopes {
			all = append(all, kafkatest.Want{
				ID: ev.ID, Scope: string(scope), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw,
			})
		}
	}
	return all, nil
}

// read returns this run's committed records of both topics, up to what they hold
// now.
func (s *story) read(ctx context.Context) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second) // longer than a transaction may be open
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.settings.Brokers...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A log of transactions ends in a marker, which is not delivered: without
		// this the reader would not notice that it has reached the end.
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, eventsTopic, dlqTopic)
	if err == nil {
		err = ends.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, nil // the connector has not got to making them
	}
	if err != nil {
		return nil, fmt.Errorf("asking where the topics end: %w", err)
	}
	type partition struct {
		topic string
		id    int32
	}
	from := map[string]map[int32]kgo.Offset{}
	open := map[partition]bool{} // those not read to their end
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			return
		}
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		open[partition{o.Topic, o.Partition}] = true
	})
	client.AddConsumePartitions(from)
	var records []*kgo.Record
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading the topics to their end: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, _ := ends.Lookup(r.Topic, r.Partition)
			if r.Offset < end.Offset && !r.Attrs.IsControl() && s.ours(r) {
				records = append(records, r)
			}
			// At the end or behind it: what is just before it may be aborted since,
			// and is not delivered then.
			if r.Offset >= end.Offset-1 {
				delete(open, partition{r.Topic, r.Partition})
			}
		})
	}
	return records, nil
}

// ours reports whether a record is of this run, and of the time that it read.
func (s *story) ours(r *kgo.Record) bool {
	if header(r, "ce_source") != s.source() {
		return false
	}
	text := header(r, "ce_time")
	if text == "" {
		text = header(r, "effective_at") // of a dead letter, if it is known
	}
	at, err := time.Parse(time.RFC3339, text)
	return err != nil || !at.Before(s.settings.Since.Truncate(time.Second))
}
