package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// OffsetsPartitions is how many partitions the offsets topic has if we make it.
const OffsetsPartitions = 16

// TopicSpec is a topic as it is to be made.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int16 // -1: the broker's default
	Config      map[string]*string
	// Keyless says that records may have no key, which no compacted topic takes.
	Keyless bool
	// LeastMessageBytes is what the topic must take as one record; 0: anything.
	LeastMessageBytes int
}

// LogSpec is the topic of events, of their copies, or of dead letters. Retention
// 0 keeps everything; the broker's default of a week must not decide how long an
// audit log is kept.
func LogSpec(name string, partitions int32, replication int16, retention time.Duration) TopicSpec {
	ms := Unlimited
	if retention > 0 {
		ms = retention.Milliseconds()
	}
	return TopicSpec{Name: name, Partitions: partitions, Replication: replication, Config: map[string]*string{
		"cleanup.policy": new("delete"),
		"retention.ms":   new(strconv.FormatInt(ms, 10)),
	}}
}

// DLQSpec is the topic of dead letters: a log whose records may have no key.
func DLQSpec(name string, partitions int32, replication int16, retention time.Duration) TopicSpec {
	spec := LogSpec(name, partitions, replication, retention)
	spec.Keyless = true
	return spec
}

// offsetsRecordBytes is above the largest record of the offsets topic, one of seen
// ids, with what Kafka adds.
const offsetsRecordBytes = 300_000

// OffsetsSpec is the topic of cursors and seen ids.
func OffsetsSpec(name string, replication int16) TopicSpec {
	return TopicSpec{Name: name, Partitions: OffsetsPartitions, Replication: replication, LeastMessageBytes: offsetsRecordBytes, Config: map[string]*string{
		"cleanup.policy": new("compact"),
		// Only counts once somebody adds delete to the policy, and must not eat the
		// cursor of an organization that was quiet for a week then.
		"retention.ms": new(strconv.FormatInt(Unlimited, 10)),
		// The segment being written is never compacted. With the defaults of
		// 1 GiB and a week nothing was compacted in 60,000 commits.
		"segment.bytes":             new("16777216"),
		"segment.ms":                new("3600000"),
		"min.cleanable.dirty.ratio": new("0.1"),
	}}
}

// durable are the settings of every topic with three replicas or more: no
// acknowledged record is lost with one broker, nor with a broker that lagged.
var durable = map[string]*string{
	"min.insync.replicas":            new("2"),
	"unclean.leader.election.enable": new("false"),
}

