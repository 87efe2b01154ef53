package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// What can be found out without writing anything or fencing any instance.

// Operations are what we may do to something.
type Operations struct {
	Read, Write, Create, Describe, DescribeConfigs bool
	// Known says that the broker gave an answer. Without an authorizer, or if it does
	// not answer, everything counts as allowed.
	Known bool
}

func operations(bits int32) Operations {
	if bits == math.MinInt32 {
		return Operations{Read: true, Write: true, Create: true, Describe: true, DescribeConfigs: true}
	}
	may := func(op kmsg.ACLOperation) bool { return bits&(1<<op) != 0 }
	return Operations{
		Read: may(kmsg.ACLOperationRead), Write: may(kmsg.ACLOperationWrite), Create: may(kmsg.ACLOperationCreate),
		Describe: may(kmsg.ACLOperationDescribe), DescribeConfigs: may(kmsg.ACLOperationDescribeConfigs), Known: true,
	}
}

// Sight is a topic as far as it can be seen.
type Sight struct {
	// Exists is false for one that is missing, and Hidden true for one that may not
	// be seen; what may not be seen may be missing too.
	Exists, Hidden bool
	May            Operations
}

// Look returns what we may do to each of the topics.
func Look(ctx context.Context, client *kgo.Client, names ...string) (map[string]Sight, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	answer, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("asking for the topics: %w", err)
	}
	topics := map[string]Sight{}
	for _, t := range answer.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil, errors.Is(err, kerr.LeaderNotAvailable):
			topics[*t.Topic] = Sight{Exists: true, May: operations(t.AuthorizedOperations)}
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			topics[*t.Topic] = Sight{}
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			topics[*t.Topic] = Sight{Hidden: true, May: Operations{Known: true}}
		default:
			return nil, fmt.Errorf("asking for the topic %s: %w", *t.Topic, err)
		}
	}
	return topics, nil
}

// MayMake reports whether the topic could be made: nil, or the *CreateError that making
// it would end with. It does not make it. The spec is returned as the cluster takes it,
// with the names of the settings that it does not take.
func MayMake(ctx context.Context, client *kgo.Client, spec TopicSpec) (fitted TopicSpec, leftOut []string, err error) {
	admin := kadm.NewClient(client)
	if err := validate(ctx, admin, spec); !refusesSettings(err) {
		return spec, nil, err
	}
	return fit(ctx, admin, spec)
}

// MayJoin reports whether we may be a member of the consumer group: nil, or
// kerr.GroupAuthorizationFailed. It sends the heartbeat of a member that the group does
// not have: the broker refuses it, and no member is disturbed.
func MayJoin(ctx context.Context, client *kgo.Client, group string) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, "nobody", -1
	answer, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err == nil || errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.IllegalGeneration) {
		return nil
	}
	return fmt.Errorf("asking for the consumer group %s: %w", group, err)
}

// SeesZombies reports whether the brokers are of version 4.0 or later, which give
// each transaction an epoch of its own: a writer that was thought dead cannot
// touch the transaction of its successor.
func SeesZombies(ctx context.Context, client *kgo.Client) (bool, error) {
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return false, fmt.Errorf("asking for the brokers' version: %w", err)
	}
	for _, api := range answer.ApiKeys {
		if api.ApiKey == kmsg.EndTxn.Int16() {
			return api.MaxVersion >= 5, nil
		}
	}
	return false, errors.New("the brokers know no transactions")
}

// Cluster is what brokers say of themselves.
type Cluster struct {
	Brokers int
	ID      string
	Version string // a guess, by the requests that they know
}

// AskCluster asks which brokers these are.
func AskCluster(ctx context.Context, client *kgo.Client) (Cluster, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none
	metadata, err := req.RequestWith(ctx, client)
	if err != nil {
		return Cluster{}, fmt.Errorf("asking for the brokers: %w", err)
	}
	known, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return Cluster{}, fmt.Errorf("asking for the brokers' version: %w", err)
	}
	c := Cluster{Brokers: len(metadata.Brokers), ID: "unknown", Version: kversion.FromApiVersionsResponse(known).VersionGuess()}
	if metadata.ClusterID != nil {
		c.ID = *metadata.ClusterID
	}
	return c, nil
}

// MayWriteAs reports whether we may write under the transactional id: nil, or
// kerr.TransactionalIDAuthorizationFailed. To describe the id is another right. So it
// asks to end a transaction of a producer id that does not exist: a broker that lets us
// write refuses it for that reason, and changes nothing.
func MayWriteAs(ctx context.Context, client *kgo.Client, id string) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, math.MaxInt64, 0
	answer, err := req.RequestWith(ctx, client)
	if err == nil && answer.ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code {
		err = kerr.TransactionalIDAuthorizationFailed
	}
	if err != nil {
		return fmt.Errorf("asking for the right to write as %s: %w", id, err)
	}
	return nil // refused for the producer id, in one word or another
}

// coordinatorWait is how long a coordinator may take to be there. Kafka makes its own
// topic of transactions, or of groups, when it is first asked for one.
const coordinatorWait = 20 * time.Second

// AwaitCoordinator asks until the answer is not that a coordinator is on its way, or
// took too long. Each time that it waits it says so with waiting.
func AwaitCoordinator(ctx context.Context, waiting func(), ask func() error) error {
	for began := time.Now(); ; {
		err := ask()
		coming := errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
		if !coming || time.Since(began) > coordinatorWait {
			return err
		}
		waiting()
		if pause.For(ctx, 500*time.Millisecond) != nil {
			return err
		}
	}
}

// TransactionState returns the state of the transactional id, for example
// "Ongoing"; empty if it was never used. It disturbs no instance. The error is
// kerr.TransactionalIDAuthorizationFailed where we may not use it.
func TransactionState(ctx context.Context, client *kgo.Client, id string) (string, error) {
	described, err := kadm.NewClient(client).DescribeTransactions(ctx, id)
	if err != nil {
		return "", fmt.Errorf("describing the transactional id %s: %w", id, err)
	}
	t := described[id]
	if errors.Is(t.Err, kerr.TransactionalIDNotFound) {
		return "", nil
	}
	if t.Err != nil {
		return "", fmt.Errorf("describing the transactional id %s: %w", id, t.Err)
	}
	return t.State, nil
}
