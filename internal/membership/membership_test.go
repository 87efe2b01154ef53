package membership_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/membership"
)

// Brokers that take no session as short as ours are joined with a longer one.
func TestJoinsWithTheSessionThatTheBrokersTake(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(45*time.Second), kfake.SeedTopics(2, "offsets"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log strings.Builder
	var both sync.WaitGroup
	both.Add(2)
	err = membership.Run(ctx, membership.Config{
		Connection: kafka.Connection{Brokers: c.ListenAddrs(), ClientID: "test"}, Group: "group", Topic: "offsets",
		Logger: slog.New(slog.NewTextHandler(&log, nil)), State: func(error) {},
	}, func(context.Context, int32) {
		both.Done()
		both.Wait() // each partition is worked for once
		cancel()
	})
	if err != nil || ctx.Err() != context.Canceled {
		t.Errorf("%v, %v", err, ctx.Err())
	}
	if !strings.Contains(log.String(), "group.min.session.timeout.ms") || !strings.Contains(log.String(), "next=48s") {
		t.Errorf("it says\n%s", log.String())
	}
}