// Ensure returns the topics of the specs, by name. It makes those that are
// missing if create is true, and otherwise fails with a *MissingTopicsError. A topic
// with a setting that its records cannot go with is a *SettingError. Other settings of
// topics that exist are their owner's business.
func Ensure(ctx context.Context, client *kgo.Client, specs []TopicSpec, create bool) (map[string]Topic, error) {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	topics, err := Describe(ctx, client, names...)
	if err == nil && !create && len(without(specs, topics)) > 0 {
		topics, err = lookAgain(ctx, client, specs, names)
	}
	if err != nil {
		return nil, err
	}
	missing := without(specs, topics)
	leftOut, err := makeTopics(ctx, kadm.NewClient(client), missing)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if topics, err = await(ctx, client, specs, names); err != nil {
			return nil, err
		}
	}
	for name, settings := range leftOut {
		topic := topics[name]
		topic.LeftOut = settings
		topics[name] = topic
	}
	for _, spec := range specs {
		if err := CheckSettings(spec, topics[spec.Name]); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

func without(specs []TopicSpec, topics map[string]Topic) []TopicSpec {
	return slices.DeleteFunc(slices.Clone(specs), func(s TopicSpec) bool {
		_, ok := topics[s.Name]
		return ok
	})
}

// unheardOf is for how long a topic is missing before that is believed: a broker
// that has just started may not have heard of it, and a missing topic ends the process.
const unheardOf = 5 * time.Second

// lookAgain returns the topics, or a *MissingTopicsError if one is still missing
// after a while.
func lookAgain(ctx context.Context, client *kgo.Client, specs []TopicSpec, names []string) (map[string]Topic, error) {
	for began := time.Now(); ; {
		if err := pause.For(ctx, metadataMinAge); err != nil { // sooner, the client would answer from memory
			return nil, err
		}
		topics, err := Describe(ctx, client, names...)
		if err != nil {
			return nil, err
		}
		missing := without(specs, topics)
		if len(missing) == 0 {
			return topics, nil
		}
		if time.Since(began) > unheardOf {
			return nil, &MissingTopicsError{Specs: fitAll(ctx, kadm.NewClient(client), missing)}
		}
	}
}

// makeTopics makes topics, all at once: each takes a moment, and a first start waits for them.
// It returns the settings that were left out of each, or the error of the first that failed.
func makeTopics(ctx context.Context, admin *kadm.Client, specs []TopicSpec) (leftOut map[string][]string, err error) {
	var making sync.WaitGroup
	of, errs := make([][]string, len(specs)), make([]error, len(specs))
	for i, spec := range specs {
		making.Go(func() { of[i], errs[i] = makeTopic(ctx, admin, spec) })
	}
	making.Wait()
	leftOut = map[string][]string{}
	for i, spec := range specs {
		if errs[i] != nil {
			return nil, errs[i]
		}
		leftOut[spec.Name] = of[i]
	}
	return leftOut, nil
}

// makeTopic makes a topic. If somebody else does so first it is nil: what they
// made is looked at like any topic that was there. The names of the settings that a
// policy of the cluster does not take are returned.
func makeTopic(ctx context.Context, admin *kadm.Client, spec TopicSpec) (leftOut []string, err error) {
	spec.Config = maps.Clone(spec.Config)
	if spec.Replication >= 3 || spec.Replication < 0 && brokersDefault(ctx, admin, spec) >= 3 {
		maps.Copy(spec.Config, durable)
	}
	response, err := admin.CreateTopic(ctx, spec.Partitions, spec.Replication, spec.Config, spec.Name)
	if refusesSettings(err) {
		if spec, leftOut, err = fit(ctx, admin, spec); err != nil {
			return nil, err
		}
		response, err = admin.CreateTopic(ctx, spec.Partitions, spec.Replication, spec.Config, spec.Name)
	}
	if err == nil {
		return leftOut, nil
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil, nil
	}
	return nil, newCreateError(spec, response, err)
}

// brokersDefault returns how many replicas the broker gives a topic by default. Only
// it knows, and names it when asked to make the topic without doing so; 0 if it is too
// old for that, or we may not see it. No setting is sent that a policy might refuse.
func brokersDefault(ctx context.Context, admin *kadm.Client, spec TopicSpec) int16 {
	responses, err := admin.ValidateCreateTopics(ctx, spec.Partitions, spec.Replication, spec.essential(), spec.Name)
	if err != nil {
		return 0
	}
	return responses[spec.Name].ReplicationFactor
}

// await waits until the brokers know the new topics, with a leader for each
// partition: a topic can be made before they all do. That it takes long is no reason
// to believe that a topic is missing: the error is an *UnseenTopicsError then, and
// trying again finds them.
func await(ctx context.Context, client *kgo.Client, specs []TopicSpec, names []string) (map[string]Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var last error // why they are not there
	for look := soon; ; look = min(2*look, metadataMinAge) {
		refresh(ctx, client, names)
		topics, err := Describe(ctx, client, names...)
		switch missing := without(specs, topics); {
		case err == nil && len(missing) == 0:
			return topics, nil
		case err == nil:
			last = &UnseenTopicsError{Names: namesOf(missing)}
		case kerr.IsRetriable(err):
			last = err
		case ctx.Err() == nil || last == nil:
			return nil, err
		}
		if pause.For(ctx, look) != nil {
			return nil, fmt.Errorf("waiting for the new topics: %w", last)
		}
	}
}

// soon is how long a topic may take until the brokers know it, mostly.
const soon = 25 * time.Millisecond

// refresh asks the brokers for the topics again. A Describe after it answers from that, and not
// from what the client has in memory of the time before. That this failed is for it to find.
func refresh(ctx context.Context, client *kgo.Client, names []string) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	_, _ = req.RequestWith(ctx, client)
}

