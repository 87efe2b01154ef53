// This program prints the events of the topic as JSON lines. No schema registry.
//
//	go run . BROKERS TOPIC GROUP
//
// It imports the package schemas, which has every version of the schema: after an upgrade of the connector, upgrade it too.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := read(ctx, os.Args[1], os.Args[2], os.Args[3])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(ctx context.Context, brokers, topic, group string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // the default reads aborted records
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	known := map[uint64]*avro.Schema{}
	for _, version := range schemas.Versions() {
		known[version.Fingerprint] = avro.MustParse(version.Text)
	}
	out := json.NewEncoder(os.Stdout)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			event, err := decode(r.Value, known)
			if err != nil {
				return fmt.Errorf("offset %d: %w", r.Offset, err)
			}
			if err := out.Encode(event); err != nil {
				return err
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil { // after the work: at least once
			return err
		}
	}
}

// decode returns the event of an Avro single object: C3 01, the fingerprint of the schema, the record.
func decode(value []byte, known map[uint64]*avro.Schema) (map[string]any, error) {
	if len(value) < 10 || value[0] != 0xC3 || value[1] != 0x01 {
		return nil, errors.New("this topic's values are not Avro single objects. If they begin with 00, the connector writes " +
			"with a schema registry: look the schema up there by the id in the next four bytes")
	}
	fingerprint := binary.LittleEndian.Uint64(value[2:10])
	schema, ok := known[fingerprint]
	if !ok {
		return nil, fmt.Errorf("a value has the schema with the fingerprint %016x, which this release of the package schemas does "+
			"not have. The connector was upgraded. Run go get -u on its module, build this again, and start it: reading goes on "+
			"here, and nothing is lost", fingerprint)
	}
	var event map[string]any
	_, err := schema.Decode(value[10:], &event)
	return event, err
}
