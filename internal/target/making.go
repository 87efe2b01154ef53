package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Spec returns how the topic of a role is made, and what it must be to be used.
func (t Target) Spec(role string) kafka.TopicSpec {
	name, m := t.Topics.Of(role), t.Making
	switch role {
	case Offsets:
		return kafka.OffsetsSpec(name, m.Replication)
	case DLQ:
		return kafka.DLQSpec(name, m.Partitions, m.Replication, m.Retention)
	case Seal: // one partition, since checkpoints have one order; they are what is kept longest
		return kafka.LogSpec(name, 1, m.Replication, 0)
	}
	return kafka.LogSpec(name, m.Partitions, m.Replication, m.Retention)
}

// Prepare makes the topics that are missing, if that is allowed, and checks those
// that are there. A *Refusal says what a person has to decide.
func (t Target) Prepare(ctx context.Context) (Found, error) {
	client, err := t.Connection.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var specs []kafka.TopicSpec
	for _, role := range t.Topics.Roles() {
		specs = append(specs, t.Spec(role))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	topics, err := kafka.Ensure(ctx, client, specs, t.Making.Allowed)
	if err != nil {
		return nil, topicError(err)
	}
	for _, topic := range topics {
		if left := topic.LeftOut; len(left) > 0 {
			t.Logger.Warn("a topic was made without settings that a policy of the cluster refuses",
				"topic", topic.Name, "left_out", strings.Join(left, ","), "cost", kafka.CostOf(left),
				"remedy", "set them in the cluster's own console where it offers them; see docs/brokers.md")
		}
	}
	return t.Topics.Found(topics), nil
}

// topicError makes a refusal of what needs a decision; the rest may pass by itself.
func topicError(err error) error {
	_, missing := errors.AsType[*kafka.MissingTopicsError](err)
	_, setting := errors.AsType[*kafka.SettingError](err)
	if missing || setting {
		return refuse(kafka.Explain(err), "%w", err)
	}
	return fmt.Errorf("preparing the topics: %w: %s", err, kafka.Explain(err))
}

// Describe returns the topics of these roles as the brokers have them. All must be
// there.
func (t Target) Describe(ctx context.Context, roles ...string) (Found, error) {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = t.Topics.Of(role)
	}
	topics, err := kafka.DescribeTopics(ctx, t.Connection, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, kafka.Explain(err))
	}
	for _, name := range names {
		if _, ok := topics[name]; !ok {
			return nil, Missing(name)
		}
	}
	return t.Topics.Found(topics), nil
}

// Missing is the error of a topic that is to be there and is not.
func Missing(name string) error {
	return fmt.Errorf("the topic %s does not exist, or may not be seen: `run` makes it, `check` says what is missing", name)
}