func namesOf(specs []TopicSpec) (names []string) {
	for _, spec := range specs {
		names = append(names, spec.Name)
	}
	return names
}

// UnseenTopicsError says which topics were made and are not to be seen yet.
type UnseenTopicsError struct{ Names []string }

func (e *UnseenTopicsError) Error() string {
	return "the brokers do not list the topics that were made: " + strings.Join(e.Names, ", ")
}

// CheckSettings returns a *SettingError if the records that the spec is for cannot go
// into the topic as it is, or would not stay there.
func CheckSettings(spec TopicSpec, topic Topic) error {
	policy := spec.Config["cleanup.policy"]
	switch {
	case !topic.Known || policy == nil:
		return nil
	case *policy == "compact" && topic.CleanupPolicy != "compact":
		// With "delete" in it the cursor is deleted with time, and the log would be
		// read again from the start; with "delete" alone the state is never compacted.
		return &SettingError{topic.Name, "cleanup.policy", topic.CleanupPolicy, "compact", " alone, or the state in it is lost"}
	case spec.Keyless && topic.CleanupPolicy != "delete":
		return &SettingError{topic.Name, "cleanup.policy", topic.CleanupPolicy, "delete", " alone, since a dead letter without a key stops all writing, and one of a key deletes another"}
	case topic.MaxMessageBytes < spec.LeastMessageBytes:
		return &SettingError{topic.Name, "max.message.bytes", strconv.Itoa(topic.MaxMessageBytes), strconv.Itoa(spec.LeastMessageBytes), " or more, or the ids of a busy minute do not fit and all writing stops"}
	}
	return nil
}

// SettingError says that a topic has a setting with which it cannot be used.
type SettingError struct{ Topic, Setting, Value, Want, Why string }

func (e *SettingError) Error() string {
	return fmt.Sprintf("the topic %s has %s=%s, and must have %s%s", e.Topic, e.Setting, e.Value, e.Want, e.Why)
}

// Command returns the command that changes it.
func (e *SettingError) Command() string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name %s --add-config %s=%s", e.Topic, e.Setting, e.Want)
}

// MissingTopicsError says which topics are missing where none may be made.
type MissingTopicsError struct{ Specs []TopicSpec }

func (e *MissingTopicsError) Error() string {
	names, commands := make([]string, len(e.Specs)), make([]string, len(e.Specs))
	for i, spec := range e.Specs {
		names[i], commands[i] = spec.Name, spec.Command()
	}
	return fmt.Sprintf("topics are missing (or may not be seen): %s; make them with: %s (where a policy of the cluster refuses a setting, leave out all but cleanup.policy)",
		strings.Join(names, ", "), strings.Join(commands, " && "))
}

// CreateError says that a topic could not be made.
type CreateError struct {
	Spec TopicSpec
	Err  error
}

func newCreateError(spec TopicSpec, response kadm.CreateTopicResponse, err error) *CreateError {
	if response.ErrMessage != "" {
		err = fmt.Errorf("%w (%s)", err, response.ErrMessage)
	}
	return &CreateError{Spec: spec, Err: err}
}

func (e *CreateError) Error() string {
	return fmt.Sprintf("making the topic %s: %v; make it with: %s", e.Spec.Name, e.Err, e.Spec.Command())
}

// Unwrap returns the broker's error.
func (e *CreateError) Unwrap() error { return e.Err }

// Command returns the command that makes the topic.
func (s TopicSpec) Command() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-topics.sh --bootstrap-server BROKER --create --topic %s --partitions %d", s.Name, s.Partitions)
	config := maps.Clone(s.Config)
	if s.Replication > 0 {
		fmt.Fprintf(&b, " --replication-factor %d", s.Replication)
	}
	if s.Replication >= 3 {
		maps.Copy(config, durable)
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if config[key] != nil {
			fmt.Fprintf(&b, " --config %s=%s", key, *config[key])
		}
	}
	return b.String()
}
